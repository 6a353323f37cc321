"""uvicorn's WebSocket protocol, with an end to what uvicorn lets hang, and time to finish at a stop.

uvicorn keeps a connection whose client takes nothing, ends one whose pong waits behind its audio, closes sessions at a
stop before they could say their last word, and closes the socket under a client that is still sending what is too
large, who then never learns why. Pings that nobody takes the answers of, and messages in fragments of a byte, fill its
memory.
"""

import asyncio
import socket
from contextlib import suppress
from typing import Any

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

from voice_stack.core.connections import limits_of

MAX_FRAME_BYTES = 16 * 2**20
"""Of a message: OpenAI's clients may send 15 MiB of base64 at once."""

LINGER_S = 5.0
"""How long what was written last may take to leave, and what is still arriving is thrown away, at the end."""
_QUIET_S = 0.3
_RECEIVE_BYTES = 128 * 1024


class LimitedWebSocket(WebSocketsSansIOProtocol):
    """Ends connections that nothing is taken from for ``MAX_STALL_S``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._stall_s = limits_of(self.app_state).stall_s
        self._stalled: Any = None
        self._ending: Any = None
        self._heard_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        held: socket.socket | None = transport.get_extra_info("socket")
        if held is not None:
            with suppress(OSError):
                # A ping waits behind all that was sent before it: no more of that than need be lies in the system.
                held.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)

    def data_received(self, data: bytes) -> None:
        self._heard_at = self.loop.time()
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._stalled, self._ending):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._stall_s:
            self._stalled = self.loop.call_later(self._stall_s, self.transport.abort)

    def resume_writing(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
        super().resume_writing()

    def shutdown(self) -> None:
        if self.handshake_complete and not self.close_sent:
            # The session knows, and closes when it has said its last word.
            return
        super().shutdown()

    def keepalive_timeout(self) -> None:
        if self.ping_timeout is not None and (self.read_paused or self._heard_s_ago() < self.ping_timeout):
            # The answer waits behind what was not read yet.
            self.pong_timer = self.loop.call_later(self.ping_timeout, self.keepalive_timeout)
            return
        super().keepalive_timeout()
        self._end_soon()

    def handle_ping(self) -> None:
        if self.writable.is_set() or self.conn.close_sent is not None:
            super().handle_ping()
        else:
            self.conn.data_to_send()  # the answers, of which nobody takes any

    def handle_cont(self, event: Frame) -> None:
        first = self.frames[0]
        whole = first if isinstance(first, bytearray) else bytearray(first)
        whole += event.data
        self.frames = [whole]  # type: ignore[list-item]
        if event.fin:
            self.send_receive_event_to_app()

    def handle_parser_exception(self) -> None:
        """The client has sent what is no WebSocket, or too large: let it send on, and read why that is not wanted."""
        if self.close_timer is not None:
            # Whether it has answered our close cannot be told any more, but that it sends no more.
            self.close_timer.cancel()
            self.close_timer = self.loop.call_later(_QUIET_S, self.transport.close)
            return
        close = self.conn.close_sent
        if close is not None:
            self.queue.put_nowait({"type": "websocket.disconnect", "code": close.code, "reason": close.reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.stop_keepalive()
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(_QUIET_S, self.transport.close)
        self._end_soon()

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and self.close_sent:
            # Else uvicorn calls each refusal an error of the app.
            self.handshake_complete = True

    async def run_asgi(self) -> None:
        await super().run_asgi()
        self._end_soon()

    def _heard_s_ago(self) -> float:
        return self.loop.time() - self._heard_at

    def _end_soon(self) -> None:
        if self._ending is None and not self.disconnected:
            self._ending = self.loop.call_later(LINGER_S, self.transport.abort)
