"""What web pages may do, through the app: security headers, foreign origins, foreign names, CORS."""

import pytest
from starlette.types import Message, Receive, Scope, Send

from tests.conftest import SettingsFactory
from tests.support.engines import FakeTtsEngine
from tests.support.serving import client_of
from voice_stack.core.browsers import ForeignPagesMiddleware, SecurityHeadersMiddleware
from voice_stack.core.errors import ConfigurationError
from voice_stack.core.settings import load_settings
from voice_stack.tts.app import create_app

pytestmark = pytest.mark.anyio

PAGE = "https://app.example"
SPEECH = {"input": "One.", "response_format": "pcm"}
HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}


async def test_every_answer_carries_the_security_headers(make_settings: SettingsFactory) -> None:
    app = create_app(make_settings(cors_origins=PAGE, api_keys="k", health_open=False), FakeTtsEngine())
    async with client_of(app, ready=False) as client:
        key = {"authorization": "Bearer k"}
        answers = [
            await client.get("/health"),
            await client.get("/nowhere", headers=key),
            await client.put("/v1/audio/speech", headers=key),
            await client.post("/v1/audio/speech", json={}, headers=key),
            await client.post("/v1/audio/speech", json=SPEECH, headers=key),
            await client.get("/v1/models", headers=key),
            await client.options("/v1/models", headers={"origin": PAGE, "access-control-request-method": "GET"}),
        ]
        assert [answer.status_code for answer in answers] == [401, 404, 405, 400, 200, 200, 200]
        for answer in answers:
            assert HEADERS.items() <= dict(answer.headers).items(), answer.request.url
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        events = await client.post("/v1/audio/speech", json={**SPEECH, "stream_format": "sse"}, headers=key)
        assert events.headers.get_list("cache-control") == ["no-cache"]
        docs = await client.get("/docs", headers=key)
        assert docs.status_code == 200
        assert HEADERS.items() <= dict(docs.headers).items()
        assert "content-security-policy" not in docs.headers


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": PAGE}, 200),
        ({"origin": "http://test"}, 200),
        ({"origin": "https://voice.example", "sec-fetch-site": "same-origin"}, 200),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://test", "sec-fetch-site": "cross-site"}, 403),
        ({"origin": "http://test.evil.example"}, 403),
        ({"origin": "http://test:8080"}, 403),
        ({"origin": f"{PAGE}.evil.example"}, 403),
        ({"origin": f"{PAGE}:8443"}, 403),
        ({"origin": "http://app.example"}, 403),
        ({"origin": "https://APP.example"}, 403),
        ({"origin": "https://evil.example/https://app.example"}, 403),
    ],
)
async def test_pages_of_foreign_origins_cannot_make_the_service_do_anything(
    make_settings: SettingsFactory, headers: dict[str, str], status: int
) -> None:
    engine = FakeTtsEngine()
    async with client_of(create_app(make_settings(cors_origins=PAGE), engine)) as client:
        answer = await client.post("/v1/audio/speech", json=SPEECH, headers=headers)
        assert answer.status_code == status
        assert bool(engine.said) == (status == 200)
        allowed = headers.get("origin") == PAGE
        assert answer.headers.get("access-control-allow-origin") == (PAGE if allowed else None)
        assert "access-control-allow-credentials" not in answer.headers
        if "origin" in headers:
            assert "Origin" in answer.headers["vary"]
        if status == 403:
            assert answer.json()["error"]["code"] == "forbidden"
        assert (await client.get("/v1/models", headers=headers)).status_code == 200


async def test_any_page_may_where_the_operator_says_so_but_never_with_credentials(
    make_settings: SettingsFactory,
) -> None:
    async with client_of(create_app(make_settings(cors_origins="*"), FakeTtsEngine())) as client:
        cookie = {"origin": "https://any.example", "cookie": "a=b"}
        answer = await client.post("/v1/audio/speech", json=SPEECH, headers=cookie)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers


async def test_errors_of_every_kind_can_be_read_by_the_pages_that_may(make_settings: SettingsFactory) -> None:
    app = create_app(make_settings(cors_origins=PAGE, api_keys="k", tts_max_input_chars=10), FakeTtsEngine())
    async with client_of(app) as client:
        page = {"origin": PAGE}
        with_key = {**page, "authorization": "Bearer k"}
        speech = "/v1/audio/speech"
        answers = [
            await client.post(speech, json=SPEECH, headers=page),
            await client.get("/nowhere", headers=with_key),
            await client.post(speech, content=bytes(10**6), headers=with_key),
            await client.post(speech, json={**SPEECH, "input": "x" * 11}, headers=with_key),
        ]
        app.state.service.stop()
        assert [answer.status_code for answer in answers] == [401, 404, 413, 400]
        for answer in answers:
            assert answer.headers["access-control-allow-origin"] == PAGE
            assert "x-request-id" in answer.headers["access-control-expose-headers"]


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        ("voice.example", True),
        ("VOICE.example:5002", True),
        ("a.b.lan.example", True),
        ("lan.example", False),
        ("evil.example", False),
        ("voice.example.evil.example", False),
        ("evilvoice.example", False),
        ("", False),
        ("localhost:5002", True),
        ("127.0.0.1:5002", True),
        ("192.168.1.5", True),
        ("[::1]:5002", True),
        ("127.0.0.1.evil.example", False),
        ("1.2.3.4.5", False),
    ],
)
async def test_only_its_own_names_and_addresses_where_names_are_set(
    make_settings: SettingsFactory, host: str, is_ours: bool
) -> None:
    settings = make_settings(allowed_hosts="voice.example,*.lan.example")
    async with client_of(create_app(settings, FakeTtsEngine()), ready=False) as client:
        answer = await client.get("/v1/models", headers={"host": host})
        assert answer.status_code == (200 if is_ours else 403)


@pytest.mark.parametrize(
    "origin",
    [
        "app.example",
        "https://app.example/",
        "https://app.example/page",
        "https://App.example",
        "https://*",
        "https://app.example:443",
        "http://app.example:80",
        "https://user@app.example",
        "https:// app.example",
    ],
)
def test_an_origin_that_no_browser_sends_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch, origin: str) -> None:
    monkeypatch.setenv("CORS_ORIGINS", f"https://good.example,{origin}")
    with pytest.raises(ConfigurationError, match="CORS_ORIGINS"):
        load_settings(None)


def test_origins_as_browsers_send_them_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    origins = "https://a.example,http://localhost:3000,http://[::1]:3000,null,*,chrome-extension://abcdef"
    monkeypatch.setenv("CORS_ORIGINS", origins)
    assert load_settings(None).cors_origins == tuple(origins.split(","))


async def test_a_websocket_of_a_foreign_page_is_refused() -> None:
    sent: list[object] = []

    async def app(*_: object) -> None:
        sent.append("reached")

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    guard = ForeignPagesMiddleware(app, origins=[PAGE], hosts=[])
    for origin in (b"https://evil.example", PAGE.encode()):
        headers = [(b"host", b"test"), (b"origin", origin)]
        await guard({"type": "websocket", "headers": headers}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008, "reason": "forbidden"}, "reached"]


async def test_what_an_answer_says_itself_holds() -> None:
    messages: list[Message] = []

    async def page(_scope: Scope, _receive: Receive, send: Send) -> None:
        own = [(b"Content-Security-Policy", b"default-src 'self'")]
        await send({"type": "http.response.start", "status": 200, "headers": own})

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        messages.append(message)

    await SecurityHeadersMiddleware(page, docs_paths=[])({"type": "http", "path": "/"}, receive, send)
    names = [name.lower() for name, _ in messages[0]["headers"]]
    assert names.count(b"content-security-policy") == 1
    assert b"x-frame-options" in names
