"""Sessions over WebSockets: JSON events both ways, in the manner of OpenAI's Realtime API."""

import asyncio
import json
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect

from voice_stack.core.auth import KEY_SUBPROTOCOL
from voice_stack.core.errors import (
    InvalidRequestError,
    SessionExpiredError,
    StoppingError,
    UnavailableError,
    VoiceStackError,
)
from voice_stack.core.logging import request_id
from voice_stack.core.responses import refuse
from voice_stack.core.service import EngineService
from voice_stack.core.sessions import Sessions

_logger = logging.getLogger(__name__)

SUBPROTOCOL = "realtime"
_LARGE_CHARS = 65_536
"""A longer event is parsed in a thread."""
_MOST_REASON_BYTES = 123


class ClientLeftError(Exception):
    """The client has closed the connection, or is gone; nobody is left to tell."""


class Channel:
    """One accepted WebSocket. ``receive`` and ``send`` may be awaited by different tasks at the same time."""

    def __init__(self, websocket: WebSocket, sessions: Sessions) -> None:
        self.id = f"sess_{uuid.uuid4().hex}"
        self._websocket = websocket
        self._limits = sessions
        self._began_at = self._last_at = time.monotonic()
        self._receiving: asyncio.Future[Any] | None = None
        self._stopping: asyncio.Future[Any] = asyncio.ensure_future(sessions.stopping.wait())

    async def receive(self) -> dict[str, Any]:
        """The client's next event: a JSON object with a ``type``.

        Raises:
            InvalidRequestError: what came is none; the session may go on.
            SessionExpiredError: nothing went either way for ``SESSION_IDLE_S``, or ``MAX_SESSION_S`` are over.
            StoppingError: the service is stopping.
            ClientLeftError: the client is gone.
        """
        message = await self._next()
        self._last_at = time.monotonic()
        if message["type"] == "websocket.disconnect":
            raise ClientLeftError
        text = message.get("text")
        if text is None:
            raise InvalidRequestError(
                "Binary messages are not taken: send JSON events as text, with audio in base64.", code="invalid_event"
            )
        try:
            event = json.loads(text) if len(text) < _LARGE_CHARS else await asyncio.to_thread(json.loads, text)
        except (ValueError, RecursionError) as error:
            raise InvalidRequestError(f"The message is not valid JSON: {error}", code="invalid_json") from error
        if not isinstance(event, dict) or not isinstance(event.get("type"), str):
            raise InvalidRequestError("An event is a JSON object with a string 'type'.", code="invalid_event")
        return event

    async def take(self, handle: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
        """Receive one event and have it handled. Errors of the tree are told, with its id; the session goes on.

        Raises:
            SessionExpiredError, StoppingError, ClientLeftError: as ``receive``.
        """
        event_id = None
        try:
            event = await self.receive()
            given = event.get("event_id")
            event_id = given if isinstance(given, str) else None
            await handle(event)
        except (SessionExpiredError, StoppingError):
            raise
        except VoiceStackError as error:
            await self.send_error(error, event_id=event_id)

    async def send(self, type_: str, **fields: Any) -> None:
        """Send an event; waits while the client does not read.

        Raises:
            ClientLeftError: the client is gone.
        """
        event = {"type": type_, "event_id": f"event_{uuid.uuid4().hex}", **fields}
        try:
            # In ASCII: half of a character, which a client's JSON may bring, goes into no other encoding.
            await self._websocket.send_text(json.dumps(event, separators=(",", ":")))
        except (WebSocketDisconnect, RuntimeError) as error:
            # Starlette raises a RuntimeError for what follows a close.
            raise ClientLeftError from error
        self._last_at = time.monotonic()
        # What can be written at once does not suspend: whoever sends much would keep everybody else waiting.
        await asyncio.sleep(0)

    async def send_error(self, error: VoiceStackError, *, event_id: str | None = None) -> None:
        """Send an ``error`` event; the session goes on.

        Args:
            event_id: of the client's event that was wrong, where it gave one.

        Raises:
            ClientLeftError: the client is gone.
        """
        await self.send("error", error={**error.envelope()["error"], "event_id": event_id})

    def release(self) -> None:
        """Stop waiting for anything."""
        self._stopping.cancel()
        if self._receiving is not None:
            self._receiving.cancel()

    async def _next(self) -> Message:
        if self._receiving is None:
            self._receiving = asyncio.ensure_future(self._websocket.receive())
        while not self._receiving.done():
            if self._stopping.done():
                raise StoppingError("The service is stopping; connect again in a moment.")
            self._check_limits()
            await asyncio.wait(
                {self._receiving, self._stopping}, timeout=self._left_s(), return_when=asyncio.FIRST_COMPLETED
            )
        received, self._receiving = self._receiving, None
        try:
            message: Message = received.result()
        except RuntimeError as error:
            # Starlette's, for what follows a disconnect.
            raise ClientLeftError from error
        return message

    def _left_s(self) -> float | None:
        ends = [
            since + limit
            for since, limit in ((self._last_at, self._limits.idle_s), (self._began_at, self._limits.longest_s))
            if limit
        ]
        return max(0.0, min(ends) - time.monotonic()) if ends else None

    def _check_limits(self) -> None:
        now = time.monotonic()
        idle_s, longest_s = self._limits.idle_s, self._limits.longest_s
        if longest_s and now - self._began_at >= longest_s:
            raise SessionExpiredError(f"A session may last {longest_s:g} s; connect again to go on.")
        if idle_s and now - self._last_at >= idle_s:
            raise SessionExpiredError(f"Nothing came for {idle_s:g} s; connect again to go on.")


async def converse(websocket: WebSocket, service: EngineService, talk: Callable[[Channel], Awaitable[None]]) -> None:
    """Accept a WebSocket and hold a session on it: what an endpoint calls.

    Where ``talk`` raises an error of the tree, the client is told in an ``error`` event before the connection is
    closed: with 1012 where the service stops, 1013 where it is not available, 1000 where the session's time is over,
    1008 where the client was wrong, and 1011 otherwise.
    """
    sessions = service.sessions
    try:
        sessions.enter()
    except UnavailableError as error:
        await refuse(error, websocket.scope, websocket.receive, websocket.send)
        return
    route = str(getattr(websocket.scope.get("route"), "path_format", websocket.url.path))
    began_at = time.perf_counter()
    outcome = "error"
    channel = Channel(websocket, sessions)
    token = request_id.set(channel.id)
    try:
        await websocket.accept(_subprotocol(websocket.scope["subprotocols"]))
        outcome = await _talk(channel, websocket, talk)
    finally:
        channel.release()
        sessions.leave()
        seconds = time.perf_counter() - began_at
        service.metrics.session_done(route, outcome=outcome, duration_s=seconds)
        client = str(websocket.client.host) if websocket.client else "-"
        _logger.info(
            "session on %s: %s", route, outcome, extra={"duration_ms": round(seconds * 1000), "client": client}
        )
        request_id.reset(token)


async def _talk(channel: Channel, websocket: WebSocket, talk: Callable[[Channel], Awaitable[None]]) -> str:
    """Returns how the session ended, in a word."""
    error: VoiceStackError
    try:
        await talk(channel)
    except (ClientLeftError, WebSocketDisconnect):
        return "client_left"
    except asyncio.CancelledError:
        # The grace of a stop has run out.
        await _close(websocket, 1012, StoppingError.code)
        raise
    except VoiceStackError as known:
        error = known
    except Exception:
        _logger.exception("unexpected error")
        error = VoiceStackError(f"The service failed in this session; its log has the details under {channel.id}.")
    else:
        await _close(websocket, 1000)
        return "ok"
    if error.status >= 500 and not isinstance(error, StoppingError):
        _logger.warning("a session ends: %s", error if isinstance(error, UnavailableError) else error.code)
    with suppress(ClientLeftError):
        await channel.send_error(error)
    await _close(websocket, _close_code(error), error.code)
    return error.code or error.type


async def expect_websocket() -> None:
    """What answers plain HTTP on the path of a session.

    Raises:
        InvalidRequestError: always.
    """
    raise InvalidRequestError(
        "This is a WebSocket: connect with ws:// or wss://. A proxy in between has to pass 'Upgrade' on.",
        code="websocket_expected",
    )


def _close_code(error: VoiceStackError) -> int:
    if isinstance(error, StoppingError):
        return 1012
    if isinstance(error, UnavailableError):
        return 1013
    if isinstance(error, SessionExpiredError):
        return 1000
    return 1008 if error.status < 500 else 1011


async def _close(websocket: WebSocket, code: int, reason: str | None = None) -> None:
    with suppress(WebSocketDisconnect, RuntimeError):
        await websocket.close(code, (reason or "")[:_MOST_REASON_BYTES])


def _subprotocol(offered: list[str]) -> str | None:
    """Which of the offered ones holds: browsers end a connection on which none does."""
    if SUBPROTOCOL in offered:
        return SUBPROTOCOL
    return next((name for name in offered if not name.startswith(KEY_SUBPROTOCOL)), offered[0] if offered else None)
