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
        if find_spec("faster_whisper") is None:
            raise ConfigurationError(
                "ASR_ENGINE is faster-whisper, which is not installed: pip install 'voice-stack[asr]'"
            )
        from voice_stack.asr.engine.fasterwhisper import FasterWhisperEngine

        return FasterWhisperEngine(
            settings.asr_model, store, device=settings.asr_device, compute_type=settings.asr_compute_type
        )
    raise ConfigurationError(f"ASR_ENGINE {settings.asr_engine!r} is not part of this version; use faster-whisper")
