"""Request ids, the access log, the last resort for unexpected errors, and the limit on request bodies."""

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voice_stack.core.errors import InvalidRequestError, StoppingError, UploadTooLargeError, VoiceStackError
from voice_stack.core.logging import request_id
from voice_stack.core.metering import is_aside
from voice_stack.core.metrics import OTHER
from voice_stack.core.responses import error_response

_logger = logging.getLogger(__name__)
_CLIENT_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")

_SHOWN_CHARS = 200

DRAIN_S = 20.0
"""How long the rest of a refused upload is read and thrown away, so that the client gets to read the answer.

Then the connection is closed.
"""


class RequestContextMiddleware:
    """Gives each request an id, logs its end, and turns an unexpected error into a 500 without a traceback.

    Args:
        template_of: the template of a path, or ``OTHER``. The log tells the template: what stands in its place, such
            as the name of a voice, is the client's.
    """

    def __init__(self, app: ASGIApp, *, template_of: Callable[[str], str]) -> None:
        self._app = app
        self._template_of = template_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        id_ = given if _CLIENT_REQUEST_ID.fullmatch(given) else f"req_{uuid.uuid4().hex}"
        token = request_id.set(id_)
        status = 0
        ended = False
        started_at = time.perf_counter()

        async def send_with_id(message: Message) -> None:
            nonlocal status, ended
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["x-request-id"] = id_
            elif message["type"] == "http.response.body":
                ended = not message.get("more_body", False)
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except ClientDisconnect:
            # Nobody is left to answer; the access log says so.
            pass
        except asyncio.CancelledError:
            # The grace of a stop has run out before the answer began.
            if not status:
                error = StoppingError("The service stopped before this request was done; try again in a moment.")
                await error_response(error)(scope, receive, send_with_id)
            raise
        except Exception:
            _logger.exception("unexpected error", extra={"path": self._shown(scope["path"])})
            if status:
                # Half an answer has left: only a broken transfer tells the client that it is not whole.
                raise
            failure = VoiceStackError(f"The service failed on this request; its log has the details under {id_}.")
            await error_response(failure)(scope, receive, send_with_id)
        finally:
            level = logging.DEBUG if is_aside(scope["path"]) else logging.INFO
            _logger.log(
                level,
                "%s %s %s",
                scope["method"],
                self._shown(scope["path"]),
                status if ended else f"{status or 'no answer'} (client left or transfer broken)",
                extra={"duration_ms": round((time.perf_counter() - started_at) * 1000), "client": _client(scope)},
            )
            request_id.reset(token)

    def _shown(self, path: str) -> str:
        template = self._template_of(path)
        return path[:_SHOWN_CHARS] if template is OTHER else template


def _client(scope: Scope) -> str:
    """The address that a request came from; behind a proxy in ``FORWARDED_ALLOW_IPS``, that of the proxy's client."""
    client = scope.get("client")
    return str(client[0]) if client else "-"


@dataclass(frozen=True)
class BodyLimit:
    """How large a request may be, which setting says so (None: none does), and which parameter is the large one."""

    max_bytes: int
    setting: str | None
    param: str


class BodyLimitMiddleware:
    """Refuses a request body over the limit while it arrives, and lets the client read the refusal.

    A declared ``Content-Length`` is checked before anything is read. When an answer is ready before the body has
    arrived, the rest is read and dropped for ``DRAIN_S`` at most: closing a socket with unread data would reset the
    connection, and many clients would then never see the answer.

    Args:
        elsewhere: other limits, by the path that they hold for and below.
    """

    def __init__(self, app: ASGIApp, *, limit: BodyLimit, elsewhere: Mapping[str, BodyLimit]) -> None:
        self._app = app
        self._limit = limit
        self._elsewhere = elsewhere

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limit_at(scope["path"])
        body = _Body(receive, limit)

        async def send_then_drain(message: Message) -> None:
            if message["type"] == "http.response.start" and body.worth_draining:
                MutableHeaders(scope=message)["connection"] = "close"
            last = message["type"] == "http.response.body" and not message.get("more_body", False)
            if last and body.worth_draining:
                await send({**message, "more_body": True})
                await body.drain()
                message = {"type": "http.response.body", "body": b"", "more_body": False}
            await send(message)

        headers = Headers(scope=scope)
        if "content-length" in headers and "transfer-encoding" in headers:
            # A proxy may go by the one and the server by the other: what follows would be another request to only one.
            error = InvalidRequestError("A request has a Content-Length or a Transfer-Encoding, not both.")
            response = error_response(error)
            response.headers["connection"] = "close"
            await response(scope, receive, send_then_drain)
            return
        declared = headers.get("content-length", "")
        body.expects_continue = headers.get("expect", "").lower() == "100-continue"
        if declared.isdigit() and int(declared) > limit.max_bytes:
            body.refused = True
            await error_response(body.too_large())(scope, receive, send_then_drain)
            return
        body.absent = declared == "0" or (not declared and "transfer-encoding" not in headers)
        await self._app(scope, body.receive, send_then_drain)

    def _limit_at(self, path: str) -> BodyLimit:
        for start, limit in self._elsewhere.items():
            if f"{path}/".startswith(f"{start}/"):
                return limit
        return self._limit


class _Body:
    def __init__(self, receive: Receive, limit: BodyLimit) -> None:
        self._receive = receive
        self._limit = limit
        self._received = 0
        self._complete = False
        self.absent = False
        self.refused = False
        self.expects_continue = False

    @property
    def worth_draining(self) -> bool:
        """Whether the client may still be sending: not so when it waits for our '100 Continue'."""
        waits = self.expects_continue and self._received == 0
        return not (self._complete or self.absent or waits)

    def too_large(self) -> UploadTooLargeError:
        limit = self._limit
        way_out = f"send less at a time, or ask the operator to raise {limit.setting}" if limit.setting else "send less"
        return UploadTooLargeError(
            f"The request is larger than this service's limit of {limit.max_bytes / 2**20:.4g} MiB; {way_out}.",
            param=limit.param,
        )

    async def receive(self) -> Message:
        message = await self._receive()
        self._note(message)
        if self._received > self._limit.max_bytes:
            self.refused = True
            # FastAPI hands on only HTTPException from a body that is being read; the handler renders the cause.
            raise HTTPException(413) from self.too_large()
        return message

    async def drain(self) -> None:
        deadline = time.monotonic() + DRAIN_S
        while not self._complete and (left := deadline - time.monotonic()) > 0:
            try:
                self._note(await asyncio.wait_for(self._receive(), left))
            except asyncio.TimeoutError:
                return

    def _note(self, message: Message) -> None:
        if message["type"] == "http.disconnect":
            self._complete = True
            return
        self._received += len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
