"""From a stream of audio to segments, for engines whose models decode one window at a time."""

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice
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

# A film may begin with a cry, or with music that passes for one: a second of it says little about the language.
_ENOUGH_S = 8.0
_MOST_S = 60.0
_SURE = 0.5

# Text made of noise, hum and music had a no-speech probability of 0.7 to 0.83 and a mean log probability of -0.63 to
# -0.94; of speech, clear or in noise, no segment with more than 0.6 of the first had less than -0.56 of the second.
_NO_SPEECH_PROB = 0.6
_NO_SPEECH_LOGPROB = -0.6
# The bounds of openai-whisper on compression ratio and mean log probability.
_REPETITIVE = 2.4
_IMPROBABLE = -1.0

_LEAST_PART_S = 3.0
# Of speech with short pauses. One sentence said three times and written once is 5.
_LEAST_CHARS_PER_S = 6.0
_LONG_S = 5.0
_DENSE_SCRIPTS = {"zh", "ja", "yue", "ko"}


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
    def _decode(self, samples: AudioBlock, options: TranscribeOptions, *, fall_back: bool) -> Iterator[Segment]:
        """Decode one window in ``options.language``; times are seconds in the window.

        Args:
            fall_back: whether a text that repeats itself or is improbable is tried again at higher temperatures.

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

        windows = join_speech(find_speech(counted(), options.vad or VadOptions()))
        if options.language is None:
            language, windows = yield from self._tell_language(windows)
        else:
            language = Language(options.language, 1.0)
        spoken = False
        for window in windows:
            if window is None:
                yield None
                continue
            if not spoken and language is not None:
                spoken = True
                yield language
            yield from self._segments(window, replace(options, language=language.code if language else None))
            yield Position(heard_s)
        yield Position(heard_s)

    def detect_language(self, audio: Iterable[AudioBlock]) -> Iterator[Language | None]:
        language, _ = yield from self._tell_language(join_speech(find_speech(audio)))
        yield language

    def _tell_language(
        self, windows: Iterator[Window | None]
    ) -> Generator[None, None, tuple[Language | None, Iterator[Window | None]]]:
        """Listen until the language is clear, or all was heard; returns it with all of the windows again."""
        total: dict[str, float] = defaultdict(float)
        listened_s = 0.0
        heard: list[Window] = []
        for window in windows:
            yield None
            if window is None:
                continue
            heard.append(window)
            seconds = window.samples.size / SAMPLE_RATE_HZ
            listened_s += seconds
            for code, probability in self._languages(window.samples).items():
                total[code] += probability * seconds
            sure = listened_s >= _ENOUGH_S and max(total.values()) > _SURE * listened_s
            if sure or listened_s >= _MOST_S:
                break
        if not heard:
            return None, windows
        code = max(total, key=total.__getitem__)
        return Language(code, total[code] / listened_s), chain(heard, windows)

    def _segments(self, window: Window, options: TranscribeOptions) -> Iterator[Segment | None]:
        for part, segments in self._parts(window, options):
            before = ""
            for segment in _snapped(segments, part.samples) if options.word_timestamps else segments:
                if not _is_invented(segment, before):
                    yield _in_upload(segment, part)
                before = segment.text
            yield None

    def _parts(self, window: Window, options: TranscribeOptions) -> Iterator[tuple[Window, list[Segment]]]:
        """Decode a window; where its text cannot be what was said, by halves: short ones do not go wrong that way."""
        seconds = window.samples.size / SAMPLE_RATE_HZ
        last_try = options.temperature > 0 or seconds < 2 * _LEAST_PART_S
        segments = list(self._decode(window.samples, options, fall_back=last_try))
        if last_try or not _is_doubtful(segments, seconds, options.language):
            yield window, segments
            return
        for half in window.halves():
            yield from self._parts(half, options)


def _is_doubtful(segments: Sequence[Segment], seconds: float, language: str | None) -> bool:
    """Whether a text repeats itself, is improbable, or is too short for the time that it took to say."""
    if not segments:
        return False
    least_chars_per_s = _LEAST_CHARS_PER_S / (3 if language in _DENSE_SCRIPTS else 1)
    chars = [len(segment.text.strip()) for segment in segments]
    lengths_s = [segment.end_s - segment.start_s for segment in segments]
    thin = any(
        length_s >= _LONG_S and count < least_chars_per_s * length_s
        for count, length_s in zip([*chars, sum(chars)], [*lengths_s, seconds], strict=True)
    )
    return thin or any(
        segment.compression_ratio > _REPETITIVE
        or (segment.avg_logprob < _IMPROBABLE and segment.no_speech_prob <= _NO_SPEECH_PROB)
        for segment in segments
    )


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
