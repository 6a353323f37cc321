"""Chooses and builds the text to speech engine."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Literal

from voice_stack.core.errors import ConfigurationError
from voice_stack.core.settings import Settings
from voice_stack.tts.engine.base import TtsEngine
from voice_stack.utils.models.store import ModelStore


def choose_engine(
    wanted: Literal["auto", "coqui", "piper"], is_installed: Callable[[str], bool]
) -> Literal["coqui", "piper"]:
    """Decide by what is installed.

    Args:
        is_installed: whether a top-level module can be imported, by its name.

    Raises:
        ConfigurationError: what is wanted is not installed.
    """
    if wanted in {"auto", "coqui"} and is_installed("TTS"):
        return "coqui"
    if wanted == "coqui":
        raise ConfigurationError("TTS_ENGINE is coqui, which is not installed: pip install 'voice-stack[xtts]'")
    if is_installed("piper"):
        return "piper"
    raise ConfigurationError("no text to speech engine is installed: pip install 'voice-stack[tts]'")


def create_engine(settings: Settings) -> TtsEngine:
    """Build the engine that ``TTS_ENGINE`` names; its model is not loaded yet.

    Raises:
        ConfigurationError: the engine is not installed.
    """
    chosen = choose_engine(settings.tts_engine, lambda module: find_spec(module) is not None)
    store = ModelStore(settings.model_dir, offline=settings.hf_hub_offline)
    if chosen == "coqui":
        from voice_stack.tts.engine.coqui import CoquiEngine

        return CoquiEngine(
            settings.tts_model, store, licence_accepted=settings.coqui_tos_agreed, device=settings.tts_device
        )
    from voice_stack.tts.engine.piper import PiperEngine

    return PiperEngine(
        store,
        settings.tts_voice_dir,
        default_voice=settings.tts_default_voice,
        device=settings.tts_device,
        sharers=settings.workers,
    )
