"""API keys: what is open without one, and what is taken for one."""

import base64
from collections.abc import Sequence
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from tests.conftest import SettingsFactory
from tests.support.engines import FakeAsrEngine, FakeTtsEngine
from tests.support.serving import client_of
from voice_stack.asr.app import create_app as create_asr
from voice_stack.core.auth import ApiKeyMiddleware
from voice_stack.tts.app import create_app as create_tts

pytestmark = pytest.mark.anyio

HEALTH = ("/health", "/healthz", "/healthcheck")
BAZARR = ("/status", "/bazarr/status")
PAGE = {"/", "/playground/base.css"}
KEY = "sk-this-is-the-key"


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("settings", "opened"),
    [
        ({}, {*HEALTH, *BAZARR}),
        ({"health_open": False}, set()),
        ({"metrics_open": True}, {*HEALTH, *BAZARR, "/metrics"}),
        ({"health_open": False, "metrics_open": True}, {"/metrics"}),
    ],
)
async def test_exactly_what_the_settings_open_is_open(
    make_settings: SettingsFactory, settings: dict[str, Any], opened: set[str]
) -> None:
    made = make_settings(api_keys=KEY, **settings)
    for app in (create_asr(made, FakeAsrEngine()), create_tts(made, FakeTtsEngine())):
        paths = [str(route.path_format) for route in app.routes if hasattr(route, "path_format")]
        paths += [path for path in app.openapi()["paths"] if path not in paths]
        paths += [
            "/nowhere",
            "/health/",
            "http://test//health",
            "/HEALTH",
            "/health;x",
            "/v1/%2e%2e/health",
            "/health%00",
            *PAGE,
        ]
        async with client_of(app, ready=False) as client:
            for path in paths:
                answer = await client.get(path)
                assert (answer.status_code != 401) == (path in opened | PAGE), path
                if path not in opened:
                    assert (await client.get(path, headers={"authorization": f"Bearer {KEY}"})).status_code != 401


@pytest.mark.parametrize(
    ("sent", "accepted"),
    [
        ([f"Bearer {KEY}"], True),
        ([f"bEARER {KEY}"], True),
        ([f"Bearer   {KEY} "], True),
        ([basic("bazarr", KEY)], True),
        ([basic("", KEY)], True),
        ([basic("a:b", KEY)], False),
        ([basic(KEY, "")], False),
        ([], False),
        ([""], False),
        ([KEY], False),
        (["Bearer"], False),
        (["Bearer "], False),
        ([f"Bearer {KEY[:-1]}"], False),
        ([f"Bearer {KEY}x"], False),
        ([f"Bearer {KEY.upper()}"], False),
        ([f"Bearer {KEY},{KEY}"], False),
        ([f"Token {KEY}"], False),
        (["Basic ???"], False),
        (["Basic \xff\xfe"], False),
        (["Bearer \xff\xfe"], False),
        (["Bearer " + "k" * 60_000], False),
        ([f"Bearer {KEY}", "Bearer other"], False),
        ([f"Bearer {KEY}", f"Bearer {KEY}"], False),
    ],
)
async def test_what_is_taken_for_a_key(make_settings: SettingsFactory, sent: Sequence[str], accepted: bool) -> None:
    async with client_of(create_tts(make_settings(api_keys=f"other-key,{KEY}"), FakeTtsEngine())) as client:
        headers = [(b"Authorization", value.encode("latin-1")) for value in sent]
        answer = await client.get("/v1/models", headers=headers)
        assert answer.status_code == (200 if accepted else 401)
        if not accepted:
            assert answer.json()["error"]["code"] == "invalid_api_key"


@pytest.mark.parametrize(
    ("key", "extensions", "expected"),
    [
        (None, {}, "websocket.close"),
        ("nope", {"websocket.http.response": {}}, "websocket.http.response.start"),
        (KEY, {}, "websocket.accept"),
    ],
)
async def test_a_websocket_without_a_key_is_refused_before_it_is_accepted(
    key: str | None, extensions: dict[str, Any], expected: str
) -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"authorization", f"Bearer {key}".encode())] if key else []
    scope = {"type": "websocket", "path": "/v1/realtime", "headers": headers, "extensions": extensions}
    await ApiKeyMiddleware(app, keys=[KEY], open_paths=[])(scope, receive, send)
    assert sent[0]["type"] == expected
    if expected == "websocket.close":
        assert sent[0]["code"] == 1008
    if expected == "websocket.http.response.start":
        assert sent[0]["status"] == 401
