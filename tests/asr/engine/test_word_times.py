"""Words at the sound, whatever the model said."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from voice_stack.asr.engine.base import SAMPLE_RATE_HZ, Word
from voice_stack.asr.engine.word_times import snap_to_sound

NOISE = np.random.default_rng(0).standard_normal(60 * SAMPLE_RATE_HZ).astype(np.float32)


def spoken(*spans: tuple[float, float], seconds: float, floor: float = 0.0) -> np.ndarray:
    """Noise at the given spans, in seconds; ``floor`` is how loud the rest is."""
    audio = floor * NOISE[: round(seconds * SAMPLE_RATE_HZ)]
    for start_s, end_s in spans:
        first, last = round(start_s * SAMPLE_RATE_HZ), round(end_s * SAMPLE_RATE_HZ)
        audio[first:last] = 0.2 * NOISE[first:last]
    return audio


def word(start_s: float, end_s: float) -> Word:
    return Word(start_s, end_s, " word", 0.9)


def times(words: list[Word]) -> list[tuple[float, float]]:
    return [(round(word.start_s, 2), round(word.end_s, 2)) for word in words]


def test_words_that_come_early_move_to_their_sound() -> None:
    audio = spoken((1.0, 1.4), (1.6, 2.1), seconds=3)
    assert times(snap_to_sound([word(0.7, 1.3), word(1.3, 1.9)], audio)) == [(1.0, 1.4), (1.6, 2.1)]


def test_a_word_that_comes_late_moves_back_a_little() -> None:
    assert times(snap_to_sound([word(1.08, 1.5)], spoken((1.0, 1.4), seconds=2))) == [(1.0, 1.4)]


def test_noise_that_hides_the_pauses_moves_nothing() -> None:
    audio = spoken((1.0, 1.4), (1.6, 2.1), seconds=3, floor=0.1)
    assert times(snap_to_sound([word(0.7, 1.3), word(1.3, 1.9)], audio)) == [(0.7, 1.3), (1.3, 1.9)]


def test_fluent_speech_without_pauses_stays_as_it_is() -> None:
    words = [word(0.5, 0.9), word(0.9, 1.2), word(1.2, 1.6)]
    assert snap_to_sound(words, spoken((0.0, 2.0), seconds=2)) == words


def test_no_words_and_no_audio() -> None:
    assert snap_to_sound([], spoken(seconds=1)) == []
    assert snap_to_sound([word(0, 0)], np.zeros(0, np.float32)) == [word(0, 0)]


@given(
    sounds=st.lists(st.floats(0.02, 1.0), min_size=1, max_size=12),
    edges=st.lists(st.floats(0.0, 10.0), min_size=2, max_size=20),
)
def test_words_stay_in_order_and_do_not_overlap(sounds: list[float], edges: list[float]) -> None:
    ends = np.cumsum(sounds)
    audio = spoken(
        *((float(end) - size, float(end) - size / 3) for end, size in zip(ends, sounds, strict=True)), seconds=12
    )
    edges = sorted(edges)
    words = [word(start_s, end_s) for start_s, end_s in pairwise(edges)]
    snapped = snap_to_sound(words, audio)
    assert len(snapped) == len(words)
    assert all(one.start_s <= one.end_s for one in snapped)
    assert all(one.end_s <= two.start_s for one, two in pairwise(snapped))
    assert all(abs(one.start_s - two.start_s) <= 0.46 for one, two in zip(snapped, words, strict=True))
