"""Windows of speech and the way back to the times of the upload."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from voice_stack.asr.engine.base import SAMPLE_RATE_HZ
from voice_stack.asr.engine.windows import MOST_GAP_S, WINDOW_S, Window, join_speech
from voice_stack.utils.audio.vad import Speech


def stretches(*spans: tuple[float, float]) -> list[Speech]:
    """Speech at spans of seconds; each sample is its own number in the upload."""
    return [
        Speech(
            round(start * SAMPLE_RATE_HZ),
            np.arange(round(start * SAMPLE_RATE_HZ), round(end * SAMPLE_RATE_HZ), dtype=np.float32),
        )
        for start, end in spans
    ]


def joined(*spans: tuple[float, float]) -> list[Window]:
    return [window for window in join_speech(stretches(*spans)) if window]


def test_stretches_share_a_window_while_they_fit_and_are_near() -> None:
    assert len(joined((0, 10), (12, 20), (21, 30))) == 1
    assert [window.samples.size / SAMPLE_RATE_HZ for window in joined((0, 20), (21, 30))] == [20, 9]
    assert len(joined((0, 2), (2 + MOST_GAP_S + 1, 15))) == 2
    assert all(
        window.samples.size <= WINDOW_S * SAMPLE_RATE_HZ for window in joined(*((n, n + 0.9) for n in range(99)))
    )


def test_a_word_at_a_join_lies_in_the_stretch_that_holds_more_of_it() -> None:
    (window,) = joined((10, 12), (15, 18))
    assert window.upload_span(0.5, 1.0) == (10.5, 11.0)
    assert window.upload_span(1.5, 2.1) == (11.5, 12.0)
    assert window.upload_span(1.9, 2.6) == (15.0, 15.6)
    assert window.upload_time(2.0) == 15.0
    assert window.upload_time(2.0, is_end=True) == 12.0


@given(st.lists(st.tuples(st.floats(0.1, 6.0), st.floats(0.05, 5.0)), min_size=2, max_size=6))
def test_halves_are_the_whole_and_keep_the_times(lengths: list[tuple[float, float]]) -> None:
    at, spans = 1.0, []
    for length, gap in lengths:
        spans.append((at, at + length))
        at += length + gap
    for window in joined(*spans):
        if window.samples.size < SAMPLE_RATE_HZ:
            continue
        first, second = window.halves()
        assert np.array_equal(np.concatenate([first.samples, second.samples]), window.samples)
        for half in (first, second):
            assert half.samples.size >= 0.2 * window.samples.size
            for offset, start in zip(half.offsets, half.starts, strict=True):
                assert half.samples[offset] == np.float32(start)
