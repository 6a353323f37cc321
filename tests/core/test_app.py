"""What both services share, seen through the text to speech app with a fake engine."""

import asyncio
import base64
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.conftest import SettingsFactory
from tests.support.engines import FakeTtsEngine, Gate
from tests.support.serving import client_of, served, wait_until
from voice_stack import __version__
from voice_stack.core.errors import ModelNotFoundError
from voice_stack.core.logging import add_request_id
from voice_stack.tts.app import create_app
from voice_stack.tts.engine.base import AudioChunk

pytestmark = pytest.mark.anyio

SPEECH = {"input": "One two three.", "response_format": "pcm"}


async def test_health_tells_state_version_engine_model_device_and_queue(make_settings: SettingsFactory) -> None:
    async with client_of(create_app(make_settings(), FakeTtsEngine())) as client:
        for path in ("/health", "/healthz", "/healthcheck"):
            assert (await client.head(path)).status_code == 200
            answer = await client.get(path)
            assert answer.status_code == 200
            assert answer.json() == {
                "status": "ok",
                "service": "tts",
                "version": __version__,
                "loaded": True,
                "engine": "fake",
                "model": "fake-tts",
                "device": "cpu",
                "queue_depth": 0,
                "active": 0,
                "sessions": 0,
            }


async def test_health_is_503_while_the_model_loads_and_requests_wait_for_it(make_settings: SettingsFactory) -> None:
    loading = Gate(opened=False)
    with served(create_app(make_settings(), FakeTtsEngine(load_gate=loading))) as url:
        async with httpx.AsyncClient(base_url=url, timeout=30) as client:
            assert (await client.get("/healthz")).status_code == 200
            not_ready = await client.get("/health")
            assert (not_ready.status_code, not_ready.json()["status"]) == (503, "loading")
            waiting = asyncio.ensure_future(client.post("/v1/audio/speech", json=SPEECH))
            assert not (await asyncio.wait({waiting}, timeout=0.2))[0]
            loading.open()
            assert (await waiting).status_code == 200
            assert (await client.get("/health")).status_code == 200


async def test_a_model_that_cannot_be_loaded_is_told_by_health_and_by_each_request(
    make_settings: SettingsFactory,
) -> None:
    engine = FakeTtsEngine(load_error=ModelNotFoundError("There is no such model; put one there."))
    async with client_of(create_app(make_settings(), engine)) as client:
        health = await client.get("/health")
        assert (health.status_code, health.json()["status"], health.json()["loaded"]) == (503, "failed", False)
        assert health.json()["error"] == "There is no such model; put one there."
        answer = await client.post("/v1/audio/speech", json=SPEECH)
        assert answer.status_code == 503
        assert "put one there" in answer.json()["error"]["message"]
        assert int(answer.headers["retry-after"]) > 0


async def test_every_answer_carries_a_request_id_and_keeps_a_sane_one_of_the_client(
    make_settings: SettingsFactory,
) -> None:
    async with client_of(create_app(make_settings(), FakeTtsEngine())) as client:
        ids = {(await client.get("/healthz")).headers["x-request-id"] for _ in range(3)}
        assert len(ids) == 3
        kept = await client.get("/healthz", headers={"x-request-id": "trace-1"})
        assert kept.headers["x-request-id"] == "trace-1"
        replaced = await client.get("/nowhere", headers={"x-request-id": "bad id\twith spaces"})
        assert replaced.headers["x-request-id"].startswith("req_")


async def test_every_log_line_of_a_request_carries_its_id(
    make_settings: SettingsFactory, caplog: pytest.LogCaptureFixture
) -> None:
    class Talkative(FakeTtsEngine):
        def synthesize(self, *args: Any) -> Iterator[AudioChunk]:
            logging.getLogger("engine").info("at work")
            yield from super().synthesize(*args)

    caplog.handler.addFilter(add_request_id)
    caplog.set_level("INFO")
    async with client_of(create_app(make_settings(), Talkative())) as client:
        await client.post("/v1/audio/speech", json=SPEECH, headers={"x-request-id": "trace-2"})
    ids = {record.getMessage(): vars(record)["request_id"] for record in caplog.records}
    assert ids["at work"] == "trace-2"
    assert ids["POST /v1/audio/speech 200"] == "trace-2"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("GET", "/v1/audio/speech", 405), ("GET", "/v1/models/none", 404)],
)
async def test_errors_of_the_framework_are_openai_envelopes(
    make_settings: SettingsFactory, method: str, path: str, status: int
) -> None:
    async with client_of(create_app(make_settings(), FakeTtsEngine())) as client:
        answer = await client.request(method, path)
        assert answer.status_code == status
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
        assert answer.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{not json", None),
        (b"[]", None),
        (b"", None),
        (b'{"voice": "alloy"}', "input"),
        (b'{"input": 5}', "input"),
        (b'{"input": "x", "speed": 9}', "speed"),
        (b'{"input": "x", "speed": "NaN"}', "speed"),
        (b'{"input": "x", "response_format": "midi"}', "response_format"),
    ],
)
async def test_a_body_that_does_not_fit_is_a_400_that_names_the_parameter(
    make_settings: SettingsFactory, body: bytes, param: str | None
) -> None:
    async with client_of(create_app(make_settings(), FakeTtsEngine())) as client:
        answer = await client.post("/v1/audio/speech", content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 400
        error = answer.json()["error"]
        assert (error["type"], error["param"]) == ("invalid_request_error", param)
        assert error["message"]


async def test_an_unexpected_error_is_a_500_without_a_traceback_and_logged_with_one(
    make_settings: SettingsFactory, caplog: pytest.LogCaptureFixture
) -> None:
    engine = FakeTtsEngine(fail_at=0, error=ZeroDivisionError("secret detail"))
    async with client_of(create_app(make_settings(), engine)) as client:
        answer = await client.post("/v1/audio/speech", json=SPEECH)
    assert answer.status_code == 500
    assert "secret detail" not in answer.text
    assert answer.headers["x-request-id"] in answer.json()["error"]["message"]
    assert "secret detail" in caplog.text


async def test_with_keys_set_only_health_is_open(make_settings: SettingsFactory) -> None:
    basic = base64.b64encode(b"bazarr:key-b").decode()
    wrong_basic = base64.b64encode(b"key-b:").decode()
    async with client_of(create_app(make_settings(api_keys="key-a,key-b"), FakeTtsEngine())) as client:
        assert (await client.get("/health")).status_code == 200
        for refused in (None, "Bearer nope", "Bearer ", "Bearer key-", f"Basic {wrong_basic}", "Basic ???", "Digest x"):
            answer = await client.get("/v1/models", headers={"authorization": refused} if refused else {})
            assert answer.status_code == 401, refused
            assert answer.json()["error"]["code"] == "invalid_api_key"
            assert answer.headers["www-authenticate"] == "Bearer"
        for accepted in ("Bearer key-a", "bearer key-b", f"Basic {basic}"):
            assert (await client.get("/v1/models", headers={"authorization": accepted})).status_code == 200, accepted


async def test_cors_answers_known_origins_errors_included(make_settings: SettingsFactory) -> None:
    app = create_app(make_settings(cors_origins="https://app.example", api_keys="k"), FakeTtsEngine())
    async with client_of(app) as client:
        preflight = await client.options(
            "/v1/audio/speech",
            headers={"origin": "https://app.example", "access-control-request-method": "POST"},
        )
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == "https://app.example"
        refused = await client.get("/v1/models", headers={"origin": "https://app.example"})
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == "https://app.example"
        foreign = await client.get("/healthz", headers={"origin": "https://evil.example"})
        assert "access-control-allow-origin" not in foreign.headers


async def test_the_prefix_of_the_api_is_a_setting(make_settings: SettingsFactory) -> None:
    async with client_of(create_app(make_settings(api_v1_str="/openai/v1"), FakeTtsEngine())) as client:
        assert (await client.get("/openai/v1/models")).status_code == 200
        assert (await client.get("/v1/models")).status_code == 404


async def test_models_are_listed_and_described_in_openais_shape(make_settings: SettingsFactory) -> None:
    async with client_of(create_app(make_settings(), FakeTtsEngine())) as client:
        listed = (await client.get("/v1/models")).json()
        assert listed["object"] == "list"
        assert {"fake-tts", "tts-1", "gpt-4o-mini-tts"} <= {model["id"] for model in listed["data"]}
        one = (await client.get("/v1/models/tts-1")).json()
        assert (one["id"], one["object"]) == ("tts-1", "model")
        missing = await client.get("/v1/models/owner/name")
        assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")


def test_stopping_lets_finish_what_runs_and_what_need_not_wait(make_settings: SettingsFactory) -> None:
    gate = Gate(opened=False)
    app = create_app(make_settings(), FakeTtsEngine(gate=gate))
    with served(app) as url, ThreadPoolExecutor() as pool:
        running = pool.submit(httpx.post, f"{url}/v1/audio/speech", json=SPEECH, timeout=30)
        assert gate.reached.wait(10)
        app.state.service.stop()
        sent_meanwhile = pool.submit(httpx.post, f"{url}/v1/audio/speech", json=SPEECH, timeout=30)
        wait_until(lambda: app.state.service.queue.active == 2)
        assert httpx.get(f"{url}/health").json()["status"] == "stopping"
        gate.open()
        assert len(running.result().content) == len(sent_meanwhile.result().content) >= 2 * 24_000 * 0.3
    wait_until(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("tts-")])
