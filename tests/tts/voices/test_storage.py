"""Files that are there whole or not at all."""

from pathlib import Path
from typing import BinaryIO

import pytest

from voice_stack.tts.voices.storage import claim, write_temporary


def test_a_name_is_claimed_once_whatever_stands_there(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    claim(write_temporary(tmp_path, lambda file: file.write(b"first")), tmp_path / "file")
    second = write_temporary(tmp_path, lambda file: file.write(b"second"))
    for name in ("file", "folder", "link"):
        with pytest.raises(FileExistsError):
            claim(second, tmp_path / name)
    assert (tmp_path / "file").read_bytes() == b"first"
    assert not (tmp_path / "nowhere").exists()


def test_a_file_that_cannot_be_written_to_its_end_leaves_nothing(tmp_path: Path) -> None:
    def fill(file: BinaryIO) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_temporary(tmp_path, fill)
    assert list(tmp_path.iterdir()) == []
