"""The text to speech service: one engine, one queue, and how a request gets from a text to a stream of bytes."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, ParamSpec, TypeVar

from voice_stack.core.errors import DeviceLostError, InvalidRequestError
from voice_stack.core.service import EngineService
from voice_stack.core.settings import Settings
from voice_stack.tts.engine.base import Capabilities, TtsEngine, Voice
from voice_stack.tts.speech import EncodedChunk, Script, speech_steps
from voice_stack.tts.voices.casting import Cast
from voice_stack.tts.voices.catalogue import VoiceCatalogue
from voice_stack.tts.voices.consents import ConsentStore
from voice_stack.tts.voices.library import VoiceLibrary
from voice_stack.utils.generators import resumed
from voice_stack.utils.language.detect import LanguageDetector, unspoken_script
from voice_stack.utils.text import has_speech, strip_unspeakable

OPENAI_MODELS = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts", "gpt-4o-mini-tts-2025-12-15")
"""OpenAI's own model names: here they mean the configured model."""

OPENAI_VOICES = frozenset(
    "alloy ash ballad coral echo fable onyx nova sage shimmer verse marin cedar".split()  # noqa: SIM905 - names read better
)
"""OpenAI's built-in voices: here they mean the default voice."""

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
        super().__init__("tts", settings, engine, openai_models=OPENAI_MODELS, max_active=MAX_ACTIVE, load=self._load)
        self._settings = settings
        self._engine = engine
        self._first_voice: str | None = None
        self._detector_lock = threading.Lock()
        self._detector_languages: tuple[str, ...] = ()
        self._detector_kept = LanguageDetector(())
        self.consents = ConsentStore(settings.tts_voice_dir / ".consents")
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
        self._engine.load()
        # Samples are checked at their first sight, which takes a while for many.
        voices = self._catalogue.voices()
        if voices:
            cast = self._cast(self._default_voice(voices).id)
            if self._settings.tts_auto_lang and len(cast.languages) > 1:
                self._detector(cast.languages).detect("What language is this?")

    async def voices(self) -> Sequence[Voice]:
        """Every voice, the default one first."""
        await self.lifecycle.ready()
        voices = await asyncio.to_thread(self._catalogue.voices)
        if not voices:
            return []
        default = self._default_voice(voices)
        return [default, *(voice for voice in voices if voice != default)]

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
        await self.lifecycle.ready()
        script = await asyncio.to_thread(self._script, text, speech)
        stream = self._stream(script, speech.audio_format)
        return resumed(await anext(stream), stream)

    async def _stream(self, script: Script, audio_format: str) -> AsyncGenerator[EncodedChunk, None]:
        def steps() -> Iterator[EncodedChunk | None]:
            return speech_steps(
                self._engine, script, audio_format=audio_format, sample_rate_hz=self._settings.tts_sample_rate
            )

        with self.queue.job(steps) as job:
            try:
                held_s = 0.0  # an encoder gives nothing for what it still holds
                async for chunk in job:
                    held_s += chunk.duration_s
                    if chunk.data:
                        yield EncodedChunk(chunk.data, held_s)
                        held_s = 0.0
            except DeviceLostError as error:
                self.lifecycle.fail(error)
                raise

    def _check_text(self, text: str) -> str:
        limit = self._settings.tts_max_input_chars
        if len(text) > limit:
            raise InvalidRequestError(
                f"The input has {len(text)} characters; this service takes {limit} at most. Send it in parts, "
                "or ask the operator to raise TTS_MAX_INPUT_CHARS.",
                param="input",
                code="input_too_long",
            )
        if not has_speech(text):
            what = "is empty" if not text.strip() else "has no letter or digit to speak"
            raise InvalidRequestError(f"The input {what}; send some words.", param="input", code="empty_input")
        return strip_unspeakable(text)

    def _script(self, text: str, speech: Speech) -> Script:
        cast = self._cast(speech.voice)
        if speech.language is not None:
            cast = cast.only(speech.language)
        elif (foreign := unspoken_script(text, cast.languages)) is not None:
            raise InvalidRequestError(
                f"The input is mostly in {foreign} script, which the voice {cast.lead.id!r} cannot read; it speaks: "
                f"{', '.join(sorted(cast.languages))}.",
                param="input",
                code="unsupported_language",
            )
        detects = speech.language is None and self._settings.tts_auto_lang and len(cast.languages) > 1
        return Script(
            text,
            cast,
            language_of=self._detector(cast.languages).detect if detects else None,
            speed=speech.speed,
            seed=speech.seed,
            max_chars=self._settings.tts_max_chars,
        )

    def _cast(self, name: str) -> Cast:
        voices = self._catalogue.voices()
        shared = self._engine.capabilities.languages
        by_id = next((voice for voice in voices if name == voice.id), None)
        by_name = [voice for voice in voices if name == voice.name]
        if by_id is not None or by_name:
            lead = by_id or by_name[0]
            return Cast(lead, [voice for voice in voices if voice.name == lead.name and voice != lead], shared)
        if not voices or name.lower() not in OPENAI_VOICES:
            raise self._catalogue.not_found(name)
        lead = self._default_voice(voices)
        return Cast(lead, [voice for voice in voices if voice != lead], shared)

    def _default_voice(self, voices: Sequence[Voice]) -> Voice:
        wanted = self._settings.tts_default_voice
        if wanted is None:
            # The first one found, and no other while that is there: a voice that is added changes nobody's default.
            if self._first_voice is None or all(voice.id != self._first_voice for voice in voices):
                self._first_voice = voices[0].id
            wanted = self._first_voice
        return next((voice for voice in voices if wanted in {voice.id, voice.name}), voices[0])

    def _detector(self, languages: tuple[str, ...]) -> LanguageDetector:
        """Each holds models of some 100 MB: one is kept, for as long as the languages are these."""
        with self._detector_lock:
            if self._detector_languages != languages:
                self._detector_kept, self._detector_languages = LanguageDetector(languages), languages
            return self._detector_kept
