"""Shapes of incremental speech: events after the manner of OpenAI's Realtime API, of which it has none for this."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voice_stack.core.errors import InvalidRequestError
from voice_stack.tts.schemas.openai import AudioFormatName, VoiceId
from voice_stack.tts.service import Speech

MOST_CHARS = 16_384
"""Of what an utterance keeps while it waits, and each ``session.updated`` repeats."""


class SpeechSessionConfig(BaseModel):
    """How a session speaks; the fields are those of ``POST /audio/speech``."""

    model_config = ConfigDict(extra="ignore")

    model: str = "tts-1"
    voice: str | VoiceId = "alloy"
    response_format: AudioFormatName = "pcm"
    speed: Annotated[float, Field(ge=0.25, le=4.0, allow_inf_nan=False)] = 1.0
    language: Annotated[str | None, Field(max_length=MOST_CHARS)] = None
    instructions: Annotated[str | None, Field(max_length=MOST_CHARS)] = None
    seed: Annotated[int, Field(ge=0, lt=2**63, strict=True)] | None = None

    def updated(self, changes: object) -> "SpeechSessionConfig":
        """The same with the fields that ``changes`` has.

        Raises:
            InvalidRequestError: it is no object, or a field has a value that it cannot have.
        """
        if not isinstance(changes, Mapping):
            raise InvalidRequestError("session must be an object.", param="session")
        try:
            return SpeechSessionConfig.model_validate({**self.model_dump(), **changes})
        except ValidationError as error:
            detail = error.errors(include_url=False)[0]
            name = ".".join(str(part) for part in ("session", *detail["loc"][:1]))
            raise InvalidRequestError(f"{name}: {detail['msg']}", param=name) from None

    def speech(self) -> Speech:
        """How to say an utterance, whose text is still to come."""
        voice = self.voice if isinstance(self.voice, str) else self.voice.id
        return Speech("", voice, self.response_format, self.speed, self.language, self.seed)

    def told(self, session_id: str) -> dict[str, Any]:
        """What ``session.created`` and ``session.updated`` say."""
        return {"id": session_id, "object": "speech.session", **self.model_dump()}
