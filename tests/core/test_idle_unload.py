"""Services whose model is let go of when nobody uses it, seen by their clients."""

import asyncio
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest

from tests.conftest import SettingsFactory
from tests.support.engines import FakeAsrEngine, FakeTtsEngine, Gate
from tests.support.serving import client_of, served, wait_until
from tests.support.speech import wav_bytes
from voice_stack.asr.app import create_app as create_asr
from voice_stack.core.errors import ModelNotFoundError
from voice_stack.core.lifecycle import State
from voice_stack.tts.app import create_app as create_tts

pytestmark = pytest.mark.anyio

TTL_S = 0.05
SPEECH = {"input": "One two three. Four five six. Seven eight nine.", "response_format": "pcm"}


async def until(condition: Callable[[], bool]) -> None:
    await asyncio.to_thread(wait_until, condition)


async def test_an_idle_service_is_healthy_and_says_so(make_settings: SettingsFactory) -> None:
    engine = FakeTtsEngine()
    async with client_of(create_tts(make_settings(model_ttl_s=TTL_S), engine)) as client:
        await until(lambda: engine.unloads == 1)
        for path in ("/health", "/healthz", "/healthcheck"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["status"], answer.json()["loaded"]) == (200, "idle", False)
        assert (await client.post("/v1/audio/speech", json=SPEECH)).status_code == 200
        assert engine.loads == 2


async def test_voices_and_models_are_listed_without_loading_the_model(make_settings: SettingsFactory) -> None:
    engine = FakeTtsEngine()
    async with client_of(create_tts(make_settings(model_ttl_s=TTL_S), engine)) as client:
        await until(lambda: engine.unloads == 1)
        assert len((await client.get("/v1/audio/voices")).json()["data"]) == 3
        assert (await client.get("/v1/audio/voices/de_DE-bert-low")).status_code == 200
        assert (await client.get("/v1/models")).status_code == 200
        assert (engine.loads, engine.unloads) == (1, 1)


async def test_a_reload_that_fails_is_told_by_health_until_one_succeeds(make_settings: SettingsFactory) -> None:
    engine = FakeTtsEngine()
    async with client_of(create_tts(make_settings(model_ttl_s=TTL_S), engine)) as client:
        await until(lambda: engine.unloads == 1)
        engine.load_error = ModelNotFoundError("The disk is away.")
        refused = await client.post("/v1/audio/speech", json=SPEECH)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "model_unavailable")
        assert int(refused.headers["retry-after"]) > 0
        health = await client.get("/health")
        assert (health.status_code, health.json()["status"]) == (503, "failed")
        assert health.json()["error"] == "The disk is away."
        engine.load_error = None
        assert (await client.post("/v1/audio/speech", json=SPEECH)).status_code == 200
        health = await client.get("/health")
        assert health.status_code == 200
        assert "error" not in health.json()


def test_a_stream_holds_the_model_until_its_last_byte(make_settings: SettingsFactory) -> None:
    gate = Gate(opened=False)
    engine = FakeTtsEngine(gate=gate)
    app = create_tts(make_settings(model_ttl_s=TTL_S, tts_max_chars=20), engine)
    with served(app) as url, ThreadPoolExecutor() as pool:
        speaking = pool.submit(httpx.post, f"{url}/v1/audio/speech", json=SPEECH, timeout=30)
        assert gate.reached.wait(10)
        unloads = engine.unloads  # the model may have been idle before the request
        for _ in range(2):
            gate.step_once()
            time.sleep(3 * TTL_S)
            assert engine.unloads == unloads
        gate.open()
        assert len(speaking.result().content) >= 2 * 24_000 * 0.9
        wait_until(lambda: engine.unloads == unloads + 1)


def test_a_client_that_leaves_holds_the_model_for_as_long_as_its_step_runs(make_settings: SettingsFactory) -> None:
    gate = Gate(opened=False)
    engine = FakeTtsEngine(gate=gate)
    app = create_tts(make_settings(model_ttl_s=TTL_S), engine)
    with served(app) as url:
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as client:
            body = b'{"input": "One two three."}'
            head = f"POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
            client.sendall(f"{head}Content-Type: application/json\r\n\r\n".encode() + body)
            assert gate.reached.wait(10)
            unloads = engine.unloads  # the model may have been idle before the request
        time.sleep(4 * TTL_S)
        service = app.state.service
        assert (service.lifecycle.state, engine.unloads, service.queue.active) == (State.READY, unloads, 1)
        gate.open()
        wait_until(lambda: engine.unloads == unloads + 1)


async def test_transcription_and_detection_load_the_model_again_but_another_model_does_not(
    make_settings: SettingsFactory,
) -> None:
    engine = FakeAsrEngine(can_detect=True)
    app = create_asr(make_settings(model_ttl_s=TTL_S, asr_model="fake-base"), engine)
    named: list[FakeAsrEngine] = []

    def create_named(_name: str) -> FakeAsrEngine:
        named.append(FakeAsrEngine(["named"]))
        return named[-1]

    app.state.service._named._create = create_named
    audio = wav_bytes(np.zeros(1600, np.float32))
    path = "/v1/audio/transcriptions"
    async with client_of(app) as client:
        await until(lambda: engine.unloads == 1)
        answer = await client.post(path, files={"file": audio}, data={"model": "another"})
        assert (answer.json()["text"], engine.loads) == ("named", 1)
        await until(lambda: named[0].unloads == 1)
        assert (await client.post(path, files={"file": audio})).json()["text"] == "hello world"
        await until(lambda: engine.unloads == 2)
        detected = await client.post("/detect-language", files={"audio_file": audio})
        assert (detected.json()["language_code"], engine.loads) == ("en", 3)
