"""The speech to text service: engines, one queue, and how a request gets from an upload to a transcript."""

from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import AbstractContextManager, aclosing, closing
from dataclasses import replace
from itertools import islice
from typing import BinaryIO, TypeAlias

from voice_stack.asr.engine.base import AsrEngine, AudioBlock, Language, Step, TranscribeOptions
from voice_stack.asr.transcript import Transcript, TranscriptBuilder
from voice_stack.core.errors import InvalidRequestError
from voice_stack.core.service import EngineService
from voice_stack.core.settings import Settings
from voice_stack.utils.audio.decode import BLOCK_S, decode_audio
from voice_stack.utils.audio.vad import EVERYTHING, VadOptions
from voice_stack.utils.generators import resumed
from voice_stack.utils.language.whisper import language_code
from voice_stack.utils.queue_manager import Job
from voice_stack.utils.shared_work import SharedWork

Decode: TypeAlias = Callable[[BinaryIO], Generator[AudioBlock, None, None]]
"""Turns an upload into audio, in blocks of ``BLOCK_S`` seconds."""

OPENAI_MODELS = (
    "whisper-1",
    "gpt-4o-transcribe",
    "gpt-4o-mini-transcribe",
    "gpt-4o-mini-transcribe-2025-12-15",
    "gpt-transcribe",
)
"""OpenAI's own model names: here they mean the configured model."""

DETECT_BLOCKS = 1800 // BLOCK_S
"""How much of an upload detection looks at where it finds no speech."""

KEPT_BYTES = 32 * 2**20
"""Size of the results that are kept for retries."""

MAX_ACTIVE = 4
"""Transcriptions that take turns. Each holds a minute or two of audio; the other uploads wait on disk."""


class AsrService(EngineService):
    """Transcribes uploads with one engine, several requests in turns."""

    def __init__(self, settings: Settings, engine: AsrEngine) -> None:
        super().__init__("asr", settings, engine, openai_models=OPENAI_MODELS, max_active=MAX_ACTIVE)
        self._settings = settings
        self._engine = engine
        self.results = SharedWork(keep_s=settings.asr_keep_results_s, keep_bytes=KEPT_BYTES)

    async def transcribe(
        self, upload: BinaryIO, options: TranscribeOptions, *, model: str | None = None, decode: Decode = decode_audio
    ) -> Transcript:
        """Transcribe an upload: any container and codec that FFmpeg reads, or what ``decode`` makes of it.

        ``options.language`` may be a code or a name. Cancelling this ends the work before the engine's next step.

        Raises:
            ModelNotFoundError: ``model`` is not served here.
            InvalidRequestError: the model cannot do what is asked.
            InvalidAudioError: the upload cannot be decoded.
            UnavailableError: too many requests wait, or the service is stopping or has no model.
            EngineError: the engine failed.
        """
        building = TranscriptBuilder(options.task)
        async with aclosing(self.steps(upload, options, model=model, decode=decode)) as steps:
            async for step in steps:
                building.add(step)
        return building.finish()

    async def begin(self, upload: BinaryIO, options: TranscribeOptions, *, model: str) -> AsyncGenerator[Step, None]:
        """The same as ``steps``, but errors that come before the first step are raised here."""
        steps = self.steps(upload, options, model=model)
        return resumed(await anext(steps), steps)

    async def steps(
        self, upload: BinaryIO, options: TranscribeOptions, *, model: str | None = None, decode: Decode = decode_audio
    ) -> AsyncGenerator[Step, None]:
        """The same as ``transcribe``, as it comes; a reader that is slow slows the work down."""
        if model is not None:
            self.check_model(model)
        await self.lifecycle.ready()
        options = self._checked(options)

        def run() -> Iterator[Step | None]:
            return self._engine.transcribe(decode(upload), options)

        working: AbstractContextManager[Job[Step]] = self.queue.job(run, look_ahead=64)
        with working as job:
            async for step in job:
                yield step

    async def detect_language(self, upload: BinaryIO, *, decode: Decode = decode_audio) -> Language | None:
        """Tell what is spoken in an upload, ahead of the transcriptions that wait; None where nobody can tell.

        Looks at no more than the first minutes that hold speech, and half an hour altogether.

        Raises:
            InvalidAudioError: the upload cannot be decoded.
            UnavailableError: as for ``transcribe``.
            EngineError: the engine failed.
        """
        await self.lifecycle.ready()
        if not self._engine.capabilities.detect_language:
            return None

        def run() -> Iterator[Language | None]:
            with closing(decode(upload)) as blocks:
                yield from self._engine.detect_language(islice(blocks, DETECT_BLOCKS))

        with self.queue.job(run, urgent=True) as job:
            async for language in job:
                return language
        return None

    def _checked(self, options: TranscribeOptions) -> TranscribeOptions:
        if options.task == "translate" and not self._engine.capabilities.translate:
            raise InvalidRequestError(
                f"The model {self._engine.model!r} cannot translate: turbo and English-only models were not trained "
                "for it. Use another model, such as base, small or large-v3.",
                param="model",
                code="translation_not_supported",
            )
        vad = options.vad or (VadOptions() if self._settings.asr_vad_enabled else EVERYTHING)
        return replace(options, language=self._choose_language(options.language), vad=vad)

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
