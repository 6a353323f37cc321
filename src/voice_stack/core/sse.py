"""Server-sent events in the form that OpenAI's SDK reads."""

import json
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

from pydantic import BaseModel

from voice_stack.core.errors import VoiceStackError
from voice_stack.core.metering import note_error
from voice_stack.core.responses import ClosingStreamingResponse

_logger = logging.getLogger(__name__)

EVENTS = {"schema": {"type": "object", "properties": {"event": {"type": "string"}, "data": {"type": "string"}}}}
"""What a stream of events holds, for the description of the API."""


def event_stream(events: AsyncGenerator[BaseModel, None]) -> ClosingStreamingResponse:
    """A response of events, each the JSON of one model; a failure in mid-stream becomes a last ``error`` event."""
    return ClosingStreamingResponse(
        _lines(events), media_type="text/event-stream", headers={"cache-control": "no-cache", "x-accel-buffering": "no"}
    )


def error_event(error: VoiceStackError) -> str:
    """The event that ends a stream which failed."""
    return f"event: error\ndata: {json.dumps({'type': 'error', **error.envelope()})}\n\n"


async def _lines(events: AsyncGenerator[BaseModel, None]) -> AsyncGenerator[str, None]:
    async with aclosing(events):
        try:
            async for event in events:
                yield f"data: {event.model_dump_json(exclude_none=True)}\n\n"
        except Exception as error:
            _logger.exception("the stream failed")
            known = (
                error if isinstance(error, VoiceStackError) else VoiceStackError("The service failed in mid-stream.")
            )
            note_error(known.code or known.type)
            yield error_event(known)
