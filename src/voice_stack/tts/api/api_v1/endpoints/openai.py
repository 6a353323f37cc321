"""OpenAI's audio API, text to speech."""

import base64
import json
import logging
import math
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from voice_stack.core.disconnect import unless_disconnected
from voice_stack.core.errors import EngineError, VoiceStackError
from voice_stack.core.models_api import Model, models_router
from voice_stack.core.responses import ClosingStreamingResponse
from voice_stack.tts.schemas.openai import SpeechAudioDelta, SpeechAudioDone, SpeechRequest, SpeechUsage
from voice_stack.tts.service import Speech, TtsService
from voice_stack.tts.speech import EncodedChunk
from voice_stack.utils.audio.encode import AUDIO_FORMATS

_logger = logging.getLogger(__name__)


def get_service(request: Request) -> TtsService:
    """The service behind the app that this request reached."""
    service: TtsService = request.app.state.service
    return service


def _models(request: Request) -> list[Model]:
    return list(get_service(request).models())


router = APIRouter(tags=["openai"])
router.include_router(models_router(_models))


@router.post(
    "/audio/speech",
    response_class=Response,
    summary="Speak a text",
    responses={200: {"content": {audio_format.media_type: {} for audio_format in AUDIO_FORMATS.values()}}},
)
async def create_speech(
    body: SpeechRequest, request: Request, service: Annotated[TtsService, Depends(get_service)]
) -> Response:
    """Stream the audio while it is being made, as a file of the asked-for format or as server-sent events."""
    speech = Speech(body.input, body.voice_name, body.response_format, body.speed, body.language)
    chunks = await unless_disconnected(request, service.speak(speech, model=body.model))
    if body.stream_format == "sse":
        return ClosingStreamingResponse(_events(chunks, len(body.input)), media_type="text/event-stream")
    return ClosingStreamingResponse(_bytes(chunks), media_type=AUDIO_FORMATS[body.response_format].media_type)


async def _bytes(chunks: AsyncGenerator[EncodedChunk, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(chunks):
        async for chunk in chunks:
            yield chunk.data


async def _events(chunks: AsyncGenerator[EncodedChunk, None], characters: int) -> AsyncGenerator[str, None]:
    duration_s = 0.0
    async with aclosing(chunks):
        try:
            async for chunk in chunks:
                duration_s += chunk.duration_s
                yield _event(SpeechAudioDelta(audio=base64.b64encode(chunk.data).decode()).model_dump_json())
        except Exception as error:
            _logger.exception("speech failed in mid-stream")
            known = error if isinstance(error, VoiceStackError) else EngineError("The service failed in mid-speech.")
            yield _event(json.dumps({"type": "error", **known.envelope()}), name="error")
            return
    tokens_in, tokens_out = math.ceil(characters / 4), round(duration_s * 20)
    usage = SpeechUsage(input_tokens=tokens_in, output_tokens=tokens_out, total_tokens=tokens_in + tokens_out)
    yield _event(SpeechAudioDone(usage=usage).model_dump_json())


def _event(data: str, *, name: str | None = None) -> str:
    return (f"event: {name}\n" if name else "") + f"data: {data}\n\n"
