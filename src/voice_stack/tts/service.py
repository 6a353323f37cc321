"""The text to speech service: one engine, one queue, and how a request gets from a text to a stream of bytes."""

from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass

from voice_stack.core.errors import InvalidRequestError, VoiceNotFoundError, quoted
from voice_stack.core.service import EngineService
from voice_stack.core.settings import Settings
from voice_stack.tts.engine.base import SynthesisOptions, TtsEngine, Voice
from voice_stack.tts.speech import EncodedChunk, speech_steps
from voice_stack.utils.generators import resumed
from voice_stack.utils.text import has_speech, strip_unspeakable

OPENAI_MODELS = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts", "gpt-4o-mini-tts-2025-12-15")
"""OpenAI's own model names: here they mean the configured model."""

OPENAI_VOICES = frozenset(
    "alloy ash ballad coral echo fable onyx nova sage shimmer verse marin cedar".split()  # noqa: SIM905 - names read better
)
"""OpenAI's built-in voices: here they mean the default voice."""

MAX_ACTIVE = 256
"""Speech requests that take turns. Each holds a sentence or two of audio; most of them wait for their readers."""


@dataclass(frozen=True)
class Speech:
    """What to say and how."""

    text: str
    voice: str
    audio_format: str
    speed: float = 1.0
    language: str | None = None


class TtsService(EngineService):
    """Speaks texts with one engine, the sentences of several requests in turns."""

    def __init__(self, settings: Settings, engine: TtsEngine) -> None:
        super().__init__("tts", settings, engine, openai_models=OPENAI_MODELS, max_active=MAX_ACTIVE)
        self._settings = settings
        self._engine = engine

    @property
    def engine_name(self) -> str:
        """The engine that speaks."""
        return self._engine.name

    async def voices(self) -> Sequence[Voice]:
        """Every voice, the default one first."""
        await self.lifecycle.ready()
        default = self._default_voice()
        return [default, *(voice for voice in self._engine.voices() if voice != default)]

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
        options = SynthesisOptions(self._find_voice(speech.voice, speech.language))
        stream = self._stream(text, options, speech)
        return resumed(await anext(stream), stream)

    async def _stream(self, text: str, options: SynthesisOptions, speech: Speech) -> AsyncGenerator[EncodedChunk, None]:
        def steps() -> Iterator[EncodedChunk | None]:
            return speech_steps(
                self._engine,
                text,
                options,
                audio_format=speech.audio_format,
                speed=speech.speed,
                sample_rate_hz=self._settings.tts_sample_rate,
                max_chars=self._settings.tts_max_chars,
            )

        with self.queue.job(steps) as job:
            async for chunk in job:
                if chunk.data:
                    yield chunk

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

    def _default_voice(self) -> Voice:
        voices = self._engine.voices()
        wanted = self._settings.tts_default_voice
        return next((voice for voice in voices if wanted in {voice.id, voice.name}), voices[0])

    def _find_voice(self, name: str, language: str | None) -> Voice:
        voices = self._engine.voices()
        named = next((voice for voice in voices if name == voice.id), None) or next(
            (voice for voice in voices if name == voice.name), None
        )
        if named is None and name.lower() not in OPENAI_VOICES:
            names = ", ".join(voice.id for voice in voices)
            raise VoiceNotFoundError(
                f"There is no voice {quoted(name)} here; this service has: {names}.", param="voice"
            )
        chosen = named or self._default_voice()
        if language is None or _same_language(chosen.language, language):
            return chosen
        others = [voice for voice in voices if _same_language(voice.language, language)]
        if named is not None or not others:
            spoken = ", ".join(sorted({voice.language for voice in voices}))
            raise InvalidRequestError(
                f"The voice {chosen.id!r} speaks {chosen.language}, not {quoted(language)}; "
                f"this service has voices for: {spoken}.",
                param="language",
            )
        return others[0]


def _same_language(tag: str, wanted: str) -> bool:
    tag, wanted = tag.lower(), wanted.lower().replace("_", "-")
    return tag == wanted if "-" in wanted else tag.partition("-")[0] == wanted
