from pathlib import Path

import numpy as np
import pytest
from av.filter import Graph
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.utils.audio.helpers import Samples, chirp, lag_samples, level_db, needs_proc, noise, resident_bytes, tone
from voice_stack.utils.audio.resample import Resampler

RATES_HZ = [8_000, 16_000, 22_050, 24_000, 44_100, 48_000, 96_000]


def resample(samples: Samples, from_hz: int, to_hz: int, cuts: list[int] | None = None) -> Samples:
    resampler = Resampler(from_hz, to_hz)
    pieces = [resampler.process(piece) for piece in np.split(samples, cuts or [])]
    return np.concatenate([*pieces, resampler.flush()])


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from(RATES_HZ),
    st.sampled_from(RATES_HZ),
    st.one_of(st.integers(0, 500), st.integers(0, 50_000)),
    st.lists(st.integers(0, 50_000)),
    st.booleans(),
)
def test_pieces_of_any_size_give_what_one_piece_gives(
    from_hz: int, to_hz: int, count: int, cuts: list[int], begins_with_single_samples: bool
) -> None:
    samples = noise(count)
    cuts = sorted(cut for cut in cuts if cut < count)
    if begins_with_single_samples:
        cuts = [*range(1, min(count, 400)), *(cut for cut in cuts if cut >= 400)]

    whole = resample(samples, from_hz, to_hz)

    assert abs(len(whole) - count * to_hz / from_hz) <= 1
    assert np.array_equal(resample(samples, from_hz, to_hz, cuts), whole)


@pytest.mark.parametrize(("from_hz", "to_hz"), [(48_000, 16_000), (44_100, 16_000), (22_050, 24_000), (24_000, 48_000)])
def test_a_tone_keeps_its_shape_and_place(from_hz: int, to_hz: int) -> None:
    expected = tone(2, to_hz, frequency_hz=1000)

    resampled = resample(tone(2, from_hz, frequency_hz=1000), from_hz, to_hz)

    inner = slice(to_hz // 4, -to_hz // 4)
    assert level_db(resampled[inner] - expected[inner], expected[inner]) < -90


@pytest.mark.parametrize("from_hz", [44_100, 48_000])
def test_what_lies_above_the_new_nyquist_frequency_does_not_come_back(from_hz: int) -> None:
    unwanted = tone(2, from_hz, frequency_hz=8_800)

    resampled = resample(unwanted, from_hz, 16_000)

    assert level_db(resampled[4_000:-4_000], unwanted) < -85


def test_what_lies_just_below_it_stays() -> None:
    wanted = tone(2, 48_000, frequency_hz=7_200)

    assert abs(level_db(resample(wanted, 48_000, 16_000)[4_000:-4_000], wanted)) < 0.1


def test_there_is_no_delay() -> None:
    assert lag_samples(resample(chirp(48_000, 48_000), 48_000, 16_000), chirp(16_000, 16_000)) == 0


def test_equal_rates_hand_the_samples_through() -> None:
    assert np.array_equal(resample(noise(1000), 16_000, 16_000, [1, 500]), noise(1000))


def test_a_flushed_resampler_begins_a_new_stream() -> None:
    resampler = Resampler(48_000, 16_000)
    first = np.concatenate([resampler.process(noise(9_000)), resampler.flush()])

    second = np.concatenate([resampler.process(noise(9_000)), resampler.flush()])

    assert np.array_equal(first, second)


@pytest.mark.parametrize(("from_hz", "to_hz"), [(0, 16_000), (16_000, -1)])
def test_a_rate_must_be_positive(from_hz: int, to_hz: int) -> None:
    with pytest.raises(ValueError, match="positive"):
        Resampler(from_hz, to_hz)


@needs_proc
def test_abandoned_resamplers_leave_nothing_behind() -> None:
    def abandon() -> None:
        for _ in range(100):
            Resampler(44_100, 16_000).process(noise(4_000))

    abandon()
    before = resident_bytes()
    abandon()

    assert resident_bytes() - before < 2_000_000


@needs_proc
@pytest.mark.skipif(not hasattr(Graph, "threads"), reason="this PyAV cannot be told")
def test_a_resampler_has_no_threads_of_its_own() -> None:
    tasks = Path("/proc/self/task")
    before = len(list(tasks.iterdir()))
    resamplers = [Resampler(24_000, 16_000) for _ in range(8)]
    for resampler in resamplers:
        resampler.process(np.zeros(2400, np.float32))
    assert len(list(tasks.iterdir())) == before
