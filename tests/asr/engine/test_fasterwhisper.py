"""The faster-whisper engine: which models and devices it takes."""

from pathlib import Path

import pytest

from voice_stack.asr.engine.fasterwhisper import FasterWhisperEngine
from voice_stack.core.errors import ModelLoadError, ModelNotFoundError
from voice_stack.utils.models.store import ModelStore


def test_a_model_that_is_not_there_and_a_device_that_cannot_be_are_told(model_dir: Path, tmp_path: Path) -> None:
    store = ModelStore(model_dir, offline=True)
    with pytest.raises(ModelNotFoundError, match=r"large-v3.*base"):
        FasterWhisperEngine("large-v3", store).load()
    with pytest.raises(ModelLoadError, match="mps"):
        FasterWhisperEngine("tiny.en", store, device="mps").load()
    (tmp_path / "model.bin").write_bytes(b"no weights")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelLoadError, match="cannot load"):
        FasterWhisperEngine(str(tmp_path), store, device="cpu").load()
