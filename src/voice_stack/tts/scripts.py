"""Which voices say a text, and in which language."""

import threading
from collections.abc import Sequence

from voice_stack.core.errors import InvalidRequestError, ModelNotFoundError
from voice_stack.core.settings import Settings
from voice_stack.tts.engine.base import TtsEngine, Voice
from voice_stack.tts.speech import Script
from voice_stack.tts.voices.casting import Cast
from voice_stack.tts.voices.catalogue import VoiceCatalogue
from voice_stack.utils.language.detect import LanguageDetector, unspoken_script
from voice_stack.utils.text import has_speech, strip_unspeakable

OPENAI_VOICES = frozenset(
    "alloy ash ballad coral echo fable onyx nova sage shimmer verse marin cedar".split()  # noqa: SIM905 - names read better
)
"""OpenAI's built-in voices: here they mean the default voice."""


def speakable_text(text: str) -> str:
    """What of a text can be said.

    Raises:
        InvalidRequestError: nothing.
    """
    if not has_speech(text):
        what = "is empty" if not text.strip() else "has no letter or digit to speak"
        raise InvalidRequestError(f"The input {what}; send some words.", param="input", code="empty_input")
    return strip_unspeakable(text)


def check_readable(text: str, cast: Cast) -> None:
    """Refuse a text in a script that nobody of the cast can read.

    Raises:
        InvalidRequestError: it is mostly in one.
    """
    foreign = unspoken_script(text, cast.languages)
    if foreign is not None:
        raise InvalidRequestError(
            f"The input is mostly in {foreign} script, which the voice {cast.lead.id!r} cannot read; it speaks: "
            f"{', '.join(sorted(cast.languages))}.",
            param="input",
            code="unsupported_language",
        )


class ScriptWriter:
    """Makes scripts of texts, for an engine that is loaded. Its methods block, and may be called from any thread."""

    def __init__(self, settings: Settings, engine: TtsEngine, catalogue: VoiceCatalogue) -> None:
        self._settings = settings
        self._engine = engine
        self._catalogue = catalogue
        self._first_voice: str | None = None
        self._detector_lock = threading.Lock()
        self._detector_languages: tuple[str, ...] = ()
        self._detector_kept = LanguageDetector(())

    def warm_up(self) -> None:
        """Do what the first script would wait for.

        Raises:
            ModelNotFoundError: ``TTS_DEFAULT_VOICE`` is not here.
        """
        # Samples are checked at their first sight, which takes a while for many.
        voices = self._catalogue.voices()
        wanted = self._settings.tts_default_voice
        if wanted is not None and all(wanted not in {voice.id, voice.name} for voice in voices):
            raise ModelNotFoundError(f"TTS_DEFAULT_VOICE: {self._catalogue.not_found(wanted)}")
        if voices:
            cast = self._cast(None)
            if self._settings.tts_auto_lang and len(cast.languages) > 1:
                self._detector(cast.languages).detect("What language is this?")

    def unload(self) -> None:
        """Let go of the language models, which the next text that needs them loads again."""
        with self._detector_lock:
            self._detector_kept.unload()

    def voices(self) -> Sequence[Voice]:
        """Every voice, the default one first."""
        voices = self._catalogue.voices()
        if not voices:
            return []
        default = self._default_voice(voices)
        return [default, *(voice for voice in voices if voice != default)]

    def write(
        self,
        text: str,
        *,
        voice: str | None = None,
        language: str | None = None,
        speed: float = 1.0,
        seed: int | None = None,
    ) -> Script:
        """How to say a text, of which something can be said, or one that is still to be written: an empty one.

        Args:
            voice: its id, its speaker's name or one of OpenAI's; None: the default one.
            language: of all of the text; None: that of each sentence, or the voice's own.

        Raises:
            VoiceNotFoundError: there is no such voice.
            InvalidRequestError: the voice cannot speak this text or this language.
        """
        cast = self._cast(voice)
        if language is not None:
            cast = cast.only(language)
        else:
            check_readable(text, cast)
        detects = language is None and self._settings.tts_auto_lang and len(cast.languages) > 1
        return Script(
            text,
            cast,
            language_of=self._detector(cast.languages).detect if detects else None,
            speed=speed,
            seed=seed,
            max_chars=self._settings.tts_max_chars,
        )

    def _cast(self, name: str | None) -> Cast:
        voices = self._catalogue.voices()
        shared = self._engine.capabilities.languages
        by_id = next((voice for voice in voices if name == voice.id), None)
        by_name = [voice for voice in voices if name == voice.name]
        if by_id is not None or by_name:
            lead = by_id or by_name[0]
            return Cast(lead, [voice for voice in voices if voice.name == lead.name and voice != lead], shared)
        if not voices or (name is not None and name.lower() not in OPENAI_VOICES):
            raise self._catalogue.not_found(name or "default")
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
