"""Says no before a request is read: at ten times the load that can be served, reading it all is half of the work."""

from collections.abc import Callable, Collection

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from voice_stack.core.errors import QueueFullError
from voice_stack.core.responses import error_response


class AdmissionMiddleware:
    """Refuses requests for which there is no room in the queue.

    Args:
        paths: where requests are queued.
        check_room: is given the size of a request in bytes, None where it is not declared; raises ``QueueFullError``
            where there is no room for such a one.
    """

    def __init__(self, app: ASGIApp, *, paths: Collection[str], check_room: Callable[[int | None], None]) -> None:
        self._app = app
        self._paths = frozenset(paths)
        self._check_room = check_room

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"] in self._paths:
            declared = Headers(scope=scope).get("content-length", "")
            try:
                self._check_room(int(declared) if declared.isdigit() else None)
            except QueueFullError as error:
                await error_response(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)
