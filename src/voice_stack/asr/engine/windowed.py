"""From a stream of audio to segments, for engines whose models decode one window at a time."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

from voice_stack.asr.engine.base import (
    SAMPLE_RATE_HZ,
    AsrEngine,
    AudioBlock,
    Capabilities,
    Language,
    Position,
    Segment,
    Step,
    TranscribeOptions,
)
from voice_stack.asr.engine.windows import Window, join_speech
from voice_stack.asr.engine.word_times import snap_to_sound
from voice_stack.core.errors import EngineError
from voice_stack.utils.audio.vad import VadOptions, find_speech
from voice_stack.utils.models.store import ModelStore
from voice_stack.utils.speakable import has_speech

_SURE = 0.5
_LANGUAGE_WINDOWS = 3

# Text made of noise, hum and music had a no-speech probability of 0.7 to 0.83 and a mean log probability of -0.63 to
# -0.94; of speech, clear or in noise, no segment with more than 0.6 of the first had less than -0.56 of the second.
_NO_SPEECH_PROB = 0.6
_NO_SPEECH_LOGPROB = -0.6
_REPETITIVE = 2.4  # compression ratio; the same bound as in openai-whisper


class WindowedEngine(AsrEngine):
    """Finds the speech, decodes it in windows, and puts the times of the upload back.

    Args:
        model: its name, as ``store`` knows it, or a path.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        compute_type: the arithmetic, by the library's name, or ``auto``.
        named_by_client: a client gave the name: it is no path, and of models that are not on this machine only
            Whisper's own are fetched.
    """

    def __init__(
        self,
        model: str,
        store: ModelStore,
        *,
        device: str = "auto",
        compute_type: str = "auto",
        named_by_client: bool = False,
    ) -> None:
        self._name = model
        self._store = store
        self._device = device
        self._compute_type = compute_type
        self._named_by_client = named_by_client
        self._model: Any = None
        self._capabilities: Capabilities | None = None

    @property
    def model(self) -> str:
        return self._name

    @property
    def device(self) -> str:
        return self._device

    @property
    def capabilities(self) -> Capabilities:
        if self._capabilities is None:
            raise EngineError("The model is not loaded yet.")
        return self._capabilities

    @abstractmethod
    def _decode(self, samples: AudioBlock, options: TranscribeOptions) -> Iterator[Segment]:
        """Decode one window in ``options.language``; times are seconds in the window.

        Raises:
            EngineError: the engine failed.
        """

    @abstractmethod
    def _languages(self, samples: AudioBlock) -> dict[str, float]:
        """The probability of each language, by Whisper's code, in the first 30 seconds of ``samples``.

        Raises:
            EngineError: the engine failed.
        """

    def transcribe(self, audio: Iterable[AudioBlock], options: TranscribeOptions) -> Iterator[Step | None]:
        heard_s = 0.0

        def counted() -> Iterator[AudioBlock]:
            nonlocal heard_s
            for block in audio:
                heard_s += block.size / SAMPLE_RATE_HZ
                yield block

        language: Language | None = None
        speech = find_speech(counted(), options.vad or VadOptions())
        for window in join_speech(speech):
            if window is None:
                yield None
                continue
            if language is None:
                language = self._choose(window, options)
                yield language
            before = ""
            segments = self._decode(window.samples, replace(options, language=language.code))
            for segment in _snapped(segments, window.samples) if options.word_timestamps else segments:
                if not _is_invented(segment, before):
                    yield _in_upload(segment, window)
                before = segment.text
            yield Position(heard_s)
        yield Position(heard_s)

    def detect_language(self, audio: Iterable[AudioBlock]) -> Iterator[Language | None]:
        total: dict[str, float] = {}
        looked = 0
        for window in join_speech(find_speech(audio)):
            if window is None:
                yield None
                continue
            for code, probability in self._languages(window.samples).items():
                total[code] = total.get(code, 0.0) + probability
            looked += 1
            if looked == _LANGUAGE_WINDOWS or max(total.values()) / looked > _SURE:
                break
            yield None
        if total:
            yield _likeliest(total, looked)

    def _choose(self, window: Window, options: TranscribeOptions) -> Language:
        if options.language is not None:
            return Language(options.language, 1.0)
        return _likeliest(self._languages(window.samples), 1)


def _likeliest(total: dict[str, float], windows: int) -> Language:
    code = max(total, key=total.__getitem__)
    return Language(code, total[code] / windows)


def _is_invented(segment: Segment, before: str) -> bool:
    """Whether a segment is what models write where nobody speaks; ``before`` is the text of the one ahead of it."""
    if not has_speech(segment.text):
        return True
    if segment.no_speech_prob > _NO_SPEECH_PROB and segment.avg_logprob < _NO_SPEECH_LOGPROB:
        return True
    return segment.compression_ratio > _REPETITIVE and segment.text == before


def _snapped(segments: Iterable[Segment], samples: AudioBlock) -> Iterator[Segment]:
    listed = list(segments)
    words = iter(snap_to_sound([word for segment in listed for word in segment.words], samples))
    for segment in listed:
        yield replace(segment, words=tuple(islice(words, len(segment.words))))


def _in_upload(segment: Segment, window: Window) -> Segment:
    words = []
    for word in segment.words:
        start_s, end_s = window.upload_span(word.start_s, word.end_s)
        words.append(replace(word, start_s=start_s, end_s=end_s))
    start_s, end_s = window.upload_time(segment.start_s), window.upload_time(segment.end_s, is_end=True)
    if words:
        start_s, end_s = words[0].start_s, words[-1].end_s
    seek = round(100 * window.upload_time(segment.seek / 100))
    return replace(segment, start_s=start_s, end_s=max(start_s, end_s), seek=seek, words=tuple(words))
