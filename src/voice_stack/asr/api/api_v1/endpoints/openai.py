"""OpenAI's audio API, speech to text."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, File, Form, Request, Response, UploadFile
from fastapi.responses import PlainTextResponse

from voice_stack.asr.engine.base import TranscribeOptions
from voice_stack.asr.schemas.openai import TranscriptionJson, TranscriptionVerbose
from voice_stack.asr.service import AsrService
from voice_stack.core.disconnect import unless_disconnected
from voice_stack.core.errors import InvalidRequestError
from voice_stack.core.models_api import Model, models_router


def _service(request: Request) -> AsrService:
    service: AsrService = request.app.state.service
    return service


def _models(request: Request) -> list[Model]:
    return list(_service(request).models())


router = APIRouter(tags=["openai"])
router.include_router(models_router(_models))

Granularity = Literal["word", "segment"]


@router.post("/audio/transcriptions", response_model=None, summary="Transcribe audio in its own language")
async def create_transcription(
    request: Request,
    service: Annotated[AsrService, Depends(_service)],
    file: Annotated[UploadFile, File(description="audio or video of any format that FFmpeg reads")],
    model: Annotated[str, Form()] = "whisper-1",
    language: Annotated[str | None, Form(description="code or name; left out, it is detected")] = None,
    prompt: Annotated[str | None, Form(description="text that came before, or words to expect")] = None,
    response_format: Annotated[Literal["json", "text", "verbose_json"], Form()] = "json",
    temperature: Annotated[float, Form(ge=0, le=1)] = 0.0,
    timestamp_granularities: Annotated[list[Granularity] | None, Form(alias="timestamp_granularities[]")] = None,
    stream: Annotated[bool, Form(description="not supported yet")] = False,
) -> Response | TranscriptionJson | TranscriptionVerbose:
    """Transcribe one upload; silence gives an empty text."""
    if stream:
        raise InvalidRequestError("Streaming transcriptions are not supported; leave out 'stream'.", param="stream")
    if timestamp_granularities and response_format != "verbose_json":
        raise InvalidRequestError(
            "Timestamps come with response_format=verbose_json only.", param="timestamp_granularities"
        )
    granularities = timestamp_granularities or ["segment"]
    options = TranscribeOptions(
        language=language or None,
        prompt=prompt or None,
        temperature=temperature,
        word_timestamps="word" in granularities,
    )
    transcript = await unless_disconnected(request, service.transcribe(file.file, options, model=model))
    if response_format == "text":
        return PlainTextResponse(transcript.text + "\n")
    if response_format == "verbose_json":
        return TranscriptionVerbose.of(transcript, segments="segment" in granularities, words="word" in granularities)
    return TranscriptionJson.of(transcript)
