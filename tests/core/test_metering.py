"""Each request, each error and each second of audio moves its own counts by exactly that much."""

import asyncio
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from starlette.types import Message

from tests.conftest import SettingsFactory
from tests.support.counts import CountWatch, samples_in
from tests.support.engines import FakeAsrEngine, FakeTtsEngine, Gate
from tests.support.serving import client_of
from tests.support.speech import wav_bytes
from voice_stack.asr.app import create_app as create_asr
from voice_stack.tts.app import create_app as create_tts

pytestmark = pytest.mark.anyio

SPEECH_PATH = "/v1/audio/speech"
SPEECH = {"input": "One two three.", "response_format": "pcm"}
TWO_SENTENCES = b'{"input": "One two three. Four five six.", "response_format": "pcm"}'
TONE = wav_bytes(0.1 * np.sin(np.arange(24_000) * 0.1).astype(np.float32))  # 1.5 s
UPLOAD: dict[str, Any] = {"files": {"file": ("tone.wav", TONE)}}
# Fewer of these than of short ones fill the service.
LONG_UPLOAD: dict[str, Any] = {"files": {"file": ("silence.wav", wav_bytes(np.zeros(31 * 16_000, np.float32)))}}
TRANSCRIPTIONS_PATH = "/v1/audio/transcriptions"


def ended(route: str, status: str, outcome: str, method: str = "POST") -> dict[str, float]:
    """What every request moves."""
    return {
        f"http_requests_total {method} {route} {status} {outcome}": 1,
        f"http_request_duration_seconds_count {route} {outcome}": 1,
    }


def failed(route: str, status: str, code: str, *, outcome: str = "error", method: str = "POST") -> dict[str, float]:
    return {**ended(route, status, outcome, method), f"errors_total {code}": 1}


def first_byte(route: str) -> dict[str, float]:
    return {f"http_time_to_first_byte_seconds_count {route}": 1}


async def raw_post(
    app: FastAPI, path: str, body: bytes, *, leave: asyncio.Event | None = None, begun: asyncio.Event | None = None
) -> list[Message]:
    """POST over bare ASGI, from a client that hangs up once ``leave`` is set; gives what the app sent.

    ``begun`` is set when the first bytes of the body arrive; it may be ``leave``.
    """
    sent: list[Message] = []
    arriving: Iterator[Message] = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> Message:
        if (message := next(arriving, None)) is not None:
            return message
        await (leave or asyncio.Event()).wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)
        if begun is not None and message.get("body"):
            begun.set()

    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    scope = {"type": "http", "method": "POST", "path": path, "headers": headers, "query_string": b"", "asgi": {}}
    await app(
        {**scope, "root_path": "", "scheme": "http", "server": ("test", 80), "client": ("test", 1)}, receive, send
    )
    return sent


async def test_a_speech_moves_its_counts_by_one_and_its_seconds_by_what_is_heard(
    make_settings: SettingsFactory,
) -> None:
    async with client_of(create_tts(make_settings(), FakeTtsEngine())) as client:
        watch = CountWatch(client)
        await watch.begin()
        spoken = await client.post(SPEECH_PATH, json=SPEECH)
        moved = await watch.moved()
    seconds = moved.pop("audio_seconds_total")
    assert seconds == pytest.approx(len(spoken.content) / 2 / 24_000, abs=0.001)
    assert moved == {
        **ended(SPEECH_PATH, "200", "ok"),
        **first_byte(SPEECH_PATH),
        "real_time_factor_count": 1,
        "queue_wait_seconds_count": 1,
    }


async def test_a_transcription_counts_the_seconds_that_came_in(make_settings: SettingsFactory) -> None:
    async with client_of(create_asr(make_settings(), FakeAsrEngine())) as client:
        watch = CountWatch(client)
        await watch.begin()
        for stream in ("false", "true"):
            assert (await client.post(TRANSCRIPTIONS_PATH, **UPLOAD, data={"stream": stream})).status_code == 200
        moved = await watch.moved()
    assert moved.pop("audio_seconds_total") == pytest.approx(3.0, abs=0.01)
    expected = {**ended(TRANSCRIPTIONS_PATH, "200", "ok"), **first_byte(TRANSCRIPTIONS_PATH)}
    assert moved == dict.fromkeys([*expected, "real_time_factor_count", "queue_wait_seconds_count"], 2)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({"json": {"input": 5}}, failed(SPEECH_PATH, "400", "invalid_request")),
        ({"json": {**SPEECH, "model": "nope"}}, failed(SPEECH_PATH, "404", "model_not_found")),
        ({"content": b"x" * 100_000}, failed(SPEECH_PATH, "413", "upload_too_large")),
        ({"json": SPEECH, "headers": {"authorization": "Bearer wrong"}}, failed(SPEECH_PATH, "401", "invalid_api_key")),
        ({"method": "PUT"}, failed(SPEECH_PATH, "405", "method_not_allowed", method="PUT")),
        ({"url": "/v1/models/a/b"}, failed("/v1/models/{model_id}", "405", "method_not_allowed")),
        ({"url": "/nowhere"}, failed("other", "404", "not_found")),
        ({"url": "/nowhere", "method": "BREW"}, failed("other", "404", "not_found", method="other")),
    ],
    ids=["400", "404 model", "413", "401", "405", "405 of a template", "404 path", "unknown method"],
)
async def test_a_refused_request_moves_its_counts_by_one(
    make_settings: SettingsFactory, request_: dict[str, Any], expected: dict[str, float]
) -> None:
    settings = make_settings(api_keys="key", tts_max_input_chars=10)
    with_key = {"authorization": "Bearer key"}
    async with client_of(create_tts(settings, FakeTtsEngine())) as client:
        watch = CountWatch(client, headers=with_key)
        await watch.begin()
        await client.request(**{"method": "POST", "url": SPEECH_PATH, "headers": with_key, **request_})
        assert await watch.moved() == expected


async def test_an_engine_that_fails_before_the_answer_is_one_error(make_settings: SettingsFactory) -> None:
    async with client_of(create_tts(make_settings(), FakeTtsEngine(fail_at=0, error=ZeroDivisionError()))) as client:
        watch = CountWatch(client)
        await watch.begin()
        await client.post(SPEECH_PATH, json=SPEECH)
        assert await watch.moved() == {**failed(SPEECH_PATH, "500", "server_error"), "queue_wait_seconds_count": 1}


async def test_a_full_queue_is_one_refusal_and_depth_and_active_tell_how_it_stands(
    make_settings: SettingsFactory,
) -> None:
    gate = Gate(opened=False)
    async with client_of(create_asr(make_settings(max_queue=1), FakeAsrEngine(gate=gate))) as client:
        taken = []
        while (health := (await client.get("/health")).json())["queue_depth"] < 1:
            taken.append(asyncio.ensure_future(client.post(TRANSCRIPTIONS_PATH, **LONG_UPLOAD)))
            while (now := (await client.get("/health")).json())["queue_depth"] + now["active"] < len(taken):
                await asyncio.sleep(0.005)
        watch = CountWatch(client)
        await watch.begin()
        await client.post(TRANSCRIPTIONS_PATH, **LONG_UPLOAD)
        expected = {**failed(TRANSCRIPTIONS_PATH, "503", "queue_full"), "queue_refused_total": 1}
        assert await watch.moved() == expected
        standing = {sample.name: sample.value for sample in samples_in((await client.get("/metrics")).text)}
        assert standing["voice_stack_queue_depth"] == 1
        assert standing["voice_stack_queue_active_jobs"] == health["active"] == len(taken) - 1
        gate.open()
        await asyncio.gather(*taken)


async def test_a_client_that_hangs_up_before_the_answer_is_counted_as_such(make_settings: SettingsFactory) -> None:
    gate = Gate(opened=False)
    app = create_tts(make_settings(), FakeTtsEngine(gate=gate))
    async with client_of(app) as client:
        watch, leave = CountWatch(client), asyncio.Event()
        await watch.begin()
        answering = asyncio.ensure_future(raw_post(app, SPEECH_PATH, TWO_SENTENCES, leave=leave))
        await asyncio.to_thread(gate.reached.wait, 10)
        leave.set()
        assert await answering == []
        assert await watch.moved() == {**ended(SPEECH_PATH, "none", "client_left"), "queue_wait_seconds_count": 1}
        gate.open()


async def test_a_client_that_hangs_up_in_mid_stream_is_counted_as_such(make_settings: SettingsFactory) -> None:
    gate = Gate(opened=False)
    gate.step_once()
    app = create_tts(make_settings(), FakeTtsEngine(gate=gate))
    async with client_of(app) as client:
        watch = CountWatch(client)
        await watch.begin()
        leave = asyncio.Event()
        sent = await raw_post(app, SPEECH_PATH, TWO_SENTENCES, leave=leave, begun=leave)
        assert sent[-1]["more_body"]
        assert await watch.moved() == {
            **ended(SPEECH_PATH, "200", "client_left"),
            **first_byte(SPEECH_PATH),
            "queue_wait_seconds_count": 1,
        }
        gate.open()


@pytest.mark.parametrize("stream_format", ["audio", "sse"])
async def test_a_stream_that_breaks_is_one_error_whatever_its_form(
    make_settings: SettingsFactory, stream_format: str
) -> None:
    app = create_tts(make_settings(), FakeTtsEngine(fail_at=1))
    body = TWO_SENTENCES.replace(b"{", b'{"stream_format": "%s", ' % stream_format.encode())
    async with client_of(app) as client:
        watch = CountWatch(client)
        await watch.begin()
        if stream_format == "sse":
            assert b"event: error" in b"".join(m.get("body", b"") for m in await raw_post(app, SPEECH_PATH, body))
        else:
            with pytest.raises(RuntimeError):
                await raw_post(app, SPEECH_PATH, body)
        assert await watch.moved() == {
            **failed(SPEECH_PATH, "200", "engine_error", outcome="broken"),
            **first_byte(SPEECH_PATH),
            "queue_wait_seconds_count": 1,
        }


async def test_a_stream_cut_off_by_the_end_of_the_service_is_broken(make_settings: SettingsFactory) -> None:
    gate = Gate(opened=False)
    gate.step_once()
    app = create_tts(make_settings(), FakeTtsEngine(gate=gate))
    async with client_of(app) as client:
        watch = CountWatch(client)
        await watch.begin()
        begun = asyncio.Event()
        answering = asyncio.ensure_future(raw_post(app, SPEECH_PATH, TWO_SENTENCES, begun=begun))
        await begun.wait()
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)
        moved = await watch.moved()
        gate.open()
    assert moved.items() >= failed(SPEECH_PATH, "200", "stopping", outcome="broken").items()


async def test_probes_and_prometheus_itself_are_not_counted(make_settings: SettingsFactory) -> None:
    async with client_of(create_asr(make_settings(), FakeAsrEngine())) as client:
        watch = CountWatch(client)
        await watch.begin()
        for path in ("/health", "/healthz", "/healthcheck", "/status", "/bazarr/status", "/metrics"):
            assert (await client.get(path)).status_code == 200
        assert await watch.moved() == {}


async def test_paths_and_methods_that_clients_make_up_add_no_series(make_settings: SettingsFactory) -> None:
    async with client_of(create_tts(make_settings(), FakeTtsEngine())) as client:

        async def ask(name: str) -> int:
            for path in (f"/{name}", f"/v1/models/{name}", f"/v1/audio/voices/{name}", f"/v1/{name}/{name}"):
                assert (await client.get(path)).status_code == 404
            await client.request(f"X{name.upper()}", f"/{name}")
            return len(samples_in((await client.get("/metrics")).text))

        series = await ask("first")
        assert {await ask(f"name{number}") for number in range(20)} == {series}
