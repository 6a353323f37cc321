"""Voice activity detection on a stream, with Silero's ONNX model, which ships inside faster-whisper.

Source: Silero VAD v6 (snakers4/silero-vad) and its segmentation with two thresholds; here it runs over blocks of any
length with the model's state kept between them, so that a film needs no more memory than a minute of it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 16_000
WINDOW = 512
"""Samples that the model judges at a time: 32 ms."""
_CONTEXT = 64
_MEMORY = 5 * SAMPLE_RATE_HZ // WINDOW
_WARM_UP = SAMPLE_RATE_HZ // WINDOW


@dataclass(frozen=True)
class VadOptions:
    """When audio counts as speech."""

    threshold: float = 0.5  # speech begins at this probability
    release: float = 0.35  # and ends below this one
    min_speech_s: float = 0.1  # shorter speech is a click
    min_silence_s: float = 0.5  # a shorter pause does not end the speech
    pad_s: float = 0.4  # audio kept on both sides of the speech


EVERYTHING = VadOptions(threshold=0.0, release=0.0, min_speech_s=0.0)
"""All audio counts as speech; the model still finds the quiet places to cut at."""


@dataclass(frozen=True)
class Speech:
    """A stretch of speech with its padding."""

    start: int
    """First sample, counted from the start of the stream."""

    samples: NDArray[np.float32]
    """Mono, 16 kHz, shape (samples,)."""


class SpeechProbabilities:
    """Silero's model over a stream: one probability for each 512 samples.

    Its memory is cleared every five seconds, with a second of what came before to start from. Left alone it gets used
    to a hum or a rush, and then takes speech above it for more of the same, for half a second or altogether.
    """

    def __init__(self) -> None:
        from faster_whisper.vad import get_vad_model

        self._session = get_vad_model().session
        self._seen = 0  # windows
        self._recent = np.zeros((0, WINDOW), np.float32)
        self._clear()

    def __call__(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Judge whole windows: ``samples`` has a multiple of 512; returns shape (samples / 512,)."""
        windows = samples.reshape(-1, WINDOW)
        probabilities = [np.zeros(0, np.float32)]
        while windows.size:
            if self._seen % _MEMORY == 0:
                self._clear()
                if self._recent.size:
                    self._run(self._recent)
            following = windows[: _MEMORY - self._seen % _MEMORY]
            probabilities.append(self._run(following))
            self._seen += len(following)
            self._recent = np.concatenate([self._recent, following])[-_WARM_UP:]
            windows = windows[len(following) :]
        return np.concatenate(probabilities)

    def _clear(self) -> None:
        self._h: Any = np.zeros((1, 1, 128), np.float32)
        self._c: Any = np.zeros((1, 1, 128), np.float32)
        self._context = np.zeros(_CONTEXT, np.float32)

    def _run(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        before = np.concatenate([self._context[None], windows[:-1, -_CONTEXT:]])
        given = {"input": np.concatenate([before, windows], axis=1), "h": self._h, "c": self._c}
        judged, self._h, self._c = self._session.run(None, given)
        self._context = windows[-1, -_CONTEXT:]
        return np.asarray(judged, np.float32).reshape(-1)


def find_speech(
    blocks: Iterable[NDArray[np.float32]], options: VadOptions = VadOptions(), *, max_speech_s: float = 25.0
) -> Iterator[Speech | None]:
    """Cut a stream into its stretches of speech.

    Gives each stretch when it has ended, with the silence between left out, and None after each block that ended
    none. A stretch longer than ``max_speech_s`` is cut where speech is least probable; its pieces follow without a gap.

    Args:
        blocks: mono float32 at 16 kHz, each of shape (samples,), of any length.
    """
    judge = SpeechProbabilities()
    cutter = _Cutter(options, round(max_speech_s * SAMPLE_RATE_HZ) // WINDOW)
    left = np.zeros(0, np.float32)
    for block in blocks:
        samples = np.concatenate([left, block])
        whole = samples.size - samples.size % WINDOW
        found = cutter.feed(samples[:whole], judge(samples[:whole]))
        left = samples[whole:]
        yield from found
        if not found:
            yield None
    if left.size:
        padded = np.concatenate([left, np.zeros(WINDOW - left.size, np.float32)])
        yield from cutter.feed(left, judge(padded))
    yield from cutter.end()


class _Cutter:
    """Turns probabilities into stretches; counts in windows of 512 samples."""

    def __init__(self, options: VadOptions, max_windows: int) -> None:
        self._options = options
        self._max = max_windows
        self._pad = _windows(options.pad_s)
        self._min_speech = _windows(options.min_speech_s)
        self._min_silence = _windows(options.min_silence_s)
        self._samples = np.zeros(0, np.float32)  # from self._base on
        self._probabilities: list[float] = []
        self._base = 0  # the first window that is kept
        self._next = 0  # the first window that was not looked at
        self._begin: int | None = None  # where the current speech begins, padding included
        self._voiced = 0  # voiced windows of the current speech
        self._last_voiced = 0
        self._free = 0  # no stretch may begin before: what came before it was given out

    def feed(self, samples: NDArray[np.float32], probabilities: NDArray[np.float32]) -> list[Speech]:
        """Look at the next windows; the last of them may be short."""
        self._samples = np.concatenate([self._samples, samples])
        self._probabilities += probabilities.tolist()
        found = []
        for number in range(self._next, self._base + len(self._probabilities)):
            found += self._look(number)
        self._next = self._base + len(self._probabilities)
        self._forget()
        return found

    def end(self) -> list[Speech]:
        """What is still going on at the end of the stream."""
        return self._close() if self._begin is not None else []

    def _look(self, number: int) -> list[Speech]:
        probability = self._probabilities[number - self._base]
        if self._begin is None:
            if probability >= self._options.threshold:
                self._begin = max(self._free, number - self._pad)
                self._voiced, self._last_voiced = 1, number
            return []
        if probability >= self._options.release:
            self._voiced += 1
            self._last_voiced = number
        elif number - self._last_voiced >= max(self._min_silence, self._pad):
            return self._close()
        if number + 1 - self._begin >= self._max:
            return self._cut(number + 1)
        return []

    def _close(self) -> list[Speech]:
        assert self._begin is not None  # noqa: S101 - the callers have looked
        begin, end = self._begin, self._last_voiced + 1 + self._pad
        self._begin = None
        if self._voiced < self._min_speech:
            return []
        self._free = end
        return [self._take(begin, end)]

    def _cut(self, end: int) -> list[Speech]:
        """Cut a long stretch at its quietest place in its last third."""
        assert self._begin is not None  # noqa: S101 - the callers have looked
        begin = self._begin
        first = begin + self._max * 2 // 3
        tail = self._probabilities[first - self._base : end - self._base]
        at = first + int(np.argmin(tail)) + 1
        self._begin = self._free = at
        return [self._take(begin, at)]

    def _take(self, begin: int, end: int) -> Speech:
        samples = self._samples[(begin - self._base) * WINDOW : (end - self._base) * WINDOW]
        return Speech(begin * WINDOW, samples.copy())

    def _forget(self) -> None:
        keep = self._begin if self._begin is not None else max(self._free, self._next - self._pad)
        drop = min(keep, self._next) - self._base
        if drop > 0:
            self._samples = self._samples[drop * WINDOW :]
            del self._probabilities[:drop]
            self._base += drop


def _windows(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE_HZ / WINDOW)
