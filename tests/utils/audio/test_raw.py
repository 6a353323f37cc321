import io
import tempfile
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import pytest

from tests.utils.audio.helpers import needs_proc, resident_bytes
from voice_stack.core.errors import InvalidAudioError
from voice_stack.utils.audio.raw import decode_pcm


def test_samples_come_out_as_they_are_stored() -> None:
    stored = np.array([0, 1, -1, 16_384, 32_767, -32_768], "<i2")

    (block,) = decode_pcm(io.BytesIO(stored.tobytes()))

    assert block.dtype == np.float32
    np.testing.assert_array_equal(block * 32768, stored)


def test_blocks_are_twenty_seconds_and_the_last_is_the_rest() -> None:
    assert [len(block) / 16_000 for block in decode_pcm(io.BytesIO(bytes(2 * 16_000 * 41)))] == [20, 20, 1]


def test_rate_and_length_of_blocks_may_be_others() -> None:
    blocks = decode_pcm(io.BytesIO(bytes(2 * 8_000 * 5)), sample_rate_hz=8_000, block_s=2)

    assert [len(block) for block in blocks] == [16_000, 16_000, 8_000]


def test_half_a_sample_at_the_end_is_left_out() -> None:
    assert [len(block) for block in decode_pcm(io.BytesIO(bytes(2 * 16_000 * 20 + 1)))] == [320_000]
    assert [len(block) for block in decode_pcm(io.BytesIO(bytes(7)))] == [3]


@pytest.mark.parametrize("data", [b"", b"\0"])
def test_a_file_without_a_sample_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidAudioError, match="empty") as refused:
        list(decode_pcm(io.BytesIO(data)))

    assert refused.value.param == "file"


def test_a_file_is_read_from_its_start_and_stays_open() -> None:
    with tempfile.TemporaryFile() as source:
        source.write(bytes(3_000))
        assert sum(map(len, decode_pcm(source))) == 1_500
        assert not source.closed


def test_a_file_that_hands_out_little_at_a_time_is_read_whole() -> None:
    class Sluggish(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(size or 0, 1_001))

    stored = np.arange(20_000, dtype="<i2")
    blocks = list(decode_pcm(cast("BinaryIO", Sluggish(stored.tobytes())), block_s=1))

    assert [len(block) for block in blocks] == [16_000, 4_000]
    np.testing.assert_array_equal(np.concatenate(blocks) * 32768, stored)


def test_the_audio_ends_where_the_file_is_closed() -> None:
    source = io.BytesIO(bytes(2 * 16_000 * 60))
    blocks = decode_pcm(source)
    next(blocks)
    source.close()

    assert list(blocks) == []


@needs_proc
def test_memory_does_not_grow_with_the_files_length(tmp_path: Path) -> None:
    path = tmp_path / "long.pcm"
    with path.open("wb") as file:
        file.truncate(2 * 16_000 * 3600)

    with path.open("rb") as source:
        blocks = decode_pcm(source)
        next(blocks)
        memory = resident_bytes()
        peak = max(resident_bytes() for _ in blocks)

    assert peak - memory < 8_000_000
