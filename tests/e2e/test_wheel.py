"""The wheel that ``hatch build`` makes serves both, installed elsewhere."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import httpx
import pytest

from tests.conftest import ROOT
from tests.support.serving import service_process


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``hatch build`` makes."""
    folder = tmp_path_factory.mktemp("dist")
    own = ROOT / ".hatch" / "venv" / "bin" / "hatch"
    hatch = str(own) if own.exists() else shutil.which("hatch")
    assert hatch, "hatch is needed to build the wheel: run ./scripts/test.sh, or pip install hatch"
    subprocess.run([hatch, "build", str(folder)], cwd=ROOT, check=True, capture_output=True)
    return folder


def test_the_wheel_holds_the_package_and_nothing_else(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "voice_stack/py.typed" in names
    pages = [path for path in (ROOT / "src").rglob("*") if path.suffix in {".html", ".css", ".js", ".svg", ".txt"}]
    assert len(pages) > 10
    assert {path.relative_to(ROOT / "src").as_posix() for path in pages} <= set(names)
    assert {name.split("/")[0] for name in names} == {"voice_stack", wheel.name.split("-py3")[0] + ".dist-info"}
    assert list(dist.glob("*.tar.gz"))


def test_installed_in_a_new_environment_the_wheel_speaks_and_listens(
    dist: Path, tmp_path: Path, model_dir: Path
) -> None:
    (wheel,) = dist.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run(
        [str(python), "-m", "pip", "install", "--quiet", f"{wheel}[asr,tts,embedded]"],
        check=True,
        cwd=tmp_path,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    env = {"MODEL_DIR": str(model_dir)}
    with (
        service_process("asr", elsewhere, env=env, python=python) as asr,
        service_process("tts", elsewhere, env=env, python=python) as tts,
    ):
        body = {"model": "tts-1", "voice": "alloy", "input": "The wheel is turning."}
        spoken = httpx.post(f"{tts.base_url}/v1/audio/speech", json=body, timeout=60)
        assert spoken.status_code == 200
        files = {"file": ("speech.mp3", spoken.content)}
        heard = httpx.post(f"{asr.base_url}/v1/audio/transcriptions", files=files, timeout=60)
    assert "wheel is turning" in heard.json()["text"].lower()
