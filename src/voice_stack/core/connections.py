"""What a connection may hold up: uvicorn's HTTP protocol with limits on heads, stalls and the number of connections.

uvicorn waits for ever for a request's head, for the next byte of its body and for a reader, and takes any number of
connections. Apps hear of a connection only when the head is there, so this is done below them.
"""

import asyncio
import json
import logging
import resource
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from voice_stack.core.errors import StalledError, UnavailableError, VoiceStackError, envelope
from voice_stack.core.metering import PROBE_PATHS
from voice_stack.core.responses import error_response

_logger = logging.getLogger(__name__)

MAX_HEAD_BYTES = 64 * 1024
"""Of a request line and its headers. Of a head that arrives at once a little more is taken."""

HEAD_S = 20.0
"""How long the head of a request may take, from the connection or from its first byte."""

ACCEPTED_AT_ONCE = 128

SPARE_DESCRIPTORS = 256 + 4 * ACCEPTED_AT_ONCE
"""What a process opens beside connections and their uploads: models, sockets of its own, pipes to its children, and
connections that were accepted but not looked at yet, for which the event loop takes some rounds."""

_LIMITS_KEY = "connections"
_LOOKS = 4  # for each of the shortest limits
_LONGEST_LOOK_S = 1.0


class Connections:
    """The limits on the connections of one process, and the connections that they hold for.

    Args:
        most: how many may be open; for one more, one that waits for a request goes, or it is refused.
        stall_s: how long nothing may arrive of an upload, or nothing be taken of an answer; 0: for ever.
        head_s: how long the head of a request may take.
    """

    def __init__(self, *, most: int, stall_s: float, head_s: float = HEAD_S) -> None:
        self.most = most
        self.stall_s = stall_s
        self.head_s = head_s
        self._look_s = min(_LONGEST_LOOK_S, *(limit / _LOOKS for limit in (stall_s, head_s) if limit))
        self._open: dict[_Limits, None] = {}  # the oldest first
        self._timer: asyncio.TimerHandle | None = None

    @property
    def state(self) -> Mapping[str, Any]:
        """What the lifespan of an app yields for its server to find the limits."""
        return {_LIMITS_KEY: self}

    def add(self, connection: "_Limits") -> None:
        """A connection was made."""
        self._open[connection] = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._look_s, self._look)

    def forget(self, connection: "_Limits") -> None:
        """A connection has ended, or is none of HTTP any more."""
        self._open.pop(connection, None)

    def end_an_idle_one(self) -> bool:
        """Close the oldest connection that waits for a request; whether there was one."""
        # Of an answer that is complete for the app some may still have to leave.
        idle = next((each for each in self._open if each.idle and not each.transport.get_write_buffer_size()), None)
        if idle is None:
            return False
        self.forget(idle)
        idle.transport.abort()
        return True

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in list(self._open):
            connection.look(now)
        self._timer = loop.call_later(self._look_s, self._look) if self._open else None


def limits_of(app_state: Mapping[str, Any]) -> Connections:
    """What ``Connections.state`` holds."""
    limits = app_state[_LIMITS_KEY]
    assert isinstance(limits, Connections)  # noqa: S101 - narrows the type of what build_app put there
    return limits


class _Limits(asyncio.Protocol):
    """Mixed into a protocol of uvicorn, of which it reads: the cycle (request and answer) in progress, and its flow."""

    transport: asyncio.Transport
    app: ASGIApp
    app_state: dict[str, Any]
    connections: set[asyncio.Protocol]
    cycle: Any
    flow: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits = limits_of(self.app_state)
        self._head_bytes = 0
        self._received = 0
        self._waits_for: tuple[object, ...] | None = None
        self._since = 0.0

    @property
    def idle(self) -> bool:
        """Whether no request is in progress."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if len(self.connections) > self._limits.most and not self._limits.end_an_idle_one():
            self.app = _Refusing(self.app)
            # Else a WebSocket would be taken as one connection more.
            self.ws_protocol_class = None
        self._limits.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._limits.forget(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        before = self.cycle
        super().data_received(data)
        self._received += len(data)
        if self.transport.get_protocol() is not self:
            self._limits.forget(self)  # a WebSocket now
        elif self.cycle is not before:
            self._head_bytes = 0
        # What comes behind a request in progress is left in the parser, or is the next head.
        elif (self.cycle is None or not self.cycle.more_body) and not self.flow.read_paused:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(431, f"The head of the request is larger than {MAX_HEAD_BYTES >> 10} KiB; send less.")

    def look(self, now: float) -> None:
        """See whether the client keeps this connection waiting for too long."""
        waits_for = self._waiting_for()
        if waits_for != self._waits_for:
            self._waits_for, self._since = waits_for, now
            return
        if waits_for is None:
            return
        stage = waits_for[0]
        limit_s = self._limits.head_s if stage == "head" else self._limits.stall_s
        if not limit_s or now - self._since < limit_s:
            return
        if stage == "reader":
            _logger.info("ended an answer of which nothing was taken for %g s", limit_s)
            self.transport.abort()
        elif stage == "body":
            _logger.info("ended an upload of which nothing arrived for %g s", limit_s)
            error = StalledError(f"Nothing of this request arrived for {limit_s:g} s; send it without such pauses.")
            self._refuse(error.status, error.message, code=error.code)
        elif self._head_bytes:
            self._refuse(408, f"The head of the request did not arrive within {limit_s:g} s.", code=StalledError.code)
        else:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """What uvicorn calls for what is no HTTP; its own fails where an answer has begun."""
        self._refuse(400, f"{msg.rstrip('.')}: it is no HTTP/1.1, or two of its headers contradict each other.")

    def _unsupported_upgrade_warning(self) -> None:
        # uvicorn's says that a library is missing, which is not so on a connection too many; it serves such as HTTP.
        _logger.debug("an upgrade that was asked for is not made")

    def _waiting_for(self) -> tuple[object, ...] | None:
        """What the client has to do next, in a form that changes when it does some of it; None: nothing."""
        unsent = self.transport.get_write_buffer_size()
        if unsent:
            return "reader", unsent
        if self.idle:
            # Between two requests uvicorn has a limit of its own.
            return ("head", self.cycle) if self.cycle is None or self._head_bytes else None
        cycle = self.cycle
        if cycle.more_body and not (cycle.response_started or cycle.waiting_for_100_continue or self.flow.read_paused):
            return "body", self._received
        return None

    def _refuse(self, status: int, message: str, *, code: str = "invalid_request") -> None:
        """Answer, where that can still be understood, and close."""
        cycle = None if self.idle else self.cycle
        if cycle is not None and cycle.response_started:
            self.transport.abort()
            return
        if cycle is not None:
            cycle.disconnected = True
            cycle.message_event.set()
        body = json.dumps(envelope(message, type_="invalid_request_error", code=code)).encode()
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


class LimitedProtocol(_Limits, AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """The protocol that uvicorn would choose, with limits; the state of its app must hold ``Connections.state``."""


class _Refusing:
    """Stands in for an app on a connection that is one too many; health is told all the same."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in PROBE_PATHS:
            await self._app(scope, receive, send)
            return
        error: VoiceStackError = UnavailableError("Too many connections are open; try again later.", retry_after_s=5)
        response = error_response(error)
        response.headers["connection"] = "close"
        await response(scope, receive, send)


def affordable_connections(wanted: int) -> int:
    """Raise this process's limit of open files as far as it takes; returns how many connections there may be.

    A connection may come with the file of an upload.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2 * wanted + SPARE_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < needed:
        raised = needed if hard == resource.RLIM_INFINITY else max(soft, min(needed, hard))
        # macOS has a limit below the one that it tells.
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
            soft = raised
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    most = max(16, (soft - SPARE_DESCRIPTORS) // 2)
    _logger.warning(
        "MAX_CONNECTIONS is %d, but the system allows this process %d open files: %d it is", wanted, soft, most
    )
    return most
