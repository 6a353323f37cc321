"""OpenAI's Realtime API, for transcription."""

from collections.abc import Mapping

from fastapi import APIRouter, WebSocket

from voice_stack.asr.realtime.session import RealtimeSession
from voice_stack.asr.schemas.realtime import SessionConfig
from voice_stack.asr.service import AsrService
from voice_stack.core.channel import Channel, converse, expect_websocket
from voice_stack.core.errors import InvalidRequestError, quoted

router = APIRouter()
router.add_api_route("/realtime", expect_websocket, methods=["GET"], include_in_schema=False)

BETA_SUBPROTOCOL = "openai-beta.realtime-v1"


@router.websocket("/realtime")
async def realtime(websocket: WebSocket) -> None:
    """Transcribe while somebody speaks."""
    service: AsrService = websocket.app.state.service
    query = websocket.query_params
    beta = websocket.headers.get("openai-beta") == "realtime=v1" or BETA_SUBPROTOCOL in websocket.scope["subprotocols"]

    async def talk(channel: Channel) -> None:
        _check(query)
        about = {"audio": {"input": {"transcription": {"model": query.get("model") or service.describe()["model"]}}}}
        await RealtimeSession(channel, service, SessionConfig().updated(about), beta=beta).hold()

    await converse(websocket, service, talk)


def _check(query: Mapping[str, str]) -> None:
    intent = query.get("intent", "transcription")
    if intent != "transcription":
        raise InvalidRequestError(
            f"This service only transcribes: intent must be 'transcription', not {quoted(intent)}.", param="intent"
        )
    if "call_id" in query:
        raise InvalidRequestError("There are no calls here; leave out call_id.", param="call_id")
