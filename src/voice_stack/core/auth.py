"""API keys: Bearer for OpenAI clients, Basic for clients that only know user and password (Bazarr)."""

import base64
import binascii
import hmac
from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from voice_stack.core.errors import AuthenticationError
from voice_stack.core.responses import error_response


class ApiKeyMiddleware:
    """Refuses requests without a known key before anything of their body is read.

    ``open_paths`` are served without a key.
    """

    def __init__(self, app: ASGIApp, *, keys: Collection[str], open_paths: Collection[str]) -> None:
        self._app = app
        self._keys = [key.encode() for key in keys]
        self._open_paths = frozenset(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"} or scope["path"] in self._open_paths:
            await self._app(scope, receive, send)
            return
        try:
            self._check(Headers(scope=scope).get("authorization"))
        except AuthenticationError as error:
            await error_response(error)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _check(self, authorization: str | None) -> None:
        if authorization is None:
            raise AuthenticationError("An API key is needed: send it as 'Authorization: Bearer KEY'.")
        given = sent_key(authorization)
        if given is None:
            raise AuthenticationError("Send the API key as Bearer token, or as the password of Basic authentication.")
        # Every key is compared, whole, so that the time taken tells nothing.
        if not sum(hmac.compare_digest(given, key) for key in self._keys):
            raise AuthenticationError("This API key is not one of the service's API_KEYS.")


def sent_key(authorization: str) -> bytes | None:
    """The key in an ``Authorization`` header, or None where it holds none."""
    scheme, _, value = authorization.partition(" ")
    value = value.strip()
    if scheme.lower() == "bearer" and value:
        return value.encode()
    if scheme.lower() == "basic":
        try:
            _, colon, password = base64.b64decode(value, validate=True).partition(b":")
        except binascii.Error:
            return None
        return password if colon else None
    return None
