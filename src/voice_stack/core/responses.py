"""The responses both services share: JSON errors, and streams that clean up after themselves."""

from contextlib import aclosing

from starlette.responses import JSONResponse, StreamingResponse
from starlette.types import Send

from voice_stack.core.errors import VoiceStackError


def error_response(error: VoiceStackError) -> JSONResponse:
    """Render an error as OpenAI's envelope with its status and headers."""
    return JSONResponse(error.envelope(), status_code=error.status, headers=error.headers)


class ClosingStreamingResponse(StreamingResponse):
    """A stream whose body generator is closed as soon as the response ends, however it ends.

    Starlette leaves a generator that is suspended at a ``yield`` to the garbage collector.
    """

    async def stream_response(self, send: Send) -> None:
        async with aclosing(self.body_iterator):  # type: ignore[type-var]
            await super().stream_response(send)
