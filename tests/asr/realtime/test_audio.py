"""Audio as clients send it, to samples of 16 kHz."""

import base64
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_stack.asr.realtime.audio import AudioInput, Encoding, decode_base64
from voice_stack.core.errors import InvalidRequestError

RATES = (
    ("audio/pcm", 24_000),
    ("audio/pcm", 16_000),
    ("audio/pcm", 44_100),
    ("audio/pcmu", 8000),
    ("audio/pcma", 8000),
)
NOISE = np.random.default_rng(7).integers(0, 256, 9000, dtype=np.uint8).tobytes()


@pytest.mark.parametrize(("encoding", "rate_hz"), RATES)
@given(cuts=st.lists(st.integers(0, len(NOISE)), max_size=30))
@settings(max_examples=30, deadline=None)
def test_any_cutting_of_the_bytes_gives_the_same_samples(encoding: Encoding, rate_hz: int, cuts: list[int]) -> None:
    whole, cut = AudioInput(encoding, rate_hz), AudioInput(encoding, rate_hz)
    expected = np.concatenate([whole.take(NOISE), whole.flush()])
    edges = [0, *sorted(cuts), len(NOISE)]
    pieces = [cut.take(NOISE[start:end]) for start, end in itertools.pairwise(edges)]
    np.testing.assert_array_equal(np.concatenate([*pieces, cut.flush()]), expected)


@pytest.mark.parametrize(("encoding", "rate_hz"), RATES)
def test_a_second_is_a_second(encoding: Encoding, rate_hz: int) -> None:
    audio = AudioInput(encoding, rate_hz)
    data = bytes(rate_hz * (2 if encoding == "audio/pcm" else 1))
    assert len(audio.take(data)) + len(audio.flush()) == 16_000


def test_half_a_sample_waits_for_its_other_half_across_a_flush() -> None:
    audio = AudioInput("audio/pcm", 16_000)
    assert len(audio.take(b"\x00\x40\x00")) == 1
    audio.flush()
    np.testing.assert_array_equal(audio.take(b"\x40"), [0.5])


@pytest.mark.parametrize("text", ["AAA", "A*AA", "AAAA AAAA", "AA==AAAA", "ÄÄÄÄ", "_-_-"])
def test_what_is_no_base64_is_refused_and_not_taken(text: str) -> None:
    audio = AudioInput("audio/pcm", 16_000)
    with pytest.raises(InvalidRequestError, match="base64") as caught:
        audio.take_base64(text)
    assert (caught.value.param, caught.value.code) == ("audio", "invalid_audio")
    assert len(audio.take(b"\x00\x40")) == 1


def test_base64_is_decoded() -> None:
    assert decode_base64(base64.b64encode(NOISE).decode()) == NOISE
