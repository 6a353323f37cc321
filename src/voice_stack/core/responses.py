"""The responses both services share: JSON errors, and streams that clean up after themselves."""

from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

from starlette.responses import JSONResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

from voice_stack.core.errors import VoiceStackError
from voice_stack.core.metering import note_error


def error_response(error: VoiceStackError) -> JSONResponse:
    """Render an error as OpenAI's envelope with its status and headers."""
    return envelope_response(error.envelope(), error.status, error.headers)


async def refuse(error: VoiceStackError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request with an error, or a WebSocket that was not accepted yet."""
    if scope["type"] == "websocket" and "websocket.http.response" not in scope.get("extensions", {}):
        # Servers make a 403 of it; the code is for what is against the rules of an endpoint.
        await send({"type": "websocket.close", "code": 1008, "reason": error.code})
        return
    await error_response(error)(scope, receive, send)


def envelope_response(body: Mapping[str, Any], status: int, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """An error's envelope as the answer to the request at hand."""
    note_error(body["error"]["code"] or body["error"]["type"])
    return JSONResponse(body, status_code=status, headers=headers)


class ClosingStreamingResponse(StreamingResponse):
    """A stream whose body generator is closed as soon as the response ends, however it ends.

    Starlette leaves a generator that is suspended at a ``yield`` to the garbage collector.
    """

    async def stream_response(self, send: Send) -> None:
        async with aclosing(self.body_iterator):  # type: ignore[type-var]
            await super().stream_response(send)
