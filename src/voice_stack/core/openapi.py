"""Completes the description of the API, which ``/openapi.json`` serves: what every operation answers beside its own."""

from collections.abc import Collection, Mapping
from typing import Any

from fastapi import FastAPI

ERROR_SCHEMA = "Error"

_ENVELOPE: Mapping[str, Any] = {
    "title": ERROR_SCHEMA,
    "description": "OpenAI's envelope",
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string", "description": "what was wrong and what to do"},
                "type": {"type": "string", "enum": ["invalid_request_error", "server_error"]},
                "param": {"type": ["string", "null"], "description": "the parameter at fault"},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}
_ERRORS: Mapping[str, str] = {
    "400": "the request cannot be served as it is",
    "401": "no API key, or a wrong one",
    "403": "a web page of a foreign origin asks, or the service is addressed by a name that is not its own",
    "404": "there is nothing of that name",
    "408": "the rest of the request did not come",
    "409": "it stands against what is there",
    "413": "the request is too large",
    "500": "the service failed; its log has the details under the request's id",
    "503": "the service cannot take this request now; Retry-After says when to try again",
    "504": "it took longer than MAX_REQUEST_S",
}
_ALWAYS = {"403", "500", "503", "504"}
_WITH_BODY = {"400", "404", "408", "413"}
_UNUSED = ("HTTPValidationError", "ValidationError")
_HEADERS: Mapping[str, Mapping[str, Any]] = {
    "401": {"WWW-Authenticate": {"schema": {"type": "string"}}},
    "503": {"Retry-After": {"schema": {"type": "integer"}, "description": "seconds"}},
}


def complete_description(app: FastAPI, *, keyless_paths: Collection[str] | None) -> None:
    """Let the app describe its errors and its authentication as they are.

    Args:
        keyless_paths: served without an API key; None: all are.
    """
    described = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = described()
            _complete(schema, keyless_paths)
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _complete(schema: dict[str, Any], keyless_paths: Collection[str] | None) -> None:
    components = schema.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name in _UNUSED:
        schemas.pop(name, None)
    schemas[ERROR_SCHEMA] = _ENVELOPE
    if keyless_paths is not None:
        components["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "basic": {"type": "http", "scheme": "basic", "description": "the key as password, any user"},
        }
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            needs_key = keyless_paths is not None and path not in keyless_paths
            if needs_key:
                operation["security"] = [{"bearer": []}, {"basic": []}]
            _add_errors(operation, needs_key=needs_key)


def _add_errors(operation: dict[str, Any], *, needs_key: bool) -> None:
    responses = operation["responses"]
    # What FastAPI would answer; here it is 400.
    responses.pop("422", None)
    statuses = set(_ALWAYS)
    if needs_key:
        statuses.add("401")
    if "parameters" in operation:
        statuses.add("400")
    if any(parameter["in"] == "path" for parameter in operation.get("parameters", [])):
        statuses.add("404")
    if "requestBody" in operation:
        statuses |= _WITH_BODY
    for status in statuses.union(_ERRORS.keys() & responses.keys()):
        answer = responses.setdefault(status, {})
        answer["description"] = _ERRORS[status]
        content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{ERROR_SCHEMA}"}}}
        answer.setdefault("content", content)
        if status in _HEADERS and answer["content"] is content:
            answer["headers"] = dict(_HEADERS[status])
    operation["responses"] = dict(sorted(responses.items()))
