"""The speech to text service: one engine, one queue, and how a request gets from an upload to a transcript."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, BinaryIO

from voice_stack.asr.engine.base import AsrEngine, AudioInfo, Segment, TranscribeOptions
from voice_stack.asr.transcript import Transcript
from voice_stack.core.errors import EngineError, InvalidRequestError
from voice_stack.core.lifecycle import Lifecycle
from voice_stack.core.models_api import Model, model_not_found
from voice_stack.core.settings import Settings
from voice_stack.utils.audio.decode import decode_audio
from voice_stack.utils.language.whisper import language_code
from voice_stack.utils.queue_manager import StepQueue

OPENAI_MODELS = (
    "whisper-1",
    "gpt-4o-transcribe",
    "gpt-4o-mini-transcribe",
    "gpt-4o-mini-transcribe-2025-12-15",
    "gpt-transcribe",
)
"""OpenAI's own model names: here they mean the configured model."""

MAX_ACTIVE = 4
"""Transcriptions that take turns. Each holds its decoded audio (230 MB an hour); the other uploads wait on disk."""


class AsrService:
    """Transcribes uploads with one engine, several requests in turns."""

    def __init__(self, settings: Settings, engine: AsrEngine) -> None:
        self._settings = settings
        self._engine = engine
        self._queue = StepQueue("asr", max_active=MAX_ACTIVE, max_waiting=settings.max_queue)
        self._started_at = int(time.time())
        self.lifecycle = Lifecycle(engine.load, max_waiting=settings.max_queue)

    def describe(self) -> Mapping[str, Any]:
        """What health tells of this service."""
        return {
            "engine": self._engine.name,
            "model": self._engine.model,
            "device": self._engine.device,
            "queue_depth": self._queue.depth,
            "active": self._queue.active,
        }

    def refuse(self) -> None:
        """Fail the requests that wait; those in progress go on."""
        self._queue.refuse()

    def close(self) -> None:
        """Abandon what is in progress. Blocks."""
        self._queue.close()

    def models(self) -> Sequence[Model]:
        """The configured model and the names that stand for it."""
        names = dict.fromkeys((self._engine.model, *OPENAI_MODELS))
        return [Model(id=name, created=self._started_at) for name in names]

    async def transcribe(self, upload: BinaryIO, options: TranscribeOptions, *, model: str) -> Transcript:
        """Transcribe an upload: any container and codec that FFmpeg reads.

        ``options.language`` may be a code or a name. Cancelling this ends the work before the engine's next step.

        Raises:
            ModelNotFoundError: ``model`` is not served here.
            InvalidRequestError: the model cannot do what is asked.
            InvalidAudioError: the upload cannot be decoded.
            UnavailableError: too many requests wait, or the service is stopping or has no model.
            EngineError: the engine failed.
        """
        if model not in (known := [model.id for model in self.models()]):
            raise model_not_found(model, known)
        await self.lifecycle.ready()
        options = replace(options, language=self._choose_language(options.language), vad=self._settings.asr_vad_enabled)
        info: AudioInfo | None = None
        segments: list[Segment] = []
        with self._queue.job(lambda: self._engine.transcribe(decode_audio(upload), options), look_ahead=64) as job:
            async for step in job:
                match step:
                    case Segment():
                        segments.append(step)
                    case AudioInfo():
                        info = step
        if info is None:
            raise EngineError("The engine ended without a word about the audio.")
        return Transcript(info, segments)

    def _choose_language(self, asked: str | None) -> str | None:
        if asked is None:
            return self._settings.asr_language
        try:
            code = language_code(asked)
        except ValueError as error:
            raise InvalidRequestError(f"{error}.", param="language") from error
        if code not in (languages := self._engine.capabilities.languages):
            raise InvalidRequestError(
                f"The model {self._engine.model!r} knows {', '.join(languages)}, not {code!r}.",
                param="language",
            )
        return code
