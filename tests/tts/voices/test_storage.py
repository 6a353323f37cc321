"""Names that are taken once."""

import errno
import os
from pathlib import Path

import pytest

from voice_stack.tts.voices.storage import claim
from voice_stack.utils.temporary import written


def test_a_name_is_claimed_once_whatever_stands_there(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with written(tmp_path, lambda file: file.write(b"first")) as first:
        assert first.stat().st_mode & 0o777 == 0o600
        claim(first, tmp_path / "file")
    with written(tmp_path, lambda file: file.write(b"second")) as second:
        for name in ("file", "folder", "link"):
            with pytest.raises(FileExistsError):
                claim(second, tmp_path / name)
    umask = os.umask(0)
    os.umask(umask)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o666 & ~umask
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder", "link"]
    assert (tmp_path / "file").read_bytes() == b"first"
    assert not (tmp_path / "nowhere").exists()


def test_a_name_is_free_again_where_the_file_could_not_be_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_self: Path, _target: Path) -> None:
        raise OSError(errno.EIO, "input/output error")

    with written(tmp_path, lambda file: file.write(b"sample")) as temporary:
        with monkeypatch.context() as patched, pytest.raises(OSError, match="input/output"):
            patched.setattr(Path, "replace", fail)
            claim(temporary, tmp_path / "jane_en.wav")
        claim(temporary, tmp_path / "jane_en.wav")
    assert (tmp_path / "jane_en.wav").read_bytes() == b"sample"
