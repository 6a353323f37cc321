"""Incremental speech: text in while it is written, audio out while it is made."""

from fastapi import APIRouter, WebSocket

from voice_stack.core.channel import Channel, converse, expect_websocket
from voice_stack.tts.incremental.session import SpeechSession
from voice_stack.tts.service import TtsService

router = APIRouter()
router.add_api_route("/audio/speech/stream", expect_websocket, methods=["GET"], include_in_schema=False)


@router.websocket("/audio/speech/stream")
async def speech_stream(websocket: WebSocket) -> None:
    """Speak texts that are still being written."""
    service: TtsService = websocket.app.state.service

    async def talk(channel: Channel) -> None:
        await SpeechSession(channel, service, max_chars=service.max_input_chars).hold()

    await converse(websocket, service, talk)
