"""Times of words as an engine gives them, made usable."""

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from voice_stack.asr.engine.base import Segment, Word

_WITNESSES = 8
"""A start is believed unless most of this many words after it start earlier."""


@dataclass(frozen=True)
class TimedText:
    """Text as it was given; ``0 <= start_ms <= end_ms <=`` the audio's length."""

    start_ms: int
    end_ms: int
    text: str


def spoken_words(segments: Iterable[Segment]) -> Iterator[Word]:
    """The words of segments, each by each; a segment that has none gives its text, for `mend` and the layout to cut."""
    for segment in segments:
        if segment.words:
            yield from segment.words
        else:
            yield Word(segment.start_s, segment.end_s, segment.text, math.exp(min(segment.avg_logprob, 0.0)))


def mend(words: Iterable[Word], duration_ms: int) -> Iterator[TimedText]:
    """Give words times in order and inside the audio, without overlaps; the order and the texts stay.

    A start that is not finite, lies before the one ahead of it, or after most of those behind it, becomes the one
    ahead of it. A word ends no later than the next one starts. Needs to see `_WITNESSES` words ahead.
    """
    held: TimedText | None = None
    for word, later in _with_later(words):
        before = held.start_ms if held else 0
        start_ms = _milliseconds(word.start_s, before)
        if start_ms < before or 2 * sum(other < word.start_s for other in later) > len(later):
            start_ms = before
        start_ms = min(start_ms, duration_ms)
        if held:
            yield replace(held, end_ms=min(held.end_ms, start_ms))
        end_ms = min(max(_milliseconds(word.end_s, start_ms), start_ms), duration_ms)
        held = TimedText(start_ms, end_ms, word.text)
    if held:
        yield held


def _with_later(words: Iterable[Word]) -> Iterator[tuple[Word, list[float]]]:
    """Each word with the starts, where known, of the next few."""
    queue: deque[Word] = deque()
    for word in words:
        queue.append(word)
        if len(queue) > _WITNESSES:
            first = queue.popleft()
            yield first, [other.start_s for other in queue if math.isfinite(other.start_s)]
    while queue:
        first = queue.popleft()
        yield first, [other.start_s for other in queue if math.isfinite(other.start_s)]


def _milliseconds(seconds: float, unknown: int) -> int:
    return round(seconds * 1000) if math.isfinite(seconds) else unknown
