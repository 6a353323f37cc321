"""Engines with real weights: faster-whisper everywhere, openai-whisper where it is installed (.venv-torch)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.conftest import CACHE
from tests.support.speech import Sample, decode
from tests.support.whisper_checkpoint import checkpoint
from voice_stack.asr.engine.base import AudioBlock
from voice_stack.asr.engine.fasterwhisper import FasterWhisperEngine
from voice_stack.asr.engine.whisper import WhisperEngine
from voice_stack.utils.models.store import ModelStore

Engine: TypeAlias = FasterWhisperEngine | WhisperEngine
LoadEngine = Callable[[str], Engine]

HAS_WHISPER = find_spec("whisper") is not None and find_spec("torch") is not None
NO_WHISPER = "openai-whisper is not installed here; .venv-torch has it"


@pytest.fixture(scope="session")
def checkpoint_dir(model_dir: Path) -> Path:
    """A ``MODEL_DIR`` with the packaged models as openai-whisper reads them."""
    folder = CACHE / "openai-whisper"
    for name in ("tiny.en", "base"):
        checkpoint(name, ModelStore(model_dir, offline=True), folder)
    return folder


@pytest.fixture(
    scope="session",
    params=["faster-whisper", pytest.param("whisper", marks=pytest.mark.skipif(not HAS_WHISPER, reason=NO_WHISPER))],
)
def load_engine(request: pytest.FixtureRequest, model_dir: Path) -> LoadEngine:
    """Each installed engine in turn: gives it by the name of its model, loaded once."""

    @cache
    def load(name: str) -> Engine:
        engine: Engine
        if request.param == "whisper":
            folder = request.getfixturevalue("checkpoint_dir")
            engine = WhisperEngine(name, ModelStore(folder, offline=True), device="cpu")
        else:
            engine = FasterWhisperEngine(name, ModelStore(model_dir, offline=True), device="cpu")
        engine.load()
        return engine

    return load


@pytest.fixture
def engine(load_engine: LoadEngine) -> Engine:
    """An engine with the model ``tiny.en``."""
    return load_engine("tiny.en")


@pytest.fixture(scope="session")
def recordings(samples: list[Sample]) -> dict[str, AudioBlock]:
    """The recorded speech by its name."""
    return {sample.path.stem: decode(sample.path.read_bytes()) for sample in samples}


@pytest.fixture
def fox(recordings: dict[str, AudioBlock]) -> AudioBlock:
    """Three seconds of English."""
    return recordings["quick_brown_fox"]


@contextmanager
def watched(engine: Engine, called: Callable[[], None]) -> Iterator[None]:
    """Have each call of the model's encoder and decoder reported, just before it is made."""
    if isinstance(engine, WhisperEngine):
        model = engine._model
        hooks = [part.register_forward_pre_hook(lambda *_: called()) for part in (model.encoder, model.decoder)]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
        return
    real = engine._model.model

    class Watched:
        def __getattr__(self, name: str) -> object:
            value: object = getattr(real, name)
            if name in {"encode", "generate"}:
                called()
            return value

    engine._model.model = Watched()
    try:
        yield
    finally:
        engine._model.model = real
