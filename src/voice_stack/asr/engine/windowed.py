"""From a stream of audio to segments, for engines whose models decode one window at a time."""

from abc import abstractmethod
from collections import defaultdict, deque
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any

import numpy as np

from voice_stack.asr.engine.base import (
    SAMPLE_RATE_HZ,
    AsrEngine,
    AudioBlock,
    Capabilities,
    Hypothesis,
    Language,
    LiveWindow,
    Position,
    Segment,
    Step,
    TranscribeOptions,
)
from voice_stack.asr.engine.doubts import DENSE_SCRIPTS, is_crowded, is_doubtful, is_of_silence, is_repetitive
from voice_stack.asr.engine.tasks import WHOLE_S, WindowResult, WindowTask
from voice_stack.asr.engine.windows import Window, join_speech
from voice_stack.asr.engine.word_times import snap_to_sound
from voice_stack.core.errors import EngineError
from voice_stack.utils.audio.vad import VadOptions, find_speech
from voice_stack.utils.models.store import ModelStore
from voice_stack.utils.run_alone import run_alone
from voice_stack.utils.scheduling import Work
from voice_stack.utils.speakable import has_speech

# A film may begin with a cry, or with music that passes for one: a second of it says little about the language.
_ENOUGH_S = 8.0
_MOST_S = 60.0
_SURE = 0.5

_LEAST_PART_S = 3.0
# Of speech with short pauses. One sentence said three times and written once is 5.
_LEAST_CHARS_PER_S = 6.0
# In a window that fits the speech, where repetitions are left out more often: one of two sentences was 7.3.
_LEAST_CHARS_PER_S_FITTED = 8.0
_LONG_S = 5.0


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

    def unload(self) -> None:
        self._model = None

    @abstractmethod
    def _decode(self, tasks: Sequence[WindowTask]) -> Sequence[WindowResult]:
        """Decode windows that have a key in common, no more of them than ``_most``.

        Raises:
            EngineError: the engine failed.
        """

    @abstractmethod
    def _listen(self, blocks: Sequence[AudioBlock]) -> Sequence[Mapping[str, float]]:
        """The probability of each language, by Whisper's code, in the first 30 seconds of each block.

        Raises:
            EngineError: the engine failed.
        """

    @abstractmethod
    def _hypothesize(self, windows: Sequence[LiveWindow]) -> Sequence[Hypothesis]:
        """What windows say that have a key in common, no more of them than ``_most_live``.

        Raises:
            EngineError: the engine failed.
        """

    def _live_key(self, window: LiveWindow) -> Hashable:  # noqa: ARG002 - as below
        """What the live windows of a batch have in common."""
        return None

    def _most_live(self, window: LiveWindow) -> int:  # noqa: ARG002 - as below
        """Live windows like this one in a batch."""
        return 1

    def _key(self, task: WindowTask) -> Hashable:  # noqa: ARG002 - for engines that decode several windows together
        """What the windows of a batch have in common."""
        return None

    def _most(self, task: WindowTask) -> int:  # noqa: ARG002 - as above
        """Windows like this one in a batch."""
        return 1

    def _window_s(self, seconds: float) -> float:  # noqa: ARG002 - for engines whose windows fit the speech
        """The window in which so much speech is tried first."""
        return WHOLE_S

    def transcribe(self, audio: Iterable[AudioBlock], options: TranscribeOptions) -> Iterator[Step | None]:
        return run_alone(self.shared_transcription(audio, options), lanes=max(1, self.lanes - 1))

    def detect_language(self, audio: Iterable[AudioBlock]) -> Iterator[Language | None]:
        return run_alone(self.shared_detection(audio), lanes=self.lanes)

    def shared_transcription(
        self, audio: Iterable[AudioBlock], options: TranscribeOptions
    ) -> Iterator[Step | Work[Any] | None]:
        heard_s = 0.0

        def counted() -> Iterator[AudioBlock]:
            nonlocal heard_s
            for block in audio:
                heard_s += block.size / SAMPLE_RATE_HZ
                yield block

        found = join_speech(find_speech(counted(), options.vad or VadOptions()))
        language: Language | None
        windows: Iterator[Window | _Decoding | None]
        if options.language is None:
            language, windows = yield from self._begin(found, options)
        else:
            language, windows = Language(options.language, 1.0), found
        options = replace(options, language=language.code if language else None)
        spoken = False
        ahead: deque[tuple[_Decoding, float]] = deque()
        for window in windows:
            if window is None:
                yield None
                continue
            if not spoken and language is not None:
                spoken = True
                yield language
            decoding = window if isinstance(window, _Decoding) else self._decoding(window, options)
            yield decoding.work
            ahead.append((decoding, heard_s))
            while len(ahead) > self._ahead or (ahead and ahead[0][0].work.done):
                yield from self._segments(*ahead.popleft(), options)
        while ahead:
            yield from self._segments(*ahead.popleft(), options)
        yield Position(heard_s)

    def shared_detection(self, audio: Iterable[AudioBlock]) -> Iterator[Language | Work[Any] | None]:
        language, _ = yield from self._tell_language(join_speech(find_speech(audio)))
        yield language

    def hypothesis(self, window: LiveWindow) -> Work[Hypothesis]:
        key, most = self._live_key(window), self._most_live(window)
        return Work(self._hypothesize, window, key=key, cost_s=window.samples.size / SAMPLE_RATE_HZ, most=most)

    @property
    def _ahead(self) -> int:
        """Windows that one request has ready or in batches: enough to fill them."""
        return self.lanes * self._most(WindowTask(np.zeros(0, np.float32), TranscribeOptions())) + 1

    def _begin(
        self, windows: Iterator[Window | None], options: TranscribeOptions
    ) -> Generator[Work[Any] | None, None, "tuple[Language | None, Iterator[Window | _Decoding | None]]"]:
        """Decode the first window at once if it tells the language, else listen on; returns it with all the windows."""
        first = yield from _next_window(windows)
        if first is None:
            return None, windows
        heard = [first]
        if first.seconds < _ENOUGH_S:
            second = yield from _next_window(windows)
            heard += [second] if second is not None else []
        if len(heard) == 1:
            sure_above = _SURE if first.seconds >= _ENOUGH_S else 0.0
            decoding = self._decoding(first, options, sure_above=sure_above)
            yield decoding.work
            yield decoding.work
            result = decoding.work.result()
            if result.segments is not None:
                code = max(result.languages, key=result.languages.__getitem__)
                return Language(code, result.languages[code]), chain([decoding], windows)
        return (yield from self._tell_language(chain(heard, windows)))

    def _tell_language(
        self, windows: Iterator[Window | None]
    ) -> "Generator[Work[Any] | None, None, tuple[Language | None, Iterator[Window | _Decoding | None]]]":
        """Listen until the language is clear, or all was heard; returns it with all of the windows again."""
        total: dict[str, float] = defaultdict(float)
        listened_s = 0.0
        heard: list[Window] = []
        for window in windows:
            yield None
            if window is None:
                continue
            heard.append(window)
            listened_s += window.seconds
            work = Work(self._listen, window.samples, key="listen", cost_s=window.seconds)
            yield work
            yield work
            for code, probability in work.result().items():
                total[code] += probability * window.seconds
            sure = listened_s >= _ENOUGH_S and max(total.values()) > _SURE * listened_s
            if sure or listened_s >= _MOST_S:
                break
        if not heard:
            return None, windows
        code = max(total, key=total.__getitem__)
        return Language(code, total[code] / listened_s), chain(heard, windows)

    def _decoding(
        self, window: Window, options: TranscribeOptions, *, whole: bool = False, sure_above: float = 0.0
    ) -> "_Decoding":
        task = WindowTask(
            window.samples,
            options,
            # Words to expect are not looked for as well in a short window.
            window_s=WHOLE_S if whole or options.hotwords else self._window_s(window.seconds),
            fall_back=_is_last_try(window, options),
            sure_above=sure_above,
        )
        if task.window_s < WHOLE_S:
            task = replace(task, fall_back=False)
        work = Work(self._decode, task, key=self._key(task), cost_s=window.seconds, most=self._most(task))
        return _Decoding(window, task.window_s >= WHOLE_S, work)

    def _segments(
        self, decoding: "_Decoding", heard_s: float, options: TranscribeOptions
    ) -> Iterator[Segment | Position | Work[Any] | None]:
        for part in self._parts(decoding, options):
            if isinstance(part, Work):
                yield part
                continue
            window, segments = part
            before = ""
            for segment in _snapped(segments, window.samples) if options.word_timestamps else segments:
                if not _is_invented(segment, before):
                    yield _in_upload(segment, window)
                before = segment.text
            yield None
        yield Position(heard_s)

    def _parts(
        self, decoding: "_Decoding", options: TranscribeOptions
    ) -> Iterator[tuple[Window, Sequence[Segment]] | Work[Any]]:
        """Wait for a window; where its text cannot be what was said try it in a whole window, and that by halves.

        Short ones do not go wrong as easily. What the model has cut off at the end is decoded on its own.
        """
        window = decoding.window
        yield decoding.work
        result = decoding.work.result()
        segments = result.segments or ()
        seconds = result.rest_s if result.rest_s is not None else window.seconds
        least_chars_per_s = _LEAST_CHARS_PER_S if decoding.whole else _LEAST_CHARS_PER_S_FITTED
        doubtful = _is_doubtful(segments, seconds, options.language, least_chars_per_s)
        following: list[_Decoding] = []
        if not decoding.whole and (
            doubtful
            or not segments
            or is_crowded("".join(segment.text for segment in segments), seconds, options.language)
        ):
            following = [self._decoding(window, options, whole=True)]
        elif doubtful and not _is_last_try(window, options):
            following = [self._decoding(half, options, whole=True) for half in window.halves()]
        else:
            yield window, segments
            if result.rest_s is not None:
                following = [self._decoding(window.rest(result.rest_s), options)]
        for next_ in following:
            yield next_.work
        for next_ in following:
            yield from self._parts(next_, options)


@dataclass(frozen=True)
class _Decoding:
    """A window on its way through the model."""

    window: Window
    whole: bool  # in a window of 30 s
    work: Work[WindowResult]


def decode_in_turn(
    tasks: Sequence[WindowTask],
    tell: Callable[[AudioBlock], Mapping[str, float]],
    decode: Callable[[WindowTask], Iterable[Segment]],
) -> list[WindowResult]:
    """Decode windows one after the other, for engines that cannot do otherwise.

    Args:
        tell: the probability of each language.
        decode: is only given tasks with a language.
    """
    results = []
    for task in tasks:
        languages: Mapping[str, float] = {}
        if task.options.language is None:
            languages = tell(task.samples)
            code = max(languages, key=languages.__getitem__)
            if languages[code] <= task.sure_above:
                results.append(WindowResult(None, languages))
                continue
            task = replace(task, options=replace(task.options, language=code))  # noqa: PLW2901 - the same, told
        results.append(WindowResult(list(decode(task)), languages))
    return results


def _next_window(windows: Iterator[Window | None]) -> Generator[None, None, Window | None]:
    for window in windows:
        if window is not None:
            return window
        yield None
    return None


def _is_last_try(window: Window, options: TranscribeOptions) -> bool:
    return options.temperature > 0 or window.seconds < 2 * _LEAST_PART_S


def _is_doubtful(
    segments: Sequence[Segment], seconds: float, language: str | None, least_chars_per_s: float = _LEAST_CHARS_PER_S
) -> bool:
    """Whether a text repeats itself, is improbable, or is too short for the time that it took to say."""
    if not segments:
        return False
    least_chars_per_s /= 3 if language in DENSE_SCRIPTS else 1
    chars = [len(segment.text.strip()) for segment in segments]
    lengths_s = [segment.end_s - segment.start_s for segment in segments]
    thin = any(
        length_s >= _LONG_S and count < least_chars_per_s * length_s
        for count, length_s in zip([*chars, sum(chars)], [*lengths_s, seconds], strict=True)
    )
    return thin or any(
        is_doubtful(
            compression_ratio=segment.compression_ratio,
            avg_logprob=segment.avg_logprob,
            no_speech_prob=segment.no_speech_prob,
        )
        for segment in segments
    )


def _is_invented(segment: Segment, before: str) -> bool:
    """Whether a segment is what models write where nobody speaks; ``before`` is the text of the one ahead of it."""
    if not has_speech(segment.text):
        return True
    if is_of_silence(avg_logprob=segment.avg_logprob, no_speech_prob=segment.no_speech_prob):
        return True
    return is_repetitive(segment.compression_ratio) and segment.text == before


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
