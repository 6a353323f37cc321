"""OpenAI's audio API, speech to text."""

import asyncio
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, File, Form, Request, Response, UploadFile

from voice_stack.asr.api.api_v1.chunking import chunking
from voice_stack.asr.engine.base import Segment, Step, TranscribeOptions
from voice_stack.asr.formats import render
from voice_stack.asr.schemas.openai import (
    TranscriptionJson,
    TranscriptionVerbose,
    TranscriptTextDelta,
    TranscriptTextDone,
    TranscriptTextSegment,
)
from voice_stack.asr.service import AsrService
from voice_stack.asr.subtitles.files import SUBTITLES
from voice_stack.asr.transcript import TranscriptBuilder
from voice_stack.core.disconnect import unless_disconnected
from voice_stack.core.errors import InvalidRequestError
from voice_stack.core.models_api import Model, models_router
from voice_stack.core.sse import EVENTS, event_stream
from voice_stack.utils.audio.vad import VadOptions


def get_service(request: Request) -> AsrService:
    """The service behind the app that this request reached."""
    service: AsrService = request.app.state.service
    return service


def _models(request: Request) -> list[Model]:
    return list(get_service(request).models())


router = APIRouter(tags=["openai"])
router.include_router(models_router(_models))

Service = Annotated[AsrService, Depends(get_service)]
Upload = Annotated[UploadFile, File(description="audio or video of any format that FFmpeg reads")]
ModelName = Annotated[str, Form(description="a model of this service; OpenAI's names mean the configured one")]
LanguageName = Annotated[str | None, Form(description="code or name; left out, it is detected")]
Prompt = Annotated[str | None, Form(description="text that came before, or words to expect")]
Temperature = Annotated[float, Form(ge=0, le=1)]
Format = Annotated[Literal["json", "text", "srt", "verbose_json", "vtt"], Form()]
Keywords = Annotated[list[str] | None, Form(alias="keywords[]", description="words to expect")]
Hotwords = Annotated[str | None, Form(description="words to expect, separated by commas")]
Granularity = Literal["word", "segment"]

_TEXT = {"schema": {"type": "string"}}


@router.post(
    "/audio/transcriptions",
    summary="Transcribe audio in its own language",
    responses={
        200: {
            "model": TranscriptionJson | TranscriptionVerbose,
            "content": {"text/plain": _TEXT, "text/event-stream": EVENTS},
        }
    },
)
async def create_transcription(
    request: Request,
    service: Service,
    vad: Annotated[VadOptions | None, Depends(chunking)],
    file: Upload,
    model: ModelName = "whisper-1",
    language: LanguageName = None,
    prompt: Prompt = None,
    response_format: Format = "json",
    temperature: Temperature = 0.0,
    timestamp_granularities: Annotated[list[Granularity] | None, Form(alias="timestamp_granularities[]")] = None,
    include: Annotated[list[Literal["logprobs"]] | None, Form(alias="include[]")] = None,
    keywords: Keywords = None,
    hotwords: Hotwords = None,
    stream: Annotated[bool, Form(description="server-sent events while decoding goes on")] = False,
) -> Response:
    """Transcribe one upload; silence gives an empty text."""
    if timestamp_granularities and response_format != "verbose_json":
        raise InvalidRequestError(
            "Timestamps come with response_format=verbose_json only.", param="timestamp_granularities"
        )
    granularities = timestamp_granularities or ["segment"]
    # The words' times make the segments' exact.
    words = response_format in {*SUBTITLES, "verbose_json"} or bool(include)
    options = TranscribeOptions(
        language=language or None,
        prompt=prompt or None,
        hotwords=_expected(keywords, hotwords),
        temperature=temperature,
        word_timestamps=words,
        segment_times=words,
        vad=vad,
    )
    if stream:
        if response_format in SUBTITLES:
            raise InvalidRequestError("A stream carries text: use response_format=json.", param="response_format")
        steps = await unless_disconnected(request, service.begin(file.file, options, model=model))
        timed = granularities if response_format == "verbose_json" else None
        return event_stream(_events(steps, options, logprobs=bool(include), granularities=timed))
    transcript = await unless_disconnected(request, service.transcribe(file.file, options, model=model))
    return await asyncio.to_thread(
        render, transcript, response_format, granularities=granularities, logprobs=bool(include)
    )


@router.post(
    "/audio/transcriptions/verbose",
    summary="The same, always verbose_json with segments and words",
    responses={200: {"model": TranscriptionVerbose}},
)
async def create_verbose_transcription(
    request: Request,
    service: Service,
    vad: Annotated[VadOptions | None, Depends(chunking)],
    file: Upload,
    model: ModelName = "whisper-1",
    language: LanguageName = None,
    prompt: Prompt = None,
    temperature: Temperature = 0.0,
    keywords: Keywords = None,
    hotwords: Hotwords = None,
) -> Response:
    """Transcribe one upload, with everything that is known of it."""
    options = TranscribeOptions(
        language=language or None,
        prompt=prompt or None,
        hotwords=_expected(keywords, hotwords),
        temperature=temperature,
        word_timestamps=True,
        vad=vad,
    )
    transcript = await unless_disconnected(request, service.transcribe(file.file, options, model=model))
    return await asyncio.to_thread(
        render, transcript, "verbose_json", granularities=("word", "segment"), logprobs=False
    )


@router.post(
    "/audio/translations",
    summary="Translate speech of any language to English text",
    responses={200: {"model": TranscriptionJson | TranscriptionVerbose, "content": {"text/plain": _TEXT}}},
)
async def create_translation(
    request: Request,
    service: Service,
    file: Upload,
    model: ModelName = "whisper-1",
    prompt: Prompt = None,
    response_format: Format = "json",
    temperature: Temperature = 0.0,
) -> Response:
    """Translate one upload; a model that cannot is refused."""
    words = response_format in {*SUBTITLES, "verbose_json"}
    options = TranscribeOptions(
        task="translate",
        prompt=prompt or None,
        temperature=temperature,
        word_timestamps=words,
        segment_times=words,
    )
    transcript = await unless_disconnected(request, service.transcribe(file.file, options, model=model))
    return await asyncio.to_thread(render, transcript, response_format, granularities=("segment",), logprobs=False)


def _expected(keywords: list[str] | None, hotwords: str | None) -> str | None:
    return ", ".join([*(keywords or []), *([hotwords] if hotwords else [])]) or None


async def _events(
    steps: AsyncGenerator[Step, None],
    options: TranscribeOptions,
    *,
    logprobs: bool,
    granularities: Collection[Granularity] | None,  # None: no times
) -> AsyncGenerator[TranscriptTextDelta | TranscriptTextSegment | TranscriptTextDone, None]:
    building = TranscriptBuilder(options.task)
    sent = count = 0
    async with aclosing(steps):
        async for step in steps:
            building.add(step)
            if isinstance(step, Segment):
                text = building.text
                yield TranscriptTextDelta.of(text[sent:], step if logprobs else None)
                sent = len(text)
                if granularities is not None:
                    yield TranscriptTextSegment.timed(count, step, words="word" in granularities)
                count += 1
    yield TranscriptTextDone.of(building.finish(), logprobs=logprobs, timed=granularities is not None)
