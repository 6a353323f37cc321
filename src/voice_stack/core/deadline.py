"""Ends requests that take too long."""

import asyncio
import logging

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voice_stack.core.errors import DeadlineError
from voice_stack.core.metering import note_error
from voice_stack.core.responses import error_response
from voice_stack.core.sse import error_event

_logger = logging.getLogger(__name__)


class DeadlineMiddleware:
    """Cancels the work of a request that was not answered whole in time.

    The client gets 504 or, where the answer has begun, an ``error`` event in a stream of events, else a broken
    transfer.

    Args:
        max_request_s: from the last byte of the request to the last one of the answer.
    """

    def __init__(self, app: ASGIApp, *, max_request_s: float) -> None:
        self._app = app
        self._max_request_s = max_request_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        task = asyncio.current_task()
        if scope["type"] != "http" or task is None:
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(task, self._max_request_s, receive, send)
        headers = Headers(scope=scope)
        if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
            exchange.arm()
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except asyncio.CancelledError:
            if not exchange.expired:
                raise
            # Python 3.11 and later count the cancellations of a task.
            getattr(task, "uncancel", int)()
        finally:
            exchange.disarm()
        if exchange.expired:
            await self._fail(exchange, scope)

    async def _fail(self, exchange: "_Exchange", scope: Scope) -> None:
        error = DeadlineError(
            f"This took longer than {self._max_request_s:g} s; send less at a time, or ask the operator to raise "
            "MAX_REQUEST_S."
        )
        _logger.warning("ended a request after %g s", self._max_request_s)
        if exchange.answer is None:
            await error_response(error)(scope, exchange.receive, exchange.send)
        elif exchange.answer.get("content-type", "").startswith("text/event-stream"):
            note_error(error.code or error.type)
            await exchange.send({"type": "http.response.body", "body": error_event(error).encode(), "more_body": False})
        else:
            raise error


class _Exchange:
    def __init__(self, task: "asyncio.Task[object]", max_s: float, receive: Receive, send: Send) -> None:
        self._task = task
        self._max_s = max_s
        self._receive = receive
        self._send = send
        self._timer: asyncio.TimerHandle | None = None
        self.expired = False
        self.answer: Headers | None = None  # None: it has not begun

    def arm(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._max_s, self._expire)

    def disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            self.arm()
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.answer = Headers(raw=message["headers"])
        await self._send(message)

    def _expire(self) -> None:
        self.expired = True
        self._task.cancel()
