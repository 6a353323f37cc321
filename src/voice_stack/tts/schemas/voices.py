"""Shapes of OpenAI's voices API (``openai`` SDK, ``types/audio/voice*.py``), with what we add to them."""

from collections.abc import Sequence
from typing import Generic, Literal, Protocol, TypeVar

from pydantic import BaseModel, Field
from typing_extensions import Self

from voice_stack.core.errors import InvalidRequestError, quoted
from voice_stack.tts.engine.base import Voice
from voice_stack.tts.voices.consents import Consent


class Listed(Protocol):
    """What lists are made of."""

    @property
    def id(self) -> str:
        """What the client calls it."""


class Entry(BaseModel):
    """What pages are made of."""

    id: str


Item = TypeVar("Item", bound=Entry)
T = TypeVar("T", bound=Listed)


class VoiceInfo(Entry):
    """One voice."""

    object: Literal["audio.voice"] = "audio.voice"
    name: str
    created_at: int = Field(description="Unix time in seconds; 0 for the engine's own voices")
    type: Literal["audio_sample", "prompt"] = "audio_sample"
    language: str = Field(description="of its recording, as in en or pt-BR; mul: none in particular")
    languages: list[str] = Field(description="what it speaks")
    engine: str

    @classmethod
    def of(cls, voice: Voice, *, engine: str, languages: Sequence[str]) -> "VoiceInfo":
        """Describe a voice of an engine whose voices all speak ``languages``; none: each its own."""
        return cls(
            id=voice.id,
            name=voice.name,
            created_at=voice.created_at,
            language=voice.language,
            languages=list(languages) or [voice.language],
            engine=engine,
        )


class VoiceDeleted(BaseModel):
    """The voice is gone."""

    object: Literal["audio.voice.deleted"] = "audio.voice.deleted"
    id: str
    deleted: bool = True


class ConsentInfo(Entry):
    """One consent recording."""

    object: Literal["audio.voice_consent"] = "audio.voice_consent"
    name: str
    language: str
    created_at: int

    @classmethod
    def of(cls, consent: Consent) -> "ConsentInfo":
        """Describe a consent."""
        return cls(id=consent.id, name=consent.name, language=consent.language, created_at=consent.created_at)


class ConsentUpdate(BaseModel):
    """Body of ``POST /audio/voice_consents/{id}``."""

    name: str = Field(description="the new label")


class ConsentDeleted(BaseModel):
    """The consent is gone."""

    object: Literal["audio.voice_consent"] = "audio.voice_consent"
    id: str
    deleted: bool = True


class Page(BaseModel, Generic[Item]):
    """A part of a list, as the SDK's cursor pages read it."""

    object: Literal["list"] = "list"
    data: list[Item]
    first_id: str | None
    last_id: str | None
    has_more: bool

    @classmethod
    def of(cls, data: Sequence[Item], *, has_more: bool) -> Self:
        """Build a page of what is on it."""
        first_id, last_id = (data[0].id, data[-1].id) if data else (None, None)
        return cls(data=list(data), first_id=first_id, last_id=last_id, has_more=has_more)


class VoiceList(Page[VoiceInfo]):
    """Voices; the first of all is the default."""


class ConsentList(Page[ConsentInfo]):
    """Consents, the oldest first."""


def cut_page(items: Sequence[T], after: str | None, limit: int | None) -> tuple[Sequence[T], bool]:
    """The items that follow the one whose id is ``after``, and whether there are more behind them.

    Args:
        limit: the most of them; None: all.

    Raises:
        InvalidRequestError: there is no such item.
    """
    start = 0
    if after is not None:
        start = next((number for number, item in enumerate(items, 1) if item.id == after), 0)
        if not start:
            raise InvalidRequestError(f"The list has no {quoted(after)} to go on from.", param="after")
    end = len(items) if limit is None else start + limit
    return items[start:end], end < len(items)
