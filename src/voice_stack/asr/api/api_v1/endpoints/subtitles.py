"""Subtitles of a transcript that was made before: laid out, not decoded again."""

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from voice_stack.asr.schemas.timed import TimedTranscript
from voice_stack.asr.subtitles.files import MEDIA_TYPES, SUBTITLES
from voice_stack.asr.subtitles.layout import lay_out
from voice_stack.core.middleware import BodyLimit
from voice_stack.core.responses import ClosingStreamingResponse

PATH = "/audio/transcriptions/subtitles"
LIMIT = BodyLimit(8 * 2**20, None, "words")
"""Ten hours of speech have less than 6 MiB."""


def _schema() -> dict[str, Any]:
    """The shape of the body, in one piece: references would point to places that the API's description lacks."""
    schema = TimedTranscript.model_json_schema()
    kinds = schema.pop("$defs")
    schema["properties"]["segments"]["items"] = kinds["TimedText"]
    schema["properties"]["words"]["anyOf"][0]["items"] = kinds["TimedWord"]
    return schema


router = APIRouter(tags=["subtitles"])


@router.post(
    PATH,
    summary="Subtitles of a transcript in verbose_json, without decoding again",
    response_class=Response,
    responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}}, "text/vtt": {"schema": {"type": "string"}}}}
    },
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": _schema()}}}},
)
async def create_subtitles(
    request: Request, response_format: Annotated[Literal["srt", "vtt"], Query()] = "srt"
) -> Response:
    """Lay out what ``verbose_json`` gave with segments and words; without words, the segments' times have to do."""
    # Here and not by FastAPI, which would parse hours of words on the event loop.
    body = await request.body()
    try:
        transcript = await asyncio.to_thread(TimedTranscript.model_validate_json, body, strict=True)
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_url=False, include_input=False)) from error
    # Cue by cue, on a thread: hours of words take seconds, and a client that leaves ends the work.
    cues = lay_out(await asyncio.to_thread(transcript.spoken), transcript.duration)
    return ClosingStreamingResponse(SUBTITLES[response_format](cues), media_type=MEDIA_TYPES[response_format])
