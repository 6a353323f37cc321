"""What both services share: error handlers, middleware, health routes and the order of start and stop."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from inspect import signature
from pathlib import Path
from typing import Any

import fastapi.routing
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.responses import Response

from voice_stack import __version__
from voice_stack.core.admission import AdmissionMiddleware
from voice_stack.core.auth import ApiKeyMiddleware
from voice_stack.core.browsers import ForeignPagesMiddleware, SecurityHeadersMiddleware
from voice_stack.core.connections import Connections, affordable_connections
from voice_stack.core.deadline import DeadlineMiddleware
from voice_stack.core.errors import DeadlineError, UnavailableError, VoiceStackError, envelope
from voice_stack.core.lifecycle import State
from voice_stack.core.metering import MeteringMiddleware
from voice_stack.core.metrics import OTHER
from voice_stack.core.middleware import BodyLimit, BodyLimitMiddleware, RequestContextMiddleware
from voice_stack.core.openapi import complete_description
from voice_stack.core.playground.routes import Playground
from voice_stack.core.responses import envelope_response, error_response
from voice_stack.core.root_path import AddRootPath, StripRootPath
from voice_stack.core.service import EngineService
from voice_stack.core.settings import Service, Settings

_logger = logging.getLogger(__name__)

HEALTH_PATHS = ("/health", "/healthz", "/healthcheck")
METRICS_PATH = "/metrics"

REFRESH_S = 1.0
"""How old the queue depth, state and memory of one process may be when Prometheus asks another on the same port."""

_CODES = {404: "not_found", 405: "method_not_allowed", 413: "upload_too_large"}

_FORM_LIMITS: Any = {"max_fields": 64, "max_files": 8}
"""A field may have 1 MiB and is held in memory. FastAPI before 0.165, which Python 3.10 gets, has no such limit."""

_NO_SPACE = (
    "The service has no place to keep this upload; its operator can free disk space, or set TMPDIR to a folder "
    "with some."
)

_MESSAGES = {"There was an error parsing the body": "The body cannot be read: send JSON in UTF-8, not nested deeply."}


def build_app(
    name: Service,
    settings: Settings,
    service: EngineService,
    api: APIRouter,
    *,
    body_limit: BodyLimit,
    other_limits: Mapping[str, BodyLimit] | None = None,
    at_root: Sequence[APIRouter] = (),
    status_paths: Sequence[str] = (),
    queued_paths: Sequence[str] = (),
    playground: Path | None = None,
    playground_about: Mapping[str, object] | None = None,
) -> FastAPI:
    """Assemble one service.

    Args:
        api: served under ``API_V1_STR``.
        other_limits: limits on request bodies by the path below ``API_V1_STR`` that they hold for.
        at_root: served as they are.
        status_paths: served without an API key where health is.
        queued_paths: below ``API_V1_STR``; requests there are refused unread while the queue is full.
        playground: folder of the page at ``/``, which is served without an API key.
        playground_about: what that page is to know of the service besides; as public.
    """
    limits = {"form_limits": _FORM_LIMITS} if "form_limits" in signature(FastAPI.__init__).parameters else {}
    app = FastAPI(title=settings.title(name), version=__version__, lifespan=_lifespan, **limits)
    app.state.service = service
    app.state.connections = Connections(
        most=affordable_connections(settings.max_connections), stall_s=settings.max_stall_s
    )
    app.include_router(api, prefix=settings.api_v1_str)
    for router in at_root:
        app.include_router(router)
    app.include_router(_health_router(name, service), tags=["health"])
    app.include_router(_metrics_router(service), tags=["metrics"])
    page = None
    if playground is not None and settings.playground:
        page = Playground(name, settings, playground, playground_about or {})
    if page is not None:
        app.include_router(page.router)
    app.add_exception_handler(VoiceStackError, _on_known_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_error)

    keyless_paths = (
        *((*HEALTH_PATHS, *status_paths) if settings.health_open else ()),
        *((METRICS_PATH,) if settings.metrics_open else ()),
        *(page.paths if page is not None else ()),
    )
    complete_description(app, keyless_paths=keyless_paths if settings.api_keys else None)
    template_of = _templates(app)
    # The last added is the outermost.
    if settings.root_path:
        app.add_middleware(AddRootPath, root_path=settings.root_path)
    app.add_middleware(
        AdmissionMiddleware,
        paths=[f"{settings.api_v1_str}{path}" for path in queued_paths],
        check_room=service.check_room,
    )
    if settings.api_keys:
        app.add_middleware(ApiKeyMiddleware, keys=settings.api_keys, open_paths=keyless_paths)
    app.add_middleware(ForeignPagesMiddleware, origins=settings.cors_origins, hosts=settings.allowed_hosts)
    elsewhere = {f"{settings.api_v1_str}{path}": limit for path, limit in (other_limits or {}).items()}
    app.add_middleware(BodyLimitMiddleware, limit=body_limit, elsewhere=elsewhere)
    if settings.max_request_s:
        app.add_middleware(DeadlineMiddleware, max_request_s=settings.max_request_s)
    app.add_middleware(RequestContextMiddleware, template_of=template_of)
    app.add_middleware(MeteringMiddleware, metrics=service.metrics, template_of=template_of)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["x-request-id", "retry-after"],
        )
    docs_paths = [path for path in (app.docs_url, app.redoc_url) if path is not None]
    app.add_middleware(SecurityHeadersMiddleware, docs_paths=docs_paths)
    if settings.root_path:
        app.add_middleware(
            StripRootPath, root_path=settings.root_path, knows=lambda path: template_of(path) is not OTHER
        )
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[Mapping[str, Any]]:
    service: EngineService = app.state.service
    service.lifecycle.start()
    refreshing = asyncio.ensure_future(_keep_fresh(service)) if service.metrics.shared else None
    try:
        # The server finds the service in the lifespan state (core/server.py), and its protocol the limits.
        yield {"service": service, **app.state.connections.state}
    finally:
        if refreshing is not None:
            refreshing.cancel()
        service.stop()
        await asyncio.to_thread(service.close)


async def _keep_fresh(service: EngineService) -> None:
    """Let the other processes know how things stand in this one, whichever of them is asked."""
    while True:
        await asyncio.to_thread(service.take_stock)
        await asyncio.sleep(REFRESH_S)


def _metrics_router(service: EngineService) -> APIRouter:
    router = APIRouter()

    def exposition() -> bytes:
        service.take_stock()
        return service.metrics.exposition()

    @router.get(
        METRICS_PATH,
        summary="For Prometheus",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def metrics() -> Response:
        return Response(await asyncio.to_thread(exposition), media_type=CONTENT_TYPE_LATEST)

    return router


def _routes(app: FastAPI) -> Iterator[Any]:
    # FastAPI keeps included routers whole since it has this function; before, their routes were copied.
    flattened: Callable[..., Iterator[Any]] = getattr(fastapi.routing, "iter_route_contexts", iter)
    return flattened(app.routes)


def _templates(app: FastAPI) -> Callable[[str], str]:
    """The template of a path: ``/v1/models/{model_id}``, or ``OTHER`` where the app knows none."""
    known = [(route.path_regex, str(route.path_format)) for route in _routes(app)]

    def template_of(path: str) -> str:
        return next((template for pattern, template in known if pattern.match(path)), OTHER)

    return template_of


def _health_router(name: Service, service: EngineService) -> APIRouter:
    router = APIRouter()

    def body() -> dict[str, Any]:
        state = service.lifecycle.state
        about: dict[str, Any] = {
            "status": state.value,
            "service": name,
            "version": __version__,
            "loaded": state is State.READY,
            **service.describe(),
        }
        if error := service.lifecycle.error or service.lifecycle.reload_error:
            about["error"] = str(error)
        return about

    not_ready: dict[int | str, dict[str, Any]] = {
        503: {"content": {"application/json": {"schema": {"type": "object"}}}}
    }

    @router.head("/healthz", include_in_schema=False)
    @router.get("/healthz", summary="200 while the process serves")
    async def live() -> dict[str, Any]:
        return body()

    @router.head("/health", include_in_schema=False)
    @router.head("/healthcheck", include_in_schema=False)
    @router.get("/health", summary="200 once the model was loaded, else 503", responses=not_ready)
    @router.get("/healthcheck", summary="the same as /health", responses=not_ready)
    async def ready() -> JSONResponse:
        return JSONResponse(body(), status_code=200 if service.lifecycle.is_healthy else 503)

    return router


async def _on_known_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, VoiceStackError)  # noqa: S101 - narrows the type that Starlette guarantees
    if error.status >= 500:
        # What others say may be the client's: the formatter of the log decides.
        ours = isinstance(error, UnavailableError | DeadlineError)
        _logger.warning("answered %d: %s", error.status, error if ours else error.code, exc_info=error.__cause__)
    return error_response(error)


async def _on_invalid_request(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - as above
    problems = []
    param = None
    for detail in error.errors():
        if detail["type"] == "json_invalid":
            problems.append(f"The body is not valid JSON: {detail.get('ctx', {}).get('error', 'it cannot be parsed')}")
            continue
        if detail["loc"] == ("body",):
            problems.append("The body must be a JSON object, sent with 'Content-Type: application/json'")
            continue
        location = [str(part) for part in detail["loc"] if part not in {"body", "query", "path"}]
        name = ".".join(location)
        param = param or (location[0] if location else None)
        message = str(detail["msg"]).removeprefix("Value error, ")
        problems.append(f"{name}: {message}" if name else message)
    body = envelope("; ".join(problems), type_="invalid_request_error", param=param, code="invalid_request")
    return envelope_response(body, 400)


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - as above
    if isinstance(error.__cause__, VoiceStackError):
        return error_response(error.__cause__)
    if isinstance(error.__cause__, OSError):
        # FastAPI takes whatever goes wrong with a body for its sender's fault.
        _logger.error("an upload could not be kept: %s", error.__cause__.strerror)
        return error_response(UnavailableError(_NO_SPACE, retry_after_s=30))
    type_ = "invalid_request_error" if error.status_code < 500 else "server_error"
    message = _MESSAGES.get(str(error.detail), str(error.detail))
    body = envelope(message, type_=type_, code=_CODES.get(error.status_code, "invalid_request"))
    headers = dict(error.headers or {})
    if error.status_code == 405:
        # Starlette names the methods of the first route of a path only.
        path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
        template = _templates(request.app)(path)
        methods = [route.methods or () for route in _routes(request.app) if route.path_format == template]
        headers["Allow"] = ", ".join(sorted(set().union(*methods)))
    return envelope_response(body, error.status_code, headers)
