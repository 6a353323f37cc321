"""Word times moved to the sound: cross-attention places words about a quarter of a second early next to a pause."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from voice_stack.asr.engine.base import SAMPLE_RATE_HZ, AudioBlock, Word

_FRAME = SAMPLE_RATE_HZ // 100
_FRAME_S = _FRAME / SAMPLE_RATE_HZ
_QUIET_DB = 25.0  # below the loud parts of the window
_LOUD_PERCENTILE = 95
_LEAST_PAUSE = 6  # frames; the closure of a p or t is shorter, mostly
_EARLY_S = 0.1  # a pause may lie so far before the time that the model gave
_LATE_S = 0.45  # and so far after it
_LEAST_WORD_S = 0.05


def snap_to_sound(words: Sequence[Word], samples: AudioBlock) -> list[Word]:
    """Move the edges of words to the edges of the nearest pause, where there is one.

    Words stay in order and do not overlap where they did not. Where background noise hides the pauses, nothing moves.

    Args:
        words: with times in seconds in ``samples``.
        samples: shape (samples,), 16 kHz.
    """
    pauses = _pauses(samples)
    starts = [_start(word, pauses) for word in words]
    snapped: list[Word] = []
    for index, word in enumerate(words):
        following_s = max(starts[index], starts[index + 1]) if index + 1 < len(words) else np.inf
        end_s = max(starts[index], min(_end(word, starts[index], pauses), following_s))
        snapped.append(replace(word, start_s=starts[index], end_s=end_s))
    ordered = all(first.start_s <= second.start_s for first, second in pairwise(snapped))
    return snapped if ordered else list(words)


def _pauses(samples: AudioBlock) -> list[tuple[float, float]]:
    """The runs of quiet frames, in seconds; the edges of the window count as quiet."""
    frames = samples[: samples.size - samples.size % _FRAME].reshape(-1, _FRAME)
    if not frames.size:
        return []
    level_db: NDArray[np.float32] = 10 * np.log10(np.mean(np.square(frames), axis=1) + 1e-10)
    quiet = level_db < np.percentile(level_db, _LOUD_PERCENTILE) - _QUIET_DB
    edges = np.flatnonzero(np.diff(np.concatenate([[False], quiet, [False]]).astype(np.int8)))
    return [
        (begin * _FRAME_S, end * _FRAME_S)
        for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
        if end - begin >= _LEAST_PAUSE
    ]


def _start(word: Word, pauses: Sequence[tuple[float, float]]) -> float:
    latest_s = min(word.start_s + _LATE_S, word.end_s + _LATE_S / 2)
    near = [
        end for begin, end in pauses if word.start_s - _EARLY_S <= end <= latest_s and begin <= word.start_s + _LATE_S
    ]
    return min(near, default=word.start_s)


def _end(word: Word, start_s: float, pauses: Sequence[tuple[float, float]]) -> float:
    near = [
        begin
        for begin, _ in pauses
        if max(start_s + _LEAST_WORD_S, word.end_s - _LATE_S) <= begin <= word.end_s + _LATE_S
    ]
    return min(near, key=lambda begin: abs(begin - word.end_s), default=max(word.end_s, start_s))
