"""The speech to text service: one engine, one queue, and how a request gets from an upload to a transcript."""

from dataclasses import replace
from typing import BinaryIO

from voice_stack.asr.engine.base import AsrEngine, AudioInfo, Segment, TranscribeOptions
from voice_stack.asr.transcript import Transcript
from voice_stack.core.errors import EngineError, InvalidRequestError
from voice_stack.core.service import EngineService
from voice_stack.core.settings import Settings
from voice_stack.utils.audio.decode import decode_audio
from voice_stack.utils.language.whisper import language_code

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


class AsrService(EngineService):
    """Transcribes uploads with one engine, several requests in turns."""

    def __init__(self, settings: Settings, engine: AsrEngine) -> None:
        super().__init__("asr", settings, engine, openai_models=OPENAI_MODELS, max_active=MAX_ACTIVE)
        self._settings = settings
        self._engine = engine

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
        self.check_model(model)
        await self.lifecycle.ready()
        options = replace(options, language=self._choose_language(options.language), vad=self._settings.asr_vad_enabled)
        info: AudioInfo | None = None
        segments: list[Segment] = []
        with self.queue.job(lambda: self._engine.transcribe(decode_audio(upload), options), look_ahead=64) as job:
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
