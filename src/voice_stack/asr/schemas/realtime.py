"""Shapes of OpenAI's Realtime transcription session (``openai`` SDK, ``types/realtime``)."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import ErrorDetails

from voice_stack.asr.live.options import LiveOptions, TurnDetection
from voice_stack.core.errors import InvalidRequestError
from voice_stack.utils.language.whisper import language_code

DEFAULT_RATE_HZ = 24_000

EAGERNESS_S = {"low": 1.6, "medium": 0.8, "auto": 0.8, "high": 0.4}
"""The silence that ends a turn. OpenAI has a model for it: here eagerness is only a choice of that duration."""

_MOST_PROMPT_CHARS = 16_384
_MOST_KEYWORDS = 1000
_MOST_MS = 10_000


class _Part(BaseModel):
    # Numbers as text and the like are refused, as OpenAI does; what is not known here is left alone.
    model_config = ConfigDict(strict=True, extra="ignore")


class PcmFormat(_Part):
    """s16le, mono; OpenAI takes 24 kHz only."""

    type: Literal["audio/pcm"] = "audio/pcm"
    rate: int = Field(DEFAULT_RATE_HZ, ge=8000, le=48_000)


class G711Format(_Part):
    """Telephone audio, u-law (``pcmu``) or A-law (``pcma``)."""

    type: Literal["audio/pcmu", "audio/pcma"]
    rate: Literal[8000] = 8000


class NoiseReduction(_Part):
    """Taken and given back, and nothing else."""

    type: Literal["near_field", "far_field"] | None = None
    strength: float | None = Field(None, allow_inf_nan=False)


class Transcription(_Part):
    """What is spoken, and by which model it is transcribed; None: the configured one."""

    model: str | None = None
    language: str | None = None
    prompt: str | None = Field(None, max_length=_MOST_PROMPT_CHARS)
    keywords: list[str] | None = Field(None, max_length=_MOST_KEYWORDS)

    @field_validator("language")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        if value:
            language_code(value)
        return value

    @field_validator("keywords")
    @classmethod
    def _short(cls, value: list[str] | None) -> list[str] | None:
        if value and sum(map(len, value)) > _MOST_PROMPT_CHARS:
            raise ValueError(f"all of them together may have {_MOST_PROMPT_CHARS} characters")
        return value


class ServerVad(_Part):
    """A turn ends where nobody has spoken for a while."""

    type: Literal["server_vad"] = "server_vad"
    threshold: float = Field(0.5, ge=0, le=1)
    prefix_padding_ms: int = Field(300, ge=0, le=_MOST_MS)
    silence_duration_ms: int = Field(500, ge=0, le=_MOST_MS)

    def turns(self) -> TurnDetection:
        """The same in the engine's terms."""
        return TurnDetection(self.threshold, self.prefix_padding_ms / 1000, self.silence_duration_ms / 1000)


class SemanticVad(_Part):
    """The same, with a duration that goes by ``EAGERNESS_S``."""

    type: Literal["semantic_vad"]
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"

    def turns(self) -> TurnDetection:
        """The same in the engine's terms."""
        return TurnDetection(silence_s=EAGERNESS_S[self.eagerness])


class AudioIn(_Part):
    """What goes in; ``turn_detection`` None: the client commits."""

    format: Annotated[PcmFormat | G711Format, Field(discriminator="type")] = PcmFormat()
    transcription: Transcription = Transcription()
    noise_reduction: NoiseReduction | None = None
    turn_detection: Annotated[ServerVad | SemanticVad, Field(discriminator="type")] | None = ServerVad()

    @field_validator("transcription", mode="before")
    @classmethod
    def _on(cls, value: object) -> object:
        if value is None:
            raise ValueError("it cannot be turned off: this service does nothing else")
        return value


class Audio(_Part):
    """Nothing goes out."""

    input: AudioIn = AudioIn()


class SessionConfig(_Part):
    """What a client can set."""

    type: Literal["transcription"] = "transcription"
    audio: Audio = Audio()
    # Millions of items could be wrong, and each error takes a kilobyte.
    include: Annotated[list[str], Field(fail_fast=True)] | None = None

    @field_validator("include")
    @classmethod
    def _nothing_more(cls, value: list[str] | None) -> list[str] | None:
        if value:
            raise ValueError(
                "nothing more can be included: words are sent while their probabilities may still change. "
                "/audio/transcriptions gives log probabilities"
            )
        return value

    def options(self) -> LiveOptions:
        """The same in the engine's terms."""
        given = self.audio.input
        return LiveOptions(
            language=given.transcription.language or None,
            prompt=given.transcription.prompt or None,
            keywords=", ".join(given.transcription.keywords or ()) or None,
            turns=given.turn_detection.turns() if given.turn_detection else None,
        )

    def updated(self, changes: object) -> "SessionConfig":
        """What holds after a ``session.update``: what it leaves out stays as it is, and null turns off.

        Raises:
            InvalidRequestError: a value cannot be used; ``param`` is its path, as in ``session.audio.input.format``.
        """
        if not isinstance(changes, dict):
            raise InvalidRequestError("session: an object is needed.", param="session")
        if changes.get("type", "transcription") != "transcription":
            raise InvalidRequestError(
                "This service only transcribes: session.type must be 'transcription'.", param="session.type"
            )
        try:
            return SessionConfig.model_validate(_merged(self.model_dump(), changes))
        except ValidationError as error:
            raise _explained(error) from error

    def updated_beta(self, changes: object) -> "SessionConfig":
        """The same for ``transcription_session.update``, whose fields have other names and lie flat.

        Raises:
            InvalidRequestError: as ``updated``.
        """
        if not isinstance(changes, dict):
            raise InvalidRequestError("session: an object is needed.", param="session")
        given: dict[str, Any] = {ours: changes[name] for name, ours in _BETA_NAMES.items() if name in changes}
        if "format" in given:
            if not isinstance(given["format"], str) or given["format"] not in _BETA_FORMATS:
                raise InvalidRequestError(
                    f"session.input_audio_format: use one of {', '.join(_BETA_FORMATS)}.",
                    param="session.input_audio_format",
                )
            given["format"] = _BETA_FORMATS[given["format"]]
        include = {"include": changes["include"]} if "include" in changes else {}
        try:
            return self.updated({"audio": {"input": given}, **include})
        except InvalidRequestError as error:
            raise _in_beta_names(error) from error

    def beta(self) -> dict[str, Any]:
        """The settings under the names of the beta."""
        given = self.model_dump()["audio"]["input"]
        formats = [name for name, like in _BETA_FORMATS.items() if like == given["format"]]
        flat = {name: given[ours] for name, ours in _BETA_NAMES.items()}
        return {**flat, "input_audio_format": formats[0] if formats else "pcm16", "include": self.include}


_BETA_NAMES = {
    "input_audio_format": "format",
    "input_audio_transcription": "transcription",
    "input_audio_noise_reduction": "noise_reduction",
    "turn_detection": "turn_detection",
}
_BETA_FORMATS = {
    "pcm16": {"type": "audio/pcm", "rate": DEFAULT_RATE_HZ},
    "g711_ulaw": {"type": "audio/pcmu", "rate": 8000},
    "g711_alaw": {"type": "audio/pcma", "rate": 8000},
}


def _merged(current: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(current)
    for name, value in changes.items():
        now = current.get(name)
        # What is of another type (u-law for PCM, semantic for server VAD) has nothing of what was there before.
        if isinstance(now, dict) and isinstance(value, dict) and value.get("type", now.get("type")) == now.get("type"):
            merged[name] = _merged(now, value)
        else:
            merged[name] = value
    return merged


def _explained(error: ValidationError) -> InvalidRequestError:
    details = error.errors(include_url=False)
    problems = [f"{_path(detail)}: {detail['msg'].removeprefix('Value error, ')}" for detail in details]
    return InvalidRequestError(f"{'; '.join(problems)}.", param=_path(details[0]), code="invalid_value")


def _path(detail: ErrorDetails) -> str:
    # pydantic names the member of a union by its type.
    types = {"audio/pcm", "audio/pcmu", "audio/pcma", "server_vad", "semantic_vad"}
    return ".".join(["session", *(str(part) for part in detail["loc"] if part not in types)])


def _in_beta_names(error: InvalidRequestError) -> InvalidRequestError:
    message, param = error.message, error.param or ""
    for name, ours in _BETA_NAMES.items():
        message = message.replace(f"session.audio.input.{ours}", f"session.{name}")
        param = param.replace(f"session.audio.input.{ours}", f"session.{name}")
    return InvalidRequestError(message, param=param or None, code=error.code)
