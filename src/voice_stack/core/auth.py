"""API keys: Bearer for OpenAI clients, Basic for clients that only know user and password (Bazarr)."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Collection

from starlette.types import ASGIApp, Receive, Scope, Send

from voice_stack.core.errors import AuthenticationError
from voice_stack.core.responses import refuse

KEY_SUBPROTOCOL = "openai-insecure-api-key."
"""What OpenAI's JavaScript SDK puts before the key."""


class ApiKeyMiddleware:
    """Refuses requests without a known key before anything of their body is read.

    ``open_paths`` are served without a key.
    """

    def __init__(self, app: ASGIApp, *, keys: Collection[str], open_paths: Collection[str]) -> None:
        self._app = app
        self._digests = [_digest(key.encode()) for key in keys]
        self._open_paths = frozenset(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in {"http", "websocket"} and scope["path"] not in self._open_paths:
            try:
                self._check([value for name, value in scope["headers"] if name == b"authorization"] or _offered(scope))
            except AuthenticationError as error:
                await refuse(error, scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _check(self, sent: Collection[bytes]) -> None:
        if not sent:
            raise AuthenticationError("An API key is needed: send it as 'Authorization: Bearer KEY'.")
        if len(sent) > 1:
            raise AuthenticationError("There are several Authorization headers: send one.")
        given = sent_key(*sent)
        if given is None:
            raise AuthenticationError("Send the API key as Bearer token, or as the password of Basic authentication.")
        # Every key is compared, and by its digest, so that the time taken tells nothing, not even a key's length.
        digest = _digest(given)
        if not sum(hmac.compare_digest(digest, known) for known in self._digests):
            raise AuthenticationError("This API key is not one of the service's API_KEYS.")


def _offered(scope: Scope) -> list[bytes]:
    """Keys among the subprotocols that a WebSocket's client offers: browsers cannot send it a header."""
    names: list[str] = scope.get("subprotocols", [])
    keys = [name.removeprefix(KEY_SUBPROTOCOL) for name in names if name.startswith(KEY_SUBPROTOCOL)]
    return [b"Bearer " + key.encode() for key in keys]


def sent_key(authorization: bytes) -> bytes | None:
    """The key in an ``Authorization`` header, or None where it holds none."""
    scheme, _, value = authorization.partition(b" ")
    value = value.strip()
    if scheme.lower() == b"bearer" and value:
        return value
    if scheme.lower() == b"basic":
        try:
            _, colon, password = base64.b64decode(value, validate=True).partition(b":")
        except binascii.Error:
            return None
        return password if colon else None
    return None


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
