"""The page at ``/`` that lets a person try a service in a browser, and the files that it is made of."""

import asyncio
import hashlib
import html
import json
import secrets
from collections.abc import Mapping
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from voice_stack import __version__
from voice_stack.core.settings import Service, Settings

STATIC = Path(__file__).parent / "static"
"""What the pages of both services share."""

PAGE = "index.html"
CONFIG = "config.json"
FILES_PATH = "/playground"

MEDIA_TYPES: Mapping[str, str] = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}

_NONCE = b"{{nonce}}"
# The nonce is for wavesurfer.js, which brings the style of its shadow tree with it.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; img-src 'self' data:; "
    "media-src 'self' blob:; connect-src 'self' blob:; base-uri 'self'; form-action 'none'; frame-ancestors 'none'"
)
_PERMISSIONS = "microphone=(self), camera=(), geolocation=(), display-capture=()"


class Playground:
    """The page of one service. It holds nothing secret and asks for a key when the API does.

    Args:
        folder: of the service's own files; the page is its ``index.html``.
        about: what the page is to know of the service besides; JSON.
    """

    def __init__(self, name: Service, settings: Settings, folder: Path, about: Mapping[str, object]) -> None:
        self._page = folder / PAGE
        # Only what is listed here is ever opened: a path that somebody sends is never made into one of the disk.
        self._files = {
            path.name: path
            for path in (*STATIC.iterdir(), *folder.iterdir())
            if path.suffix in MEDIA_TYPES and path.name != CONFIG
        }
        self._base = f'<base href="{html.escape(settings.root_path)}/">'.encode() if settings.root_path else b""
        known = {
            "service": name,
            "title": settings.title(name),
            "version": __version__,
            "api": settings.api_v1_str.removeprefix("/"),
            "keys": bool(settings.api_keys),
        }
        self._config = json.dumps({**about, **known}).encode()

    @property
    def paths(self) -> list[str]:
        """Every path that is served."""
        return ["/", *(f"{FILES_PATH}/{name}" for name in (CONFIG, *self._files))]

    @property
    def router(self) -> APIRouter:
        """The routes; no part of the API's description."""
        router = APIRouter(include_in_schema=False)

        @router.head("/")
        @router.get("/")
        async def page() -> Response:
            nonce = secrets.token_urlsafe(16)
            content = await asyncio.to_thread(self._page.read_bytes)
            content = content.replace(_NONCE, nonce.encode()).replace(b"<head>", b"<head>" + self._base, 1)
            headers = {
                "content-security-policy": _POLICY.format(nonce=nonce),
                "permissions-policy": _PERMISSIONS,
                "cross-origin-opener-policy": "same-origin",
            }
            return Response(content, media_type="text/html", headers=headers)

        @router.head(FILES_PATH + "/{file}")
        @router.get(FILES_PATH + "/{file}")
        async def file(file: str, request: Request) -> Response:
            if file == CONFIG:
                content = self._config
            elif path := self._files.get(file):
                content = await asyncio.to_thread(path.read_bytes)
            else:
                raise HTTPException(404)
            etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
            # Browsers ask each time whether it is still the same: an update shows at once.
            headers = {"etag": etag, "cache-control": "no-cache"}
            if etag in request.headers.get("if-none-match", ""):
                return Response(status_code=304, headers=headers)
            return Response(content, media_type=MEDIA_TYPES[Path(file).suffix], headers=headers)

        return router
