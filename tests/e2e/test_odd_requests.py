"""Requests that no library would send: each gets a short, clear error, and nothing odd gets into the log."""

import http.client
import json
import re
import socket
import threading
import time
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.support.raw_http import BOUNDARY, RawClient, upload_form
from tests.support.serving import ServiceProcess, service_process
from tests.support.speech import wav_bytes

LONGEST_ERROR = 8000
"""In bytes: what was wrong, not all of it."""

HUGE = "x" * 900_000


def exchange(service: ServiceProcess, request: bytes) -> tuple[int, bytes]:
    """Write bytes to a socket; returns the status and body of the answer."""
    with socket.create_connection(("127.0.0.1", int(service.base_url.rpartition(":")[2])), timeout=20) as connection:
        connection.sendall(request)
        with http.client.HTTPResponse(connection) as answer:
            answer.begin()
            return answer.status, answer.read()


def test_an_error_does_not_repeat_all_of_what_was_sent(asr: ServiceProcess, tts: ServiceProcess) -> None:
    speech = {"model": "tts-1", "voice": "alloy", "input": "Hello."}
    audio = wav_bytes(np.zeros(16_000, np.float32))
    with httpx.Client(timeout=60) as client:
        for name in ("model", "voice", "language"):
            answer = client.post(f"{tts.base_url}/v1/audio/speech", json={**speech, name: HUGE})
            assert answer.status_code in {400, 404}, name
            assert len(answer.content) < LONGEST_ERROR, (name, len(answer.content))
        for name in ("model", "language", "response_format", "temperature"):
            answer = client.post(
                f"{asr.base_url}/v1/audio/transcriptions", files={"file": ("a.wav", audio)}, data={name: HUGE}
            )
            assert answer.status_code in {400, 404}, name
            assert len(answer.content) < LONGEST_ERROR, (name, len(answer.content))
        answer = client.get(f"{asr.base_url}/v1/models/{HUGE[:20_000]}")
        assert answer.status_code == 404
        assert len(answer.content) < LONGEST_ERROR


@pytest.mark.parametrize("text", ["①", "ᏣᎳᎩ", "\u02bb"], ids=ascii)
def test_a_text_of_characters_that_the_voice_does_not_know_is_the_clients_error(tts: ServiceProcess, text: str) -> None:
    answer = httpx.post(f"{tts.base_url}/v1/audio/speech", json={"input": text, "voice": "alloy"}, timeout=60)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "input"


def test_a_huge_body_for_speech_is_refused_and_holds_nothing_up(tts: ServiceProcess) -> None:
    body = b'{"input": "Hello.", "voice": "alloy", "instructions": "' + b"x " * (50 * 2**20) + b'"}'
    before_mb = tts.memory_mb()
    statuses: list[int] = []

    def post() -> None:
        headers = {"content-type": "application/json"}
        answer = httpx.post(f"{tts.base_url}/v1/audio/speech", content=body, headers=headers, timeout=60)
        statuses.append(answer.status_code)

    poster = threading.Thread(target=post)
    poster.start()
    slowest_s = 0.0
    while poster.is_alive():
        asked_at = time.perf_counter()
        tts.health()
        slowest_s = max(slowest_s, time.perf_counter() - asked_at)
        time.sleep(0.02)
    grown_mb = tts.memory_mb() - before_mb
    print(f"100 MB of JSON: {statuses}, health within {1000 * slowest_s:.0f} ms, memory {grown_mb:+.0f} MB")
    assert statuses == [413]
    assert slowest_s < 0.25
    assert grown_mb < 20


def test_broken_http_is_answered_with_400(asr: ServiceProcess, tts: ServiceProcess) -> None:
    post = b"POST /v1/audio/speech HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
    for request in (
        b"\x00\x01\x02\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00" + bytes(100),  # the beginning of TLS
        b"GET /healthz HTTP/1.1\r\n\r\n",  # no host
        post + b"Content-Length: many\r\n\r\n",
        post + b"Content-Length: -5\r\n\r\n",
        post + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        post + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhi\r\n",
        post.replace(b"application/json", b"\xff\xfe/\xfd") + b"Content-Length: 2\r\n\r\n{}",
        post + b"Content-Length: 0\r\n\r\n",
    ):
        for service in (asr, tts):
            status, body = exchange(service, request)
            assert status in {400, 404}, (request, status)
            assert b"Traceback" not in body


def test_what_clients_send_puts_no_control_character_into_the_log(asr: ServiceProcess, tts: ServiceProcess) -> None:
    for service in (asr, tts):
        assert exchange(service, b"GET /%00%1b[2J%0d%0aforged%c2%9b HTTP/1.1\r\nHost: a\r\n\r\n")[0] == 404
        forged = b"GET /forged HTTP/1.1\r\nHost: a\r\nX-Request-ID: \x80\xff evil\r\n\r\n"
        assert exchange(service, forged)[0] == 404
        assert "forged" in service.log
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", service.log)


def test_an_upload_over_the_limit_is_answered_after_a_little_more_than_the_limit(
    tmp_path: Path, model_dir: Path
) -> None:
    env = {"MODEL_DIR": str(model_dir), "MAX_UPLOAD_MB": "1"}
    with service_process("asr", tmp_path, env=env) as service:
        declared = RawClient(service.base_url)
        declared.begin("/v1/audio/transcriptions", f"multipart/form-data; boundary={BOUNDARY}", 100 * 2**20)
        status, body = declared.answer()
        assert (status, json.loads(body)["error"]["code"]) == (413, "upload_too_large")
        endless = RawClient(service.base_url)
        form = upload_form(bytes(2**20))
        endless.socket.sendall(
            b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n"
            + f"Content-Type: {form.content_type}\r\n\r\n".encode()
        )
        piece = form.body[: 2**16]
        sent = 0
        endless.socket.settimeout(0.05)
        answer = b""
        while b"\r\n\r\n" not in answer and sent < 100 * 2**20:
            endless.socket.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            sent += len(piece)
            piece = bytes(2**16)
            try:
                answer += endless.socket.recv(65536)
            except TimeoutError:
                continue
        endless.hang_up()
        print(f"refused after {sent / 2**20:.1f} MiB")
        assert answer.startswith(b"HTTP/1.1 413")
        assert sent < 3 * 2**20


def test_no_telemetry_is_collected(asr: ServiceProcess, tts: ServiceProcess) -> None:
    # ONNX Runtime keeps what it is about to send to its maker in a database.
    for service in (asr, tts):
        httpx.get(f"{service.base_url}/health")
        assert [file for file in service.open_files() if "onnxruntime.db" in file] == []
