"""The examples in deploy/, with real proxies and a real Prometheus in front of real services."""

import base64
import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import httpx2
import numpy as np
import openai
import pytest
from openai import OpenAI
from openai.types.realtime import (
    ConversationItemInputAudioTranscriptionCompletedEvent as TranscriptionCompleted,
)
from websockets.sync.client import connect

from tests.conftest import ROOT
from tests.deploy.proxies import Proxy, Services, both_services, proxy_process
from tests.support.serving import free_port, wait_until
from tests.support.speech import Sample, decode
from tests.support.wer import english_word_error_rate

SPEECH = "/v1/audio/speech"
LONG_TEXT = " ".join(["This is one of many sentences that take a while to say."] * 20)


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory, model_dir: Path) -> Iterator[Services]:
    with both_services(tmp_path_factory.mktemp("services"), model_dir) as both:
        yield both


@pytest.fixture(params=["nginx", "haproxy"])
def proxy(request: pytest.FixtureRequest, services: Services, tmp_path: Path) -> Iterator[Proxy]:
    with proxy_process(request.param, services, tmp_path) as running:
        yield running


def browser(proxy: Proxy, **options: object) -> httpx.Client:
    return httpx.Client(base_url=proxy.url, verify=proxy.trust, timeout=120, **options)  # type: ignore[arg-type]


def sdk(proxy: Proxy) -> OpenAI:
    return OpenAI(
        base_url=f"{proxy.url}/v1", api_key="unused", max_retries=0, http_client=httpx2.Client(verify=proxy.trust)
    )


def test_one_base_url_of_the_sdk_speaks_and_transcribes(proxy: Proxy, tmp_path: Path) -> None:
    with sdk(proxy) as client:
        spoken = client.audio.speech.create(model="tts-1", voice="alloy", input="Good morning, how are you today?")
        heard = client.audio.transcriptions.create(model="whisper-1", file=("hello.mp3", spoken.content))
        assert "how are you" in heard.text.lower()
        with pytest.raises(openai.NotFoundError, match="nobody"):
            client.audio.speech.create(model="tts-1", voice="nobody", input="Hello.")


# The SDK calls websockets in a way that its newest release calls old.
@pytest.mark.filterwarnings("ignore:connect.. must be used as a context manager:DeprecationWarning")
def test_sessions_over_websockets_pass_both_ways(proxy: Proxy, samples: list[Sample]) -> None:
    sample = next(sample for sample in samples if sample.path.stem == "quick_brown_fox")
    pcm = (decode(sample.path.read_bytes(), 24_000) * 32767).astype("<i2").tobytes()
    options: Any = {"ssl": proxy.trust}  # the SDK hands it on, but has no type for it
    with (
        sdk(proxy) as client,
        client.realtime.connect(
            extra_query={"intent": "transcription"}, websocket_connection_options=options
        ) as realtime,
    ):
        realtime.session.update(session={"type": "transcription", "audio": {"input": {"turn_detection": None}}})
        for start in range(0, len(pcm), 4800):
            realtime.input_audio_buffer.append(audio=base64.b64encode(pcm[start : start + 4800]).decode())
        realtime.input_audio_buffer.commit()
        heard = next(event for event in realtime if isinstance(event, TranscriptionCompleted))
        assert english_word_error_rate([sample.transcript], [heard.transcript]) < 0.2
    with connect(f"wss://127.0.0.1:{proxy.port}{SPEECH}/stream", ssl=proxy.trust) as connection:
        for event in (
            {"type": "input_text.append", "text": "Good morning. How are you?"},
            {"type": "input_text.commit"},
        ):
            connection.send(json.dumps(event))
        types: list[str] = []
        while not types or types[-1] != "speech.audio.done":
            types.append(json.loads(connection.recv(timeout=30))["type"])
        assert types.count("speech.audio.delta") > 1


@pytest.mark.parametrize("more", [{"stream_format": "sse"}, {"response_format": "wav"}], ids=["events", "chunks"])
def test_speech_arrives_while_it_is_made(proxy: Proxy, more: dict[str, str]) -> None:
    with (
        browser(proxy) as client,
        client.stream("POST", SPEECH, json={"input": LONG_TEXT, **more}) as answer,
    ):
        arrived = [time.monotonic() for piece in answer.iter_raw() if piece]
        sent_at = arrived[0]
    assert len(arrived) > 10
    assert arrived[len(arrived) // 2] - sent_at > 0.25 * (arrived[-1] - sent_at) > 0.1


def test_a_film_flows_through_without_being_held(proxy: Proxy, services: Services, samples: list[Sample]) -> None:
    recorded = decode(next(sample for sample in samples if sample.language == "en").path.read_bytes())
    spoken = np.round(recorded * 32767).astype("<i2").tobytes()
    film = spoken + bytes(320 * 10**6 - len(spoken))
    head = b'--B\r\nContent-Disposition: form-data; name="audio_file"; filename="f"\r\n\r\n'
    tail = b"\r\n--B--\r\n"
    half = len(film) // 2
    seen_bytes = 0

    def upload() -> Iterator[bytes]:
        nonlocal seen_bytes
        yield head
        for start in range(0, half, 2**20):
            yield film[start : min(half, start + 2**20)]
        wait_until(lambda: spooled_bytes(services) > 0.8 * half, 60)
        seen_bytes = spooled_bytes(services)
        for start in range(half, len(film), 2**20):
            yield film[start : start + 2**20]
        yield tail

    headers = {
        "content-type": "multipart/form-data; boundary=B",
        "content-length": str(len(head) + len(film) + len(tail)),
    }
    with browser(proxy) as client:
        answer = client.post("/bazarr/detect-language?encode=false", content=upload(), headers=headers)
    assert seen_bytes > 0.8 * half, "the service has it before the rest is sent"
    assert answer.json()["language_code"] == "en"
    assert not list(proxy.folder.glob("bodies/**/*[0-9]")), "nginx kept it"


def spooled_bytes(services: Services) -> int:
    """What the service holds on disk of uploads."""
    total = 0
    for descriptor in Path(f"/proc/{services.asr.process.pid}/fd").iterdir():
        try:
            if "(deleted)" in str(descriptor.readlink()):
                total += descriptor.stat().st_size
        except FileNotFoundError:
            continue
    return total


def test_what_is_too_large_is_told_by_the_proxy_and_by_the_service(proxy: Proxy) -> None:
    with browser(proxy) as client, sdk(proxy) as caller:
        headers = {"content-type": "application/json", "content-length": str(3 * 2**30)}
        lines = [f"POST {SPEECH} HTTP/1.1", "host: 127.0.0.1", *(f"{key}: {value}" for key, value in headers.items())]
        with (
            socket.create_connection(("127.0.0.1", proxy.port)) as plain,
            proxy.trust.wrap_socket(plain, server_hostname="127.0.0.1") as wrapped,
        ):
            wrapped.sendall(("\r\n".join(lines) + "\r\n\r\n{").encode())
            told = wrapped.recv(65536).decode()
        assert "x-request-id" not in told.lower(), "the proxy's own"
        assert told.startswith("HTTP/1.1 413")
        assert '"code": "upload_too_large"' in told
        with pytest.raises(openai.APIStatusError) as refusal:
            caller.audio.speech.create(model="tts-1", voice="alloy", input="x" * 3_000_000)
        assert (refusal.value.status_code, refusal.value.code) == (413, "upload_too_large")
        assert "TTS_MAX_INPUT_CHARS" in refusal.value.message
        assert client.get("/tts/health").status_code == 200


def test_who_hangs_up_ends_the_work(proxy: Proxy, services: Services) -> None:
    with browser(proxy) as client, client.stream("POST", SPEECH, json={"input": LONG_TEXT * 15}) as answer:
        next(answer.iter_raw())
        assert services.tts.health()["active"] == 1
    wait_until(lambda: services.tts.health()["active"] == 0, 10)


def test_the_address_of_a_client_is_what_the_proxy_says_and_not_what_the_client_says(
    proxy: Proxy, services: Services
) -> None:
    spoofed = {"x-forwarded-for": "203.0.113.7", "x-forwarded-proto": "https"}

    def client_of(request_id: str) -> str:
        wait_until(lambda: re.search(rf"\[{request_id}\].* client=", services.tts.log))
        found = re.search(rf"\[{request_id}\].* client=(\S+)", services.tts.log)
        return found[1] if found else ""

    mark = proxy.folder.name.replace("[", "").replace("]", "")
    transport = httpx.HTTPTransport(verify=proxy.trust, local_address="127.0.0.3")
    with browser(proxy, transport=transport) as client:
        client.get("/tts/v1/models", headers={**spoofed, "x-request-id": f"{mark}-behind"})
        moved = client.get("/tts/health/")
        assert moved.headers["location"] == f"{proxy.url.replace(f':{proxy.port}', '')}/tts/health" or (
            moved.headers["location"] == f"{proxy.url}/tts/health"
        )
    assert client_of(f"{mark}-behind") == "127.0.0.3"
    stranger = httpx.HTTPTransport(local_address="127.0.0.2")
    with httpx.Client(base_url=services.tts.base_url, transport=stranger) as client:
        client.get("/v1/models", headers={**spoofed, "x-request-id": f"{mark}-stranger"})
    assert client_of(f"{mark}-stranger") == "127.0.0.2"


def test_documentation_and_health_are_below_each_path_and_metrics_are_not(proxy: Proxy) -> None:
    with browser(proxy) as client:
        for name in ("asr", "tts"):
            assert client.get(f"/{name}/health").json()["service"] == name
            assert f"'/{name}/openapi.json'" in client.get(f"/{name}/docs").text
            assert client.get(f"/{name}/openapi.json").json()["servers"] == [{"url": f"/{name}"}]
            for encoded in ("metrics", "%6detrics", "metric%73"):
                assert client.get(f"/{name}/{encoded}").status_code == 404
        assert client.get("/").status_code == 404
        assert client.get("/bazarr/status").status_code == 200


def test_a_client_that_asks_too_often_gets_429_and_health_none(proxy: Proxy) -> None:
    with sdk(proxy) as caller, browser(proxy) as client:
        with pytest.raises(openai.RateLimitError) as refusal:
            for _ in range(100):
                with pytest.raises(openai.BadRequestError):
                    caller.audio.speech.create(model="tts-1", voice="alloy", input="")
        assert refusal.value.code == "rate_limit_exceeded"
        assert refusal.value.response.headers["retry-after"] == "2"
        assert [client.get("/tts/health").status_code for _ in range(50)] == [200] * 50


@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
def test_a_service_that_is_away_is_told_as_unavailable(kind: str, services: Services, tmp_path: Path) -> None:
    class Away:
        base_url = f"http://127.0.0.1:{free_port()}"

    away = Services(services.asr, Away())  # type: ignore[arg-type]
    with proxy_process(kind, away, tmp_path) as proxy, sdk(proxy) as caller:
        with pytest.raises(openai.InternalServerError) as refusal:
            caller.audio.speech.create(model="tts-1", voice="alloy", input="Hello.")
        assert (refusal.value.status_code, refusal.value.code) == (503, "unavailable")
        assert refusal.value.response.headers["retry-after"] == "5"
        assert caller.models.list().data


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="Prometheus is not installed")
def test_prometheus_takes_what_both_services_tell(services: Services, tmp_path: Path) -> None:
    config = (ROOT / "deploy/prometheus/scrape.yml").read_text()
    for name, before in (("asr", "localhost:5001"), ("tts", "localhost:5002")):
        url: str = getattr(services, name).base_url
        scraped = httpx.get(f"{url}/metrics").content
        checked = subprocess.run(["promtool", "check", "metrics"], input=scraped, capture_output=True, timeout=60)
        assert (checked.returncode, checked.stderr) == (0, b"")
        config = config.replace(before, url.removeprefix("http://"))
    (tmp_path / "prometheus.yml").write_text(config)
    address = f"127.0.0.1:{free_port()}"
    command = ["prometheus", f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([*command, f"--web.listen-address={address}"], stdout=log, stderr=log)

    def ask(query: str) -> list[str]:
        try:
            answer = httpx.get(f"http://{address}/api/v1/query", params={"query": query})
        except httpx.TransportError:
            return []
        if answer.status_code != 200:
            return []
        return [each["value"][1] for each in json.loads(answer.text)["data"]["result"]]

    try:
        wait_until(lambda: ask("up") == ["1", "1"], 40)
        assert ask('voice_stack_model_state{state="ok"}') == ["1", "1"]
    finally:
        process.terminate()
        process.wait(30)
