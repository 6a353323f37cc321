"""The text to speech app."""

from pathlib import Path

from fastapi import APIRouter, FastAPI

from voice_stack.core.app import build_app
from voice_stack.core.middleware import BodyLimit
from voice_stack.core.process import app_from_settings
from voice_stack.core.settings import Settings
from voice_stack.tts.api.api_v1.endpoints import openai, speech_stream, voice_consents, voices
from voice_stack.tts.engine.base import TtsEngine
from voice_stack.tts.engine_factory import create_engine
from voice_stack.tts.service import TtsService

_OTHER_FIELDS_BYTES = 2**16


def create_app(settings: Settings, engine: TtsEngine | None = None) -> FastAPI:
    """Build the app; the model loads when the app starts.

    Raises:
        ConfigurationError: the settings name an engine that is not there.
    """
    service = TtsService(settings, engine or create_engine(settings))
    api = APIRouter()
    api.include_router(openai.router)
    api.include_router(speech_stream.router)
    api.include_router(voices.router)
    api.include_router(voice_consents.router)
    # JSON may write a character in 12 bytes.
    limit = BodyLimit(settings.tts_max_input_chars * 12 + _OTHER_FIELDS_BYTES, "TTS_MAX_INPUT_CHARS", "input")
    upload_bytes = voices.MAX_UPLOAD_BYTES + _OTHER_FIELDS_BYTES
    uploads = {
        voices.PREFIX: BodyLimit(upload_bytes, None, "audio_sample"),
        voice_consents.PREFIX: BodyLimit(upload_bytes, None, "recording"),
    }
    return build_app(
        "tts",
        settings,
        service,
        api,
        body_limit=limit,
        other_limits=uploads,
        queued_paths=("/audio/speech",),
        playground=Path(__file__).parent / "playground",
        playground_about={
            "cloning": service.capabilities.cloning,
            "sample_rate_hz": settings.tts_sample_rate,
        },
    )


def app_from_environment() -> FastAPI:
    """What the server process runs."""
    return app_from_settings(create_app)
