"""What files say of their length."""

import io

import numpy as np
import pytest

from tests.support.speech import wav_bytes
from voice_stack.utils.audio.duration import declared_duration_s

TONE = wav_bytes(np.zeros(40_000, np.float32))


def test_the_declared_length_is_told_and_the_file_stays_open() -> None:
    source = io.BytesIO(TONE)
    source.seek(100)
    assert declared_duration_s(source) == pytest.approx(2.5)
    assert not source.closed


@pytest.mark.parametrize("data", [b"", b"no media at all" * 100, b"#EXTM3U\n#EXTINF:9,\n/etc/passwd\n"])
def test_what_is_no_media_has_no_length(data: bytes) -> None:
    assert declared_duration_s(io.BytesIO(data)) is None
