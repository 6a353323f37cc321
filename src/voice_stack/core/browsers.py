"""What web pages may do here: any page that somebody on the same network has open can send requests."""

import ipaddress
from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voice_stack.core.errors import ForbiddenError, quoted
from voice_stack.core.responses import refuse

_HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
    b"cache-control": b"no-store",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
}
_HEADERS_OF_DOCS = {name: value for name, value in _HEADERS.items() if name != b"content-security-policy"}
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class SecurityHeadersMiddleware:
    """Tells browsers to do nothing with an answer but hand it to who asked. What an answer says itself, holds.

    Args:
        docs_paths: pages of FastAPI's, whose scripts come from elsewhere.
    """

    def __init__(self, app: ASGIApp, *, docs_paths: Collection[str]) -> None:
        self._app = app
        self._docs_paths = frozenset(docs_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        ours = _HEADERS_OF_DOCS if scope["path"] in self._docs_paths else _HEADERS

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = message.get("headers", [])
                names = {name.lower() for name, _ in given}
                message["headers"] = [*given, *(pair for pair in ours.items() if pair[0] not in names)]
            await send(message)

        await self._app(scope, receive, send_with_headers)


class ForeignPagesMiddleware:
    """Refuses what pages of foreign origins send, and requests to a name that is not the service's own.

    Browsers keep a page from reading an answer, but not from sending a form with a file, or opening a WebSocket. And
    the owner of a name can let it lead to an address of this network: its pages then count as the service's own.

    Args:
        origins: of the pages that may; ``*``: all.
        hosts: names of the service, ``*.name`` for all below one; empty: any. Addresses always are.
    """

    def __init__(self, app: ASGIApp, *, origins: Collection[str], hosts: Collection[str]) -> None:
        self._app = app
        self._origins = frozenset(origins)
        self._hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in {"http", "websocket"}:
            try:
                self._check(scope)
            except ForbiddenError as error:
                await refuse(error, scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self._hosts and not self._is_ours(_without_port(host)):
            raise ForbiddenError(
                f"This service is not called {quoted(host)}; its operator can add the name to ALLOWED_HOSTS."
            )
        origin = headers.get("origin")
        if origin is None or scope.get("method") in _READING or self._origins & {"*", origin}:
            return
        # Behind a proxy the host may be another, and browsers tell what they know only where nobody can listen.
        site = headers.get("sec-fetch-site")
        if site == "same-origin" or (site is None and origin.partition("://")[2] == host):
            return
        raise ForbiddenError(
            f"Pages of {quoted(origin)} may not use this service; its operator can add the origin to CORS_ORIGINS."
        )

    def _is_ours(self, host: str) -> bool:
        if host == "localhost" or host in self._hosts or _is_address(host):
            return True
        return any(f"*.{host[place + 1 :]}" in self._hosts for place, character in enumerate(host) if character == ".")


def _without_port(host: str) -> str:
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdigit() else host.lower()


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
