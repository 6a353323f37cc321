"""Audio of more than the service takes."""

import io
import math
import time

import numpy as np
import pytest

from tests.support.bombs import silent_flac
from tests.utils.audio.helpers import RATE_HZ, mux, tone
from voice_stack.core.errors import InvalidAudioError
from voice_stack.utils.audio.decode import decode_audio
from voice_stack.utils.audio.raw import decode_pcm


def decoded_s(data: bytes, max_s: float) -> float:
    return sum(map(len, decode_audio(io.BytesIO(data), max_s=max_s))) / RATE_HZ


def test_days_of_audio_in_a_small_file_are_refused_at_once() -> None:
    bomb = silent_flac(86_400)
    assert len(bomb) < 400_000
    started_at = time.monotonic()
    blocks = decode_audio(io.BytesIO(bomb), max_s=43_200)
    with pytest.raises(InvalidAudioError, match=r"longer than 43200 s, .* \(MAX_AUDIO_S\)") as refused:
        next(blocks)

    assert (refused.value.status, refused.value.code, refused.value.param) == (400, "audio_too_long", "file")
    assert time.monotonic() - started_at < 3


@pytest.mark.parametrize("declared_s", [0.0, 10.0])
def test_audio_that_does_not_say_how_long_it_is_ends_at_the_limit(declared_s: float) -> None:
    heard = 0
    with pytest.raises(InvalidAudioError, match="longer than 100 s"):
        for block in decode_audio(io.BytesIO(silent_flac(300, declared_s=declared_s)), max_s=100):
            heard += len(block)
    assert heard <= 100 * RATE_HZ


def test_the_limit_itself_is_not_too_long() -> None:
    data = mux("wav", "pcm_s16le", tone(2, RATE_HZ), RATE_HZ)
    assert decoded_s(data, 2.0) == 2.0
    with pytest.raises(InvalidAudioError, match="longer"):
        decoded_s(data, 1.99)
    assert decoded_s(data, math.inf) == 2.0


def test_a_header_alone_that_says_so_does_not_make_it_too_long() -> None:
    # What was streamed has the largest size that there is, 37 hours, in its header.
    data = bytearray(mux("wav", "pcm_s16le", tone(2, RATE_HZ), RATE_HZ))
    data[4:8] = data[data.index(b"data") + 4 : data.index(b"data") + 8] = b"\xff" * 4
    assert decoded_s(bytes(data), 100) == pytest.approx(2, abs=0.01)
    with pytest.raises(InvalidAudioError, match="cut off"):
        decoded_s(silent_flac(20, declared_s=1e6), 43_200)


def test_silence_that_is_filled_in_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voice_stack.utils.audio.timeline.Timeline.gap_s", lambda *_: 30.0)
    with pytest.raises(InvalidAudioError, match="longer than 25 s"):
        decoded_s(mux("wav", "pcm_s16le", tone(1, RATE_HZ), RATE_HZ), 25)


def test_pcm_is_too_long_by_its_size() -> None:
    data = np.zeros(2 * RATE_HZ, "<i2").tobytes()
    assert sum(map(len, decode_pcm(io.BytesIO(data), max_s=2))) == 2 * RATE_HZ
    with pytest.raises(InvalidAudioError, match="longer than 1 s") as refused:
        next(decode_pcm(io.BytesIO(data), max_s=1))
    assert refused.value.code == "audio_too_long"
