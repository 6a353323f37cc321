"""Chooses and builds the speech to text engine."""

from importlib.util import find_spec

from voice_stack.asr.engine.base import AsrEngine
from voice_stack.core.errors import ConfigurationError
from voice_stack.core.settings import Settings
from voice_stack.utils.models.store import ModelStore


def create_engine(settings: Settings) -> AsrEngine:
    """Build the engine that ``ASR_ENGINE`` names; its model is not loaded yet.

    Raises:
        ConfigurationError: the engine is not installed.
    """
    store = ModelStore(settings.model_dir, offline=settings.hf_hub_offline)
    if settings.asr_engine == "faster-whisper":
        _require(settings.asr_engine, ["faster_whisper"], "asr")
        from voice_stack.asr.engine.fasterwhisper import FasterWhisperEngine

        return FasterWhisperEngine(
            settings.asr_model, store, device=settings.asr_device, compute_type=settings.asr_compute_type
        )
    # Speech is found with the model that ships inside faster-whisper.
    _require(settings.asr_engine, ["whisper", "faster_whisper"], "asr,whisper")
    from voice_stack.asr.engine.whisper import WhisperEngine

    return WhisperEngine(settings.asr_model, store, device=settings.asr_device, compute_type=settings.asr_compute_type)


def _require(engine: str, modules: list[str], extras: str) -> None:
    for module in modules:
        if find_spec(module) is None:
            raise ConfigurationError(
                f"ASR_ENGINE is {engine}, which needs the module {module}, which is not installed: "
                f"pip install 'voice-stack[{extras}]'"
            )
