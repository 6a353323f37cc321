"""The XTTS engine with random weights, where coqui-tts is installed (.venv-xtts)."""

import hashlib
from importlib.util import find_spec
from pathlib import Path

import pytest

from voice_stack.tts.engine.base import Voice, VoiceSample

HAS_COQUI = find_spec("TTS") is not None
NO_COQUI = "coqui-tts is not installed here; .venv-xtts has it"


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an XTTS checkpoint of random weights."""
    from tests.support.xtts_checkpoint import make_xtts_checkpoint

    return make_xtts_checkpoint(tmp_path_factory.mktemp("xtts"))


def cloned(*paths: Path, voice_id: str = "ann_en") -> Voice:
    """A voice of these samples."""
    samples = tuple(VoiceSample(path, hashlib.sha256(path.read_bytes()).hexdigest()) for path in paths)
    return Voice(voice_id, voice_id.partition("_")[0], "en", samples)
