"""Speech found in a stream, with Silero's real model."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.support.noises import hum, silence
from tests.support.speech import Sample, decode
from voice_stack.utils.audio.vad import EVERYTHING, Speech, VadOptions, find_speech

RATE_HZ = 16_000
DEFAULT = VadOptions()
Samples = NDArray[np.float32]


@pytest.fixture(scope="module")
def fox(samples: list[Sample]) -> Samples:
    (sample,) = (sample for sample in samples if sample.path.stem == "quick_brown_fox")
    return decode(sample.path.read_bytes())


def found(*blocks: Samples, options: VadOptions = DEFAULT, max_speech_s: float = 25.0) -> list[Speech]:
    return [speech for speech in find_speech(blocks, options, max_speech_s=max_speech_s) if speech]


def test_silence_has_none_and_speech_is_found_where_it_is(fox: Samples) -> None:
    quiet = np.zeros(5 * RATE_HZ, np.float32)
    assert found(quiet) == []
    (speech,) = found(quiet, fox, quiet)
    assert 4.4 * RATE_HZ <= speech.start <= 5.3 * RATE_HZ
    end = speech.start + speech.samples.size
    assert 5 * RATE_HZ + fox.size - 0.5 * RATE_HZ <= end <= 5.5 * RATE_HZ + fox.size
    assert np.array_equal(speech.samples, np.concatenate([quiet, fox, quiet])[speech.start : end])


@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(1, 400_000), max_size=8))
def test_the_result_does_not_depend_on_how_the_stream_is_cut(fox: Samples, cuts: list[int]) -> None:
    quiet = np.zeros(2 * RATE_HZ + 77, np.float32)
    audio = np.concatenate([quiet, fox, quiet, fox, quiet])
    whole, cut = found(audio), found(*np.split(audio, sorted(place for place in cuts if place < audio.size)))
    assert len(whole) == 2
    assert [speech.start for speech in cut] == [speech.start for speech in whole]
    assert all(np.array_equal(one.samples, other.samples) for one, other in zip(cut, whole, strict=True))


def test_speech_after_minutes_of_hum_is_found_from_its_beginning(fox: Samples) -> None:
    rng = np.random.default_rng(1)
    before = np.concatenate([hum(120, rng), silence(1, rng)])
    speech = found(before, np.float32(0.1) * fox, silence(2, rng))[-1]
    assert speech.start <= before.size


def test_long_speech_is_cut_without_a_gap(fox: Samples) -> None:
    pieces = found(np.tile(fox, 12), options=EVERYTHING, max_speech_s=10)
    assert len(pieces) >= 3
    assert all(piece.samples.size <= 10 * RATE_HZ for piece in pieces)
    for piece, following in pairwise(pieces):
        assert piece.start + piece.samples.size == following.start
