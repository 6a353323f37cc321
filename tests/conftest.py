"""Fixtures that every test may use."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.speech import Sample, load_samples
from voice_stack.core.settings import Settings

ROOT = Path(__file__).parents[1]
CACHE = ROOT / ".cache"

SettingsFactory = Callable[..., Settings]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Asynchronous tests run on asyncio, as the services do."""
    return "asyncio"


@pytest.fixture(scope="session")
def model_dir() -> Path:
    """A model folder that outlives the run, so that the packaged model is joined once."""
    return CACHE / "models"


@pytest.fixture
def make_settings(model_dir: Path, tmp_path: Path) -> SettingsFactory:
    """Settings for a test: the defaults, no ``.env``, no hub; keyword arguments change them."""

    def make(**changes: Any) -> Settings:
        defaults = {"model_dir": model_dir, "tts_voice_dir": tmp_path / "voices", "hf_hub_offline": True}
        return Settings(_env_file=None, **{**defaults, **changes})

    return make


@pytest.fixture(scope="session")
def speech_dir() -> Path:
    """Recorded speech with transcripts: ``<language>/<name>.wav`` and ``.txt``."""
    folder = CACHE / "speech"
    if not folder.is_dir():
        subprocess.run([sys.executable, str(ROOT / "scripts" / "fetch_test_speech.py")], check=True)
    return folder


@pytest.fixture(scope="session")
def samples(speech_dir: Path) -> list[Sample]:
    """All of the recorded speech."""
    return load_samples(speech_dir)
