"""OpenAI's ``chunking_strategy`` (``openai`` SDK, ``types/audio/transcription_create_params.py``)."""

from typing import Annotated, Any, Literal

from fastapi import Form
from pydantic import BaseModel, Field, ValidationError

from voice_stack.core.errors import InvalidRequestError
from voice_stack.utils.audio.vad import VadOptions

_HYSTERESIS = 0.15


class ServerVad(BaseModel, extra="forbid"):
    """What counts as speech, in the client's words."""

    type: Literal["server_vad"]
    threshold: float = Field(0.5, ge=0, le=1)
    prefix_padding_ms: int = Field(400, ge=0, le=5_000)
    silence_duration_ms: int = Field(500, ge=0, le=10_000)


def chunking(
    strategy: Annotated[
        str | None, Form(alias="chunking_strategy", description="auto, or server_vad as a JSON object or as fields")
    ] = None,
    type_: Annotated[str | None, Form(alias="chunking_strategy[type]")] = None,
    threshold: Annotated[str | None, Form(alias="chunking_strategy[threshold]")] = None,
    prefix_padding_ms: Annotated[str | None, Form(alias="chunking_strategy[prefix_padding_ms]")] = None,
    silence_duration_ms: Annotated[str | None, Form(alias="chunking_strategy[silence_duration_ms]")] = None,
) -> VadOptions | None:
    """Read the parameter in each form that clients send; None leaves the choice to the service.

    Raises:
        InvalidRequestError: it is neither ``auto`` nor a valid ``server_vad``.
    """
    fields: dict[str, Any] = {
        "type": type_,
        "threshold": threshold,
        "prefix_padding_ms": prefix_padding_ms,
        "silence_duration_ms": silence_duration_ms,
    }
    given = {name: value for name, value in fields.items() if value is not None}
    try:
        if given:
            vad = ServerVad.model_validate(given)
        elif strategy in {None, "", "auto"}:
            return None
        elif strategy == "server_vad":
            vad = ServerVad(type="server_vad")
        else:
            vad = ServerVad.model_validate_json(strategy or "")
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise InvalidRequestError(
            f"chunking_strategy{f' ({where})' if where else ''}: {problem['msg']}. "
            "Use auto, or an object of type server_vad with threshold, prefix_padding_ms and silence_duration_ms.",
            param="chunking_strategy",
        ) from error
    return VadOptions(
        threshold=vad.threshold,
        release=max(0.0, vad.threshold - _HYSTERESIS),
        min_silence_s=vad.silence_duration_ms / 1000,
        pad_s=vad.prefix_padding_ms / 1000,
    )
