"""Temporary files with names: what is left of them, also where the process is killed."""

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest

from voice_stack.utils.temporary import sweep, temporary_folder, written

NAME = f".{'0123456789abcdef' * 2}.partial"

WRITER = """
import sys, time
from pathlib import Path
from voice_stack.utils.temporary import written

def fill(file):
    file.write(b"half of it")
    file.flush()
    print("writing", flush=True)
    time.sleep(60)

with written(Path(sys.argv[1]), fill):
    pass
"""

OWNER = """
import sys, time
from voice_stack.utils.temporary import temporary_folder

with temporary_folder("voice-stack-test-") as folder:
    (folder / "numbers.db").write_bytes(b"1")
    print(folder, flush=True)
    time.sleep(60)
"""


@contextmanager
def process(code: str, *arguments: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """A process at work, and the first line that it wrote. It is killed at the end."""
    command = [sys.executable, "-c", code, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        try:
            yield running, running.stdout.readline().strip()
        finally:
            running.kill()


def test_a_file_that_cannot_be_written_to_its_end_leaves_nothing(tmp_path: Path) -> None:
    def fill(file: BinaryIO) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"), written(tmp_path, fill):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_was_not_moved_to_its_place_goes(tmp_path: Path) -> None:
    with written(tmp_path, lambda file: file.write(b"all")) as path:
        assert path.read_bytes() == b"all"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_swept_at_once_and_what_a_running_one_writes_is_not(tmp_path: Path) -> None:
    with process(WRITER, str(tmp_path)) as (writer, said):
        assert said == "writing"
        (half,) = tmp_path.iterdir()
        sweep(tmp_path)
        assert half.read_bytes() == b"half of it"
        assert stat.S_IMODE(half.stat().st_mode) == 0o600
        writer.kill()
        writer.wait()
        sweep(tmp_path)
        assert list(tmp_path.iterdir()) == []


def test_only_files_of_ours_are_swept(tmp_path: Path) -> None:
    kept = {"voice.wav", ".hidden.partial", "film.partial", NAME[1:], f"{NAME}.wav"}
    for name in (*kept, NAME):
        (tmp_path / name).write_bytes(b"1")
    target = tmp_path / "target"
    target.write_bytes(b"1")
    (tmp_path / NAME.replace("0", "1")).symlink_to(target)
    (tmp_path / NAME.replace("0", "2")).mkdir()
    sweep(tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {*kept, "target", NAME.replace("0", "1"), NAME.replace("0", "2")}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
def test_a_file_of_somebody_else_is_not_swept(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"1")
    os.chown(tmp_path / NAME, 12345, -1)
    sweep(tmp_path)
    assert (tmp_path / NAME).exists()


def test_a_folder_that_is_not_there_is_nothing_to_sweep(tmp_path: Path) -> None:
    sweep(tmp_path / "nowhere")


def test_the_folder_of_a_killed_process_goes_and_that_of_a_neighbour_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with process(OWNER) as (killed, first), process(OWNER) as (_, second):
        killed.kill()
        killed.wait()
        assert Path(first, "numbers.db").exists()
        with temporary_folder("voice-stack-test-") as own:
            assert stat.S_IMODE(own.stat().st_mode) == 0o700
            assert {str(path) for path in tmp_path.iterdir()} == {str(own), second}
            assert Path(second, "numbers.db").exists()
        assert {str(path) for path in tmp_path.iterdir()} == {second}
