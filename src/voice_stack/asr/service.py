"""The speech to text service: engines, one queue, and how a request gets from an upload to a transcript."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, aclosing, asynccontextmanager, closing
from itertools import islice
from typing import BinaryIO, TypeAlias

from voice_stack.asr.engine.base import AsrEngine, AudioBlock, Language, Step, TranscribeOptions
from voice_stack.asr.engines import NamedEngines
from voice_stack.asr.requests import resolve_options
from voice_stack.asr.transcript import Transcript, TranscriptBuilder
from voice_stack.core.models_api import Model, model_not_found
from voice_stack.core.service import EngineService
from voice_stack.core.settings import Settings
from voice_stack.utils.audio.decode import BLOCK_S, decode_audio
from voice_stack.utils.generators import resumed
from voice_stack.utils.models.store import ModelStore
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

    def __init__(self, settings: Settings, engine: AsrEngine, create_named: Callable[[str], AsrEngine]) -> None:
        super().__init__("asr", settings, engine, openai_models=OPENAI_MODELS, max_active=MAX_ACTIVE)
        self._settings = settings
        self._engine = engine
        self._named = NamedEngines(create_named, most=settings.asr_max_named_models)
        self._store = ModelStore(settings.model_dir, offline=settings.hf_hub_offline)
        self.results = SharedWork(keep_s=settings.asr_keep_results_s, keep_bytes=KEPT_BYTES)

    async def transcribe(
        self, upload: BinaryIO, options: TranscribeOptions, *, model: str | None = None, decode: Decode = decode_audio
    ) -> Transcript:
        """Transcribe an upload: any container and codec that FFmpeg reads, or what ``decode`` makes of it.

        ``options.language`` may be a code or a name. Cancelling this ends the work before the engine's next step.

        Raises:
            ModelNotFoundError: ``model`` is neither on this machine nor may it be fetched.
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
        await self.lifecycle.ready()
        async with self._lend(model) as engine:
            options = resolve_options(options, engine, self._settings)

            def run() -> Iterator[Step | None]:
                return engine.transcribe(decode(upload), options)

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

    def models(self) -> Sequence[Model]:
        """The configured model, the names that stand for it, and what requests may name. Looks at the disk."""
        own = super().models()
        if not self._settings.asr_max_named_models or self._engine.name != "faster-whisper":
            return own
        names = {model.id for model in own}
        found = [info.name for info in self._store.available() if info.kind == "whisper" and info.name not in names]
        return [*own, *(Model(id=name, created=own[0].created) for name in found)]

    @asynccontextmanager
    async def _lend(self, model: str | None) -> AsyncIterator[AsrEngine]:
        if model is None or model == self._engine.model or model in OPENAI_MODELS:
            yield self._engine
            return
        if not self._settings.asr_max_named_models:
            raise model_not_found(model, [self._engine.model, *OPENAI_MODELS])
        async with self._named.lend(model) as engine:
            yield engine
