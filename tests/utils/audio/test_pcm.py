import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from voice_stack.utils.audio.pcm import bounded, float_to_int16


@given(st.lists(st.floats(width=32)))
def test_any_floats_become_samples_in_range(values: list[float]) -> None:
    samples = bounded(np.array(values, np.float32))

    assert samples.dtype == np.float32
    assert np.all(np.abs(samples) <= 1.0)


@given(st.lists(st.floats(min_value=-1, max_value=1, width=32)))
def test_samples_in_range_stay_as_they_are(values: list[float]) -> None:
    assert bounded(np.array(values, np.float32)).tolist() == values


def test_int16_is_symmetric_clips_and_takes_nan_for_silence() -> None:
    samples = np.array([0, 1, -1, 0.5, 3, -3, np.nan, np.inf, -np.inf], np.float32)

    converted = float_to_int16(samples)

    assert converted.dtype == np.int16
    assert converted.tolist() == [0, 32767, -32767, 16384, 32767, -32767, 0, 32767, -32767]


def test_the_callers_samples_are_not_changed() -> None:
    samples = np.array([2, np.nan], np.float32)

    bounded(samples)
    float_to_int16(samples)

    assert samples[0] == 2
    assert np.isnan(samples[1])
