"""Who speaks which language of a text."""

from collections.abc import Sequence
from dataclasses import dataclass

from voice_stack.core.errors import InvalidRequestError, quoted
from voice_stack.tts.engine.base import ANY_LANGUAGE, SynthesisOptions, Voice

FALLBACK_LANGUAGE = "en"
"""What a voice without a language of its own speaks where the text tells none."""


def primary(tag: str) -> str:
    """The language of a BCP 47 tag, without region: ``en`` of en-US and EN_us."""
    return tag.lower().replace("_", "-").partition("-")[0]


@dataclass(frozen=True)
class Cast:
    """The voices of one request.

    Args:
        lead: speaks whatever it can.
        others: take over, in this order, for the languages that it cannot.
        shared: the languages of an engine whose voices all speak the same; empty: each voice has its own.
        wanted: the one language of the text; None: what each sentence is in.
    """

    lead: Voice
    others: Sequence[Voice] = ()
    shared: Sequence[str] = ()
    wanted: str | None = None

    @property
    def languages(self) -> tuple[str, ...]:
        """What can be spoken, as in ``en``; the lead's own language first."""
        own = [primary(voice.language) for voice in (self.lead, *self.others) if voice.language != ANY_LANGUAGE]
        if self.shared:
            own = [language for language in own if language in self.shared]
        return tuple(dict.fromkeys([*own, *self.shared]))

    @property
    def own_language(self) -> str:
        """What is spoken where the text does not tell."""
        if self.wanted is not None:
            return self.wanted
        own = primary(self.lead.language)
        if own in self.languages:
            return own
        return FALLBACK_LANGUAGE if FALLBACK_LANGUAGE in self.languages else self.languages[0]

    def options(self, language: str | None) -> SynthesisOptions:
        """Who speaks a language, and how; the lead in its own where nobody does."""
        wanted = language or self.own_language
        voice = self._speaker(wanted)
        return SynthesisOptions(voice or self.lead, wanted if voice else self.own_language)

    def only(self, language: str) -> "Cast":
        """The cast for a text that is all in one language.

        Raises:
            InvalidRequestError: nobody speaks it.
        """
        voice = self._speaker(language)
        if voice is None:
            raise InvalidRequestError(
                f"The voice {self.lead.id!r} does not speak {quoted(language)}; it can be had in: "
                f"{', '.join(sorted(self.languages))}.",
                param="language",
                code="unsupported_language",
            )
        return Cast(voice, shared=self.shared, wanted=language)

    def _speaker(self, language: str) -> Voice | None:
        voices = (self.lead, *self.others)
        wanted = primary(language)
        if self.shared:
            return self.lead if wanted in self.shared else None
        exact = next((voice for voice in voices if voice.language.lower() == language.lower()), None)
        return exact or next((voice for voice in voices if primary(voice.language) == wanted), None)
