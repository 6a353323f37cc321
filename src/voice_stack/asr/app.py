"""The speech to text app."""

from functools import partial
from pathlib import Path

from fastapi import APIRouter, FastAPI

from voice_stack.asr.api.api_v1.endpoints import bazarr, openai, realtime, subtitles
from voice_stack.asr.engine.base import AsrEngine
from voice_stack.asr.engine_factory import create_engine
from voice_stack.asr.service import AsrService
from voice_stack.core.app import build_app
from voice_stack.core.middleware import BodyLimit
from voice_stack.core.process import app_from_settings
from voice_stack.core.settings import Settings


def create_app(settings: Settings, engine: AsrEngine | None = None) -> FastAPI:
    """Build the app; the model loads when the app starts.

    Raises:
        ConfigurationError: the settings name an engine that is not there.
    """
    service = AsrService(settings, engine or create_engine(settings), partial(create_engine, settings))
    api = APIRouter()
    api.include_router(openai.router)
    api.include_router(realtime.router)
    api.include_router(subtitles.router)
    limit = BodyLimit(settings.max_upload_mb * 2**20, "MAX_UPLOAD_MB", "file")
    return build_app(
        "asr",
        settings,
        service,
        api,
        body_limit=limit,
        other_limits={subtitles.PATH: subtitles.LIMIT},
        at_root=(bazarr.at_root, bazarr.below_bazarr),
        status_paths=bazarr.STATUS_PATHS,
        # Not Bazarr's: a twin of what is in work joins it, and what was made before is there at once.
        queued_paths=("/audio/transcriptions", "/audio/transcriptions/verbose", "/audio/translations"),
        playground=Path(__file__).parent / "playground",
    )


def app_from_environment() -> FastAPI:
    """What the server process runs."""
    return app_from_settings(create_app)
