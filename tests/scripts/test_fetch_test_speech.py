"""The tests' speech: checked, unpacked in one step, fetched once."""

import hashlib
import zipfile
from pathlib import Path

import pytest
from scripts.fetch_test_speech import INSIDE, FetchError, ensure_speech, unpack


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    path = tmp_path / "some.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{INSIDE}en/hello.txt", "Hello.")
        archive.writestr("pytest_audioeval/plugin.py", "raise SystemExit")
    return path


def test_only_the_speech_is_unpacked(wheel: Path, tmp_path: Path) -> None:
    target = unpack(wheel, tmp_path / "speech", hashlib.sha256(wheel.read_bytes()).hexdigest())
    files = [path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()]
    assert files == ["en/hello.txt"]


def test_a_wheel_with_another_checksum_is_refused(wheel: Path, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="sha256"):
        unpack(wheel, tmp_path / "speech")
    assert not (tmp_path / "speech").exists()


def test_speech_that_is_there_is_not_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "speech").mkdir()
    monkeypatch.setattr("sys.executable", "/no/such/python")
    assert ensure_speech(tmp_path) == tmp_path / "speech"


def test_the_real_data_has_a_transcript_for_each_recording() -> None:
    recordings = sorted(ensure_speech().rglob("*.wav"))
    assert len({path.parent.name for path in recordings}) == 9
    assert all(path.with_suffix(".txt").read_text(encoding="utf-8").strip() for path in recordings)
