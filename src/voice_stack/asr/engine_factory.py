"""Chooses and builds the speech to text engine."""

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec

from voice_stack.asr.engine.base import AsrEngine
from voice_stack.asr.engine.windowed import WindowedEngine
from voice_stack.core.errors import ConfigurationError
from voice_stack.core.settings import Settings
from voice_stack.utils.models.store import ModelStore


def create_engine(settings: Settings, asked_model: str | None = None) -> AsrEngine:
    """Build the engine that ``ASR_ENGINE`` names; its model is not loaded yet.

    Args:
        asked_model: a model that a client named, in place of ``ASR_MODEL``.

    Raises:
        ConfigurationError: the engine is not installed.
    """
    engine: Callable[..., WindowedEngine]
    if settings.asr_engine == "faster-whisper":
        _require(settings.asr_engine, ["faster_whisper"], "asr")
        from voice_stack.asr.engine.fasterwhisper import FasterWhisperEngine

        engine = partial(FasterWhisperEngine, decode=settings.asr_decode, sharers=settings.workers)
    else:
        # Speech is found with the model that ships inside faster-whisper.
        _require(settings.asr_engine, ["whisper", "faster_whisper"], "asr,whisper")
        from voice_stack.asr.engine.whisper import WhisperEngine

        engine = WhisperEngine
    return engine(
        asked_model or settings.asr_model,
        ModelStore(settings.model_dir, offline=settings.hf_hub_offline),
        device=settings.asr_device,
        compute_type=settings.asr_compute_type,
        named_by_client=asked_model is not None,
    )


def _require(engine: str, modules: list[str], extras: str) -> None:
    for module in modules:
        if find_spec(module) is None:
            raise ConfigurationError(
                f"ASR_ENGINE is {engine}, which needs the module {module}, which is not installed: "
                f"pip install 'voice-stack[{extras}]'"
            )
