"""The speech to text service: engines, one queue, and how a request gets from an upload to a transcript."""

import asyncio
import math
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, aclosing, asynccontextmanager, closing
from functools import partial
from typing import BinaryIO, Protocol

from voice_stack.asr.engine.base import (
    SAMPLE_RATE_HZ,
    AsrEngine,
    AudioBlock,
    Hypothesis,
    Language,
    LiveWindow,
    Position,
    Step,
    TranscribeOptions,
)
from voice_stack.asr.engines import NamedEngines
from voice_stack.asr.live.options import LiveOptions
from voice_stack.asr.live.transcription import LiveTranscription
from voice_stack.asr.requests import resolve_options
from voice_stack.asr.transcript import Transcript, TranscriptBuilder
from voice_stack.core.errors import InvalidRequestError
from voice_stack.core.metrics import Stopwatch
from voice_stack.core.models_api import Model, model_not_found
from voice_stack.core.service import EngineService
from voice_stack.core.settings import Settings
from voice_stack.utils.audio.isolation import declared_duration_isolated_s, decode_isolated, start_decoders
from voice_stack.utils.audio.raw import decode_pcm
from voice_stack.utils.generators import resumed
from voice_stack.utils.models.store import ModelStore
from voice_stack.utils.queue_manager import Job
from voice_stack.utils.scheduling import Kind
from voice_stack.utils.shared_work import SharedWork
from voice_stack.utils.steps import Steps


class Decode(Protocol):
    """Turns an upload into audio of no more than ``max_s`` seconds, block by block."""

    def __call__(self, source: BinaryIO, *, max_s: float) -> Generator[AudioBlock, None, None]: ...


OPENAI_MODELS = (
    "whisper-1",
    "gpt-4o-transcribe",
    "gpt-4o-mini-transcribe",
    "gpt-4o-mini-transcribe-2025-12-15",
    "gpt-transcribe",
)
"""OpenAI's own model names: here they mean the configured model."""

DETECT_S = 1800
"""How much of an upload detection looks at where it finds no speech."""

KEPT_BYTES = 32 * 2**20
"""Size of the results that are kept for retries."""

MAX_ACTIVE = {Kind.URGENT: 2, Kind.LIVE: 256, Kind.PARTIAL: 256, Kind.LATE: 256, Kind.SHORT: 32, Kind.LONG: 4}
"""Requests that take turns. A long one holds a few minutes of audio; the other uploads wait on disk."""

SHORT_S = 30.0
"""An upload that is no longer goes ahead of films: the model hears it at once. Only its place depends on it."""

WORKERS = 2
"""Uploads that are decoded, and searched for speech, at a time."""

PROBES = 16
"""Uploads that are asked for their length at a time, each in a process of its own."""

_RAW_BYTES_PER_S = 32_000


class AsrService(EngineService):
    """Transcribes uploads with one engine, several requests in turns."""

    def __init__(self, settings: Settings, engine: AsrEngine, create_named: Callable[[str], AsrEngine]) -> None:
        super().__init__(
            "asr",
            settings,
            engine,
            openai_models=OPENAI_MODELS,
            max_active=MAX_ACTIVE,
            workers=WORKERS,
            load=self._load,
        )
        self._settings = settings
        self._engine = engine
        self._named = NamedEngines(
            create_named, most=settings.asr_max_named_models, ttl_s=settings.model_ttl_s, is_busy=self.is_busy
        )
        self._store = ModelStore(settings.model_dir, offline=settings.hf_hub_offline)
        self._max_audio_s = settings.max_audio_s or math.inf
        self._probing = asyncio.Semaphore(PROBES)
        self.results = SharedWork(keep_s=settings.asr_keep_results_s, keep_bytes=KEPT_BYTES)

    def _load(self) -> None:
        start_decoders()
        self._engine.load()
        self.queue.open_lanes(self._engine.lanes)

    def check_room(self, size_bytes: int | None) -> None:
        is_small = size_bytes is not None and size_bytes <= SHORT_S * _RAW_BYTES_PER_S
        self.queue.check_room(*((Kind.SHORT,) if is_small else (Kind.SHORT, Kind.LONG)))

    async def transcribe(
        self,
        upload: BinaryIO,
        options: TranscribeOptions,
        *,
        model: str | None = None,
        decode: Decode = decode_isolated,
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
        self,
        upload: BinaryIO,
        options: TranscribeOptions,
        *,
        model: str | None = None,
        decode: Decode = decode_isolated,
    ) -> AsyncGenerator[Step, None]:
        """The same as ``transcribe``, as it comes; a reader that is slow slows the work down."""
        async with self._lend(model) as engine:
            options = resolve_options(options, engine, self._settings)

            def run() -> Steps[Step]:
                with closing(decode(upload, max_s=self._max_audio_s)) as blocks:
                    yield from engine.shared_transcription(blocks, options)

            watch = Stopwatch()
            heard_s = 0.0
            kind = await self._kind(upload, decode)
            working: AbstractContextManager[Job[Step]] = self.queue.job(
                partial(watch.timed, run), kind=kind, look_ahead=64, max_wait_s=self.max_wait_s
            )
            with working as job:
                async for step in job:
                    if isinstance(step, Position):
                        heard_s = step.upload_s
                    yield step
            self.metrics.audio_done("in", heard_s, watch.seconds)

    @asynccontextmanager
    async def live(self, options: LiveOptions, *, model: str | None = None) -> AsyncIterator[LiveTranscription]:
        """Transcribe speech while it is spoken; leaving the ``with`` block abandons all work.

        The model is in use, and is kept, for as long as the block lasts.

        Raises:
            ModelNotFoundError: ``model`` is neither on this machine nor may it be fetched.
            InvalidRequestError: the model cannot do what is asked.
            UnavailableError: the service is stopping or has no model.
        """
        async with self._lend(model) as engine:
            if not engine.capabilities.live:
                raise InvalidRequestError(f"The engine {engine.name!r} cannot transcribe live.", param="model")

            def resolve(options: LiveOptions) -> TranscribeOptions:
                asked = TranscribeOptions(language=options.language, prompt=options.prompt, hotwords=options.keywords)
                return resolve_options(asked, engine, self._settings)

            busy_s = 0.0

            async def hypothesize(window: LiveWindow) -> Hypothesis:
                nonlocal busy_s

                def run() -> Steps[Hypothesis]:
                    work = engine.hypothesis(window)
                    yield work
                    yield work
                    yield work.result()

                watch = Stopwatch()
                kind = Kind.LIVE if window.final else Kind.PARTIAL
                working: AbstractContextManager[Job[Hypothesis]] = self.queue.job(
                    partial(watch.timed, run),
                    kind=Kind.LATE if transcription.is_behind() else kind,
                    max_wait_s=self.max_wait_s,
                )
                try:
                    with working as job:
                        return await anext(job)
                finally:
                    busy_s += watch.seconds

            transcription = LiveTranscription(options, resolve=resolve, hypothesize=hypothesize)
            try:
                yield transcription
            finally:
                await transcription.close()
                self.metrics.audio_done("in", transcription.heard_s, busy_s)

    async def detect_language(self, upload: BinaryIO, *, decode: Decode = decode_isolated) -> Language | None:
        """Tell what is spoken in an upload, ahead of the transcriptions that wait; None where nobody can tell.

        Looks at no more than the first minutes that hold speech, and half an hour altogether.

        Raises:
            InvalidAudioError: the upload cannot be decoded.
            UnavailableError: as for ``transcribe``.
            EngineError: the engine failed.
        """

        def run() -> Steps[Language]:
            with closing(decode(upload, max_s=self._max_audio_s)) as blocks:
                yield from self._engine.shared_detection(_beginning(blocks, DETECT_S))

        async with self.lifecycle.in_use():
            if not self._engine.capabilities.detect_language:
                return None
            with self.queue.job(run, kind=Kind.URGENT, max_wait_s=self.max_wait_s) as job:
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

    async def _kind(self, upload: BinaryIO, decode: Decode) -> Kind:
        duration_s = None
        if decode is not decode_pcm:
            async with self._probing:
                duration_s = await declared_duration_isolated_s(upload)
        if duration_s is None:
            duration_s = upload.seek(0, os.SEEK_END) / _RAW_BYTES_PER_S
        return Kind.SHORT if duration_s <= SHORT_S else Kind.LONG

    @asynccontextmanager
    async def _lend(self, model: str | None) -> AsyncIterator[AsrEngine]:
        if model is None or model == self._engine.model or model in OPENAI_MODELS:
            async with self.lifecycle.in_use():
                yield self._engine
            return
        if not self._settings.asr_max_named_models:
            raise model_not_found(model, [self._engine.model, *OPENAI_MODELS])
        async with self._named.lend(model) as engine:
            yield engine


def _beginning(blocks: Iterable[AudioBlock], seconds: float) -> Iterator[AudioBlock]:
    samples = 0
    for block in blocks:
        yield block
        samples += block.size
        if samples >= seconds * SAMPLE_RATE_HZ:
            return
