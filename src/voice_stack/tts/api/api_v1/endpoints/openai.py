"""OpenAI's audio API, text to speech."""

import base64
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from voice_stack.core.disconnect import unless_disconnected
from voice_stack.core.models_api import Model, models_router
from voice_stack.core.responses import ClosingStreamingResponse
from voice_stack.core.sse import EVENTS, event_stream
from voice_stack.tts.schemas.openai import SpeechAudioDelta, SpeechAudioDone, SpeechRequest, SpeechUsage
from voice_stack.tts.service import Speech, TtsService
from voice_stack.tts.speech import EncodedChunk
from voice_stack.utils.audio.encode import AUDIO_FORMATS


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
    responses={
        200: {
            "content": {
                **{audio_format.media_type: {} for audio_format in AUDIO_FORMATS.values()},
                "text/event-stream": EVENTS,
            }
        }
    },
)
async def create_speech(
    body: SpeechRequest, request: Request, service: Annotated[TtsService, Depends(get_service)]
) -> Response:
    """Stream the audio while it is being made, as a file of the asked-for format or as server-sent events."""
    speech = Speech(body.input, body.voice_name, body.response_format, body.speed, body.language, body.seed)
    chunks = await unless_disconnected(request, service.speak(speech, model=body.model))
    if body.stream_format == "sse":
        return event_stream(_events(chunks, len(body.input)))
    return ClosingStreamingResponse(_bytes(chunks), media_type=AUDIO_FORMATS[body.response_format].media_type)


async def _bytes(chunks: AsyncGenerator[EncodedChunk, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(chunks):
        async for chunk in chunks:
            yield chunk.data


async def _events(
    chunks: AsyncGenerator[EncodedChunk, None], characters: int
) -> AsyncGenerator[SpeechAudioDelta | SpeechAudioDone, None]:
    duration_s = 0.0
    async with aclosing(chunks):
        async for chunk in chunks:
            duration_s += chunk.duration_s
            yield SpeechAudioDelta(audio=base64.b64encode(chunk.data).decode())
    yield SpeechAudioDone(usage=SpeechUsage.of(characters, duration_s), duration=round(duration_s, 3))
