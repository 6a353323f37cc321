"""The text to speech service: one engine, one queue, and how a request gets from a text to a stream of bytes."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, aclosing, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import BinaryIO, ParamSpec, TypeVar

from voice_stack.core.errors import DeviceLostError, InvalidRequestError
from voice_stack.core.metrics import Stopwatch
from voice_stack.core.service import EngineService
from voice_stack.core.settings import Settings
from voice_stack.tts.engine.base import Capabilities, TtsEngine, Voice
from voice_stack.tts.incremental.feed import TextFeed
from voice_stack.tts.incremental.utterance import Utterance
from voice_stack.tts.scripts import OPENAI_VOICES, ScriptWriter, speakable_text
from voice_stack.tts.speech import EncodedChunk, Script, SpeechEncoder, SpeechPiece, speech_steps
from voice_stack.tts.voices.catalogue import VoiceCatalogue
from voice_stack.tts.voices.consents import ConsentStore
from voice_stack.tts.voices.library import VoiceLibrary
from voice_stack.utils.generators import resumed
from voice_stack.utils.queue_manager import Job
from voice_stack.utils.scheduling import Kind
from voice_stack.utils.temporary import sweep

_logger = logging.getLogger(__name__)

OPENAI_MODELS = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts", "gpt-4o-mini-tts-2025-12-15")
"""OpenAI's own model names: here they mean the configured model."""

MAX_ACTIVE = 256
"""Speech requests that take turns. Each holds a sentence or two of audio; most of them wait for their readers."""

MAX_UPLOADS = 2
"""Recordings that are decoded or written at a time; the others wait on disk."""

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Speech:
    """What to say and how."""

    text: str
    voice: str
    audio_format: str
    speed: float = 1.0
    language: str | None = None  # None: that of each sentence, or the voice's own
    seed: int | None = None


class TtsService(EngineService):
    """Speaks texts with one engine, the sentences of several requests in turns."""

    def __init__(self, settings: Settings, engine: TtsEngine) -> None:
        library = VoiceLibrary(settings.tts_voice_dir)
        self._catalogue = VoiceCatalogue(engine, library, reserved=OPENAI_VOICES)
        super().__init__(
            "tts",
            settings,
            engine,
            openai_models=OPENAI_MODELS,
            max_active={Kind.SPEECH: MAX_ACTIVE},
            workers=engine.max_steps,
            load=self._load,
            unload=self._unload,
        )
        self._settings = settings
        self._engine = engine
        self._writer = ScriptWriter(settings, engine, self._catalogue)
        self.consents = ConsentStore(settings.tts_voice_dir / ".consents")
        self._voices_before: dict[str, Voice] | None = None  # when they were looked at last for the log
        self._uploads = asyncio.Semaphore(MAX_UPLOADS)

    @property
    def capabilities(self) -> Capabilities:
        """What the engine can do."""
        return self._engine.capabilities

    @property
    def engine_name(self) -> str:
        """The engine that speaks."""
        return self._engine.name

    def _load(self) -> None:
        for folder in (self._settings.tts_voice_dir, self.consents.folder):
            sweep(folder)
        self._engine.load()
        self._writer.warm_up()
        if self._voices_before is None:
            self._voices_before = {voice.id: voice for voice in self._catalogue.voices()}

    def reload(self) -> None:
        """Look at the folders of the voices; the log tells what came and went since this was done last. Blocks."""
        before = self._voices_before
        if before is None:
            _logger.info("the voices are not read again: they are being read")
            return
        self._catalogue.look_again()
        now = self._voices_before = {voice.id: voice for voice in self._catalogue.voices()}
        came, went = now.keys() - before.keys(), before.keys() - now.keys()
        changed = {voice_id for voice_id in now.keys() & before.keys() if now[voice_id] != before[voice_id]}
        told = {"new": came, "gone": went, "changed": changed}
        counts = [f"; {what}: {len(ids)}" for what, ids in told.items() if ids]
        _logger.info("read the voices again, there are %d%s", len(now), "".join(counts) or "; nothing has changed")
        # Names of cloned voices are the clients'.
        for what, ids in told.items():
            _logger.debug("%s: %s", what, ", ".join(sorted(ids)))

    async def reload_voices(self) -> Sequence[Voice]:
        """The same as ``reload``, once the model was loaded; returns every voice, the default one first."""
        await self.lifecycle.ready()
        await self.with_files(self.reload)
        return await self.voices()

    def _unload(self) -> None:
        self._engine.unload()
        self._writer.unload()

    async def voices(self) -> Sequence[Voice]:
        """Every voice, the default one first."""
        await self.lifecycle.ready()
        return await asyncio.to_thread(self._writer.voices)

    async def voice(self, voice_id: str) -> Voice:
        """One voice by its id.

        Raises:
            VoiceNotFoundError: there is no such voice, or its recording cannot be used.
        """
        for voice in await self.voices():
            if voice.id == voice_id:
                return voice
        raise await asyncio.to_thread(self._catalogue.not_found, voice_id, param="voice_id")

    async def add_voice(self, name: str, language: str | None, recording: BinaryIO) -> Voice:
        """Make a voice of a recording; ``VoiceCatalogue.add`` says how, and what it raises."""
        await self.lifecycle.ready()
        return await self.with_files(self._catalogue.add, name, language, recording)

    async def remove_voice(self, voice_id: str) -> None:
        """Delete a cloned voice; ``VoiceCatalogue.remove`` says what it raises."""
        await self.lifecycle.ready()
        await self.with_files(self._catalogue.remove, voice_id)

    async def with_files(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do what blocks in a thread, of which only so many do such work at a time."""
        async with self._uploads:
            return await asyncio.to_thread(work, *args, **kwargs)

    async def speak(self, speech: Speech, *, model: str) -> AsyncGenerator[EncodedChunk, None]:
        """Begin to speak; returns when the first bytes are there. Closing the stream ends the work.

        Raises:
            ModelNotFoundError: ``model`` is not served here.
            VoiceNotFoundError: there is no such voice.
            InvalidRequestError: the text is empty, too long, or cannot be spoken by this voice.
            UnavailableError: too many requests wait, or the service is stopping or has no model.
            EngineError: the engine failed; later failures are raised by the stream.
        """
        self.check_model(model)
        text = self._check_text(speech.text)
        stream = self._stream(replace(speech, text=text))
        return resumed(await anext(stream), stream)

    async def speak_along(self, text: TextFeed, speech: Speech, *, model: str) -> AsyncGenerator[EncodedChunk, None]:
        """Speak a text while it is being written, on this loop, to its end. Closing the stream ends the work.

        Raises: as ``speak``; ``speech.text`` is not used.
        """
        self.check_model(model)
        async with self.lifecycle.in_use():
            script = await self._script(replace(speech, text=""))
            utterance = Utterance(self._engine, script, sample_rate_hz=self._settings.tts_sample_rate, text=text)
            watch = Stopwatch()
            pieces = self._pieces_along(utterance, watch)
            async with aclosing(self._encoded(pieces, speech, watch)) as chunks:
                async for chunk in chunks:
                    yield chunk

    async def check_speech(self, speech: Speech, *, model: str) -> None:
        """Refuse what no text could be spoken with, as ``speak`` would."""
        self.check_model(model)
        await self.lifecycle.ready()
        await self._script(replace(speech, text=""))

    @property
    def max_input_chars(self) -> int:
        """The most characters of one text."""
        return self._settings.tts_max_input_chars

    async def _stream(self, speech: Speech) -> AsyncGenerator[EncodedChunk, None]:
        async with self.lifecycle.in_use():
            script = await self._script(speech)
            watch = Stopwatch()
            steps = partial(speech_steps, self._engine, script, sample_rate_hz=self._settings.tts_sample_rate)
            async with aclosing(self._encoded(self._pieces(steps, watch), speech, watch)) as chunks:
                async for chunk in chunks:
                    yield chunk

    async def _script(self, speech: Speech) -> Script:
        return await asyncio.to_thread(
            self._writer.write,
            speech.text,
            voice=speech.voice,
            language=speech.language,
            speed=speech.speed,
            seed=speech.seed,
        )

    async def _pieces(
        self, steps: Callable[[], Iterator[SpeechPiece | None]], watch: Stopwatch
    ) -> AsyncGenerator[SpeechPiece, None]:
        working: AbstractContextManager[Job[SpeechPiece]] = self.queue.job(
            partial(watch.timed, steps), kind=Kind.SPEECH, max_wait_s=self.max_wait_s
        )
        with working as job:
            async for piece in job:
                yield piece

    async def _pieces_along(self, utterance: Utterance, watch: Stopwatch) -> AsyncGenerator[SpeechPiece, None]:
        """A job for what can be said now, and no job while there is nothing."""
        changed = asyncio.Event()
        utterance.text.on_change = changed.set
        while not utterance.is_over:
            async with aclosing(self._pieces(utterance.steps, watch)) as pieces:
                async for piece in pieces:
                    yield piece
            with suppress(asyncio.TimeoutError):
                while not utterance.is_over and not utterance.has_more:
                    changed.clear()
                    await asyncio.wait_for(changed.wait(), utterance.wait_s())

    async def _encoded(
        self, pieces: AsyncGenerator[SpeechPiece, None], speech: Speech, watch: Stopwatch
    ) -> AsyncGenerator[EncodedChunk, None]:
        encoder = SpeechEncoder(speech.audio_format, self._settings.tts_sample_rate, speed=speech.speed)
        spoken_s = 0.0
        try:
            async with aclosing(pieces):
                held_s = 0.0  # an encoder gives nothing for what it still holds
                # Encoded here and not by the job, so that the engine goes on with the next sentence meanwhile.
                async for piece in pieces:
                    chunk = await asyncio.to_thread(encoder.encode, piece)
                    spoken_s += chunk.duration_s
                    held_s += chunk.duration_s
                    if chunk.data:
                        yield EncodedChunk(chunk.data, held_s)
                        held_s = 0.0
                last = await asyncio.to_thread(encoder.finish)
                spoken_s += last.duration_s
                if last.data:
                    yield EncodedChunk(last.data, held_s + last.duration_s)
        except DeviceLostError as error:
            self.lifecycle.fail(error)
            raise
        finally:
            # In a thread: it may be at work for somebody who has left.
            asyncio.get_running_loop().run_in_executor(None, encoder.close)
        self.metrics.audio_done("out", spoken_s, watch.seconds)

    def _check_text(self, text: str) -> str:
        limit = self._settings.tts_max_input_chars
        if len(text) > limit:
            raise InvalidRequestError(
                f"The input has {len(text)} characters; this service takes {limit} at most. Send it in parts, "
                "or ask the operator to raise TTS_MAX_INPUT_CHARS.",
                param="input",
                code="input_too_long",
            )
        return speakable_text(text)
