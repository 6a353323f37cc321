"""Serves the app below a path of a proxy, whether the proxy strips it from the addresses or not.

Between the two of these every middleware sees the paths of this service, without the prefix; the app itself gets what
ASGI asks for: ``root_path`` is the prefix, and ``path`` begins with it.
"""

from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send


class StripRootPath:
    """The outermost: takes the prefix off.

    Args:
        knows: whether the app has something at a path. Bazarr's ``/asr`` behind a proxy that offers the service at
            ``/asr`` is one of its paths, and no prefix.
    """

    def __init__(self, app: ASGIApp, *, root_path: str, knows: Callable[[str], bool]) -> None:
        self._app = app
        self._root_path = root_path
        self._knows = knows

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in {"http", "websocket"} and not self._knows(scope["path"]):
            path = scope["path"].removeprefix(self._root_path) or "/"
            if path.startswith("/"):
                scope = {**scope, "path": path}
        await self._app(scope, receive, send)


class AddRootPath:
    """The innermost: puts the prefix on again."""

    def __init__(self, app: ASGIApp, *, root_path: str) -> None:
        self._app = app
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in {"http", "websocket"}:
            scope = {**scope, "root_path": self._root_path, "path": self._root_path + scope["path"]}
        await self._app(scope, receive, send)
