"""Speech joined into windows that a model decodes at once, with the way back to the times of the upload."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from voice_stack.asr.engine.base import SAMPLE_RATE_HZ, AudioBlock
from voice_stack.utils.audio.vad import Speech

WINDOW_S = 28.0
"""Most speech in a window: Whisper decodes 30 s at once, and a little less keeps the last word off the edge."""

MOST_GAP_S = 10.0
"""Stretches further apart do not share a window: models write one sentence across the join, minutes long then."""

_FRAME = SAMPLE_RATE_HZ // 50
_QUIET_FRAMES = 10


@dataclass(frozen=True)
class Window:
    """Stretches of speech, one after the other without the silence between them."""

    samples: AudioBlock
    offsets: tuple[int, ...]  # where each stretch begins in the window, in samples
    starts: tuple[int, ...]  # where each stretch begins in the upload, in samples

    def upload_time(self, time_s: float, *, is_end: bool = False) -> float:
        """The time in the upload of a time in the window, both in seconds.

        At the join of two stretches an end belongs to the first one and a start to the second.
        """
        sample = round(time_s * SAMPLE_RATE_HZ)
        return self._in_upload(sample, self._stretch(sample - is_end))

    def upload_span(self, start_s: float, end_s: float) -> tuple[float, float]:
        """The same for the start and the end of a word: it lies in one stretch, the one that it overlaps most."""
        first, last = round(start_s * SAMPLE_RATE_HZ), round(end_s * SAMPLE_RATE_HZ)
        index = self._stretch(first)
        index = max(
            range(index, max(index, bisect_left(self.offsets, last) - 1) + 1), key=partial(self._overlap, first, last)
        )
        return self._in_upload(first, index), self._in_upload(last, index)

    def halves(self) -> "tuple[Window, Window]":
        """Two windows, cut where it is quietest in the middle half; joins of stretches are quiet."""
        frames = self.samples[: self.samples.size - self.samples.size % _FRAME].reshape(-1, _FRAME)
        quarter = len(frames) // 4
        loudness = np.convolve(np.mean(np.square(frames), axis=1), np.ones(_QUIET_FRAMES), "same")
        at = (quarter + int(np.argmin(loudness[quarter : 3 * quarter]))) * _FRAME
        return self._part(0, at), self._part(at, self.samples.size)

    @property
    def seconds(self) -> float:
        """Length of the window."""
        return self.samples.size / SAMPLE_RATE_HZ

    def rest(self, start_s: float) -> "Window":
        """The window from a time in it on."""
        return self._part(round(start_s * SAMPLE_RATE_HZ), self.samples.size)

    def _part(self, first: int, last: int) -> "Window":
        begins = [first, *(offset for offset in self.offsets if first < offset < last)]
        starts = [
            self.starts[index] + begin - self.offsets[index] for begin in begins for index in [self._stretch(begin)]
        ]
        return Window(self.samples[first:last], tuple(begin - first for begin in begins), tuple(starts))

    def _stretch(self, sample: int) -> int:
        return max(0, bisect_right(self.offsets, sample) - 1)

    def _overlap(self, first: int, last: int, index: int) -> int:
        begin, end = self._bounds(index)
        return min(last, end) - max(first, begin)

    def _in_upload(self, sample: int, index: int) -> float:
        begin, end = self._bounds(index)
        return (self.starts[index] + min(max(sample, begin), end) - begin) / SAMPLE_RATE_HZ

    def _bounds(self, index: int) -> tuple[int, int]:
        return self.offsets[index], self.offsets[index + 1] if index + 1 < len(self.offsets) else self.samples.size


def join_speech(speech: Iterable[Speech | None], *, window_s: float = WINDOW_S) -> Iterator[Window | None]:
    """Join stretches into windows; passes on the None that marks a place where work can be abandoned."""
    waiting: list[Speech] = []
    size = end = 0
    for stretch in speech:
        if stretch is None:
            yield None
            continue
        too_long = size + stretch.samples.size > window_s * SAMPLE_RATE_HZ
        if waiting and (too_long or stretch.start - end > MOST_GAP_S * SAMPLE_RATE_HZ):
            yield _window(waiting)
            waiting, size = [], 0
        waiting.append(stretch)
        size += stretch.samples.size
        end = stretch.start + stretch.samples.size
    if waiting:
        yield _window(waiting)


def _window(stretches: list[Speech]) -> Window:
    sizes = [stretch.samples.size for stretch in stretches]
    offsets = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    return Window(
        np.concatenate([stretch.samples for stretch in stretches]),
        tuple(int(offset) for offset in offsets),
        tuple(stretch.start for stretch in stretches),
    )
