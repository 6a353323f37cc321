"""Counts and times the requests, from outside of everything that answers them."""

import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voice_stack.core.errors import StoppingError, VoiceStackError
from voice_stack.core.metrics import Metrics, Outcome

PROBE_PATHS = frozenset({"/health", "/healthz", "/healthcheck", "/status", "/bazarr/status", "/metrics"})
"""Asked for all the time by those who only watch: not counted, and seldom worth a line in the log."""


def is_aside(path: str) -> bool:
    """Whether a request is none of the API's: a probe, or a file of the page that tries the service."""
    return path in PROBE_PATHS or path == "/" or path.startswith("/playground/")


@dataclass
class _Exchange:
    """One request and what has become of it so far."""

    status: int = 0  # 0: no answer has begun
    ended: bool = False
    first_byte_at: float | None = None
    error: str | None = None  # code of the error that it is answered with, or that broke the answer off

    @property
    def outcome(self) -> Outcome:
        if self.error is not None and self.status < 400:
            return "broken"
        if not self.ended:
            return "client_left"
        return "error" if self.status >= 400 else "ok"


_exchange: ContextVar[_Exchange | None] = ContextVar("exchange", default=None)


def note_error(code: str) -> None:
    """Say with which error, by the code in its envelope, the request at hand ends; an event in a stream may be it."""
    exchange = _exchange.get()
    if exchange is not None:
        exchange.error = code


class MeteringMiddleware:
    """Tells the metrics of each request that has ended, however it did.

    Args:
        template_of: the template of a path, one of a limited number.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics, template_of: Callable[[str], str]) -> None:
        self._app = app
        self._metrics = metrics
        self._template_of = template_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or is_aside(scope["path"]):
            await self._app(scope, receive, send)
            return
        exchange = _Exchange()
        began_at = time.perf_counter()

        async def send_noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
            elif message["type"] == "http.response.body":
                exchange.ended = not message.get("more_body", False)
                if exchange.first_byte_at is None and message.get("body"):
                    exchange.first_byte_at = time.perf_counter()
            await send(message)

        token = _exchange.set(exchange)
        try:
            await self._app(scope, receive, send_noting)
        except BaseException as error:
            if not exchange.ended:
                exchange.error = _code_of(error)
            raise
        finally:
            _exchange.reset(token)
            self._tell(scope, exchange, began_at)

    def _tell(self, scope: Scope, exchange: _Exchange, began_at: float) -> None:
        first_byte_at = exchange.first_byte_at if exchange.status < 400 else None
        self._metrics.request_done(
            scope["method"],
            self._template_of(scope["path"]),
            status=exchange.status,
            outcome=exchange.outcome,
            duration_s=time.perf_counter() - began_at,
            first_byte_s=None if first_byte_at is None else first_byte_at - began_at,
            error=exchange.error,
        )


def _code_of(error: BaseException) -> str | None:
    """The code of what broke an answer off; Starlette wraps errors that come after the answer has begun."""
    for known in (error, error.__cause__):
        if isinstance(known, VoiceStackError):
            return known.code or known.type
    # Anything but an error is the end of the process: the grace of a stop has run out.
    return VoiceStackError.type if isinstance(error, Exception) else StoppingError.code
