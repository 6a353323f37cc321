"""What an attacker would try, against the real services: refused, survived, and nothing of it in the log."""

import contextlib
import json
import socket
import time
from collections.abc import Iterator

import httpx
import numpy as np
import pytest

from tests.e2e.test_odd_requests import exchange
from tests.support.serving import ServiceProcess
from tests.support.speech import wav_bytes

SPEAK = "/v1/audio/speech"
TRANSCRIBE = "/v1/audio/transcriptions"
SECRET = "canaryword"
WAV = wav_bytes(np.zeros(16_000, np.float32))

NAMES = [
    "../../../../etc/passwd",
    "..%2f..%2f..%2fetc%2fpasswd",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "....//....//etc/passwd",
    "/etc/passwd",
    "/proc/self/environ",
    "/dev/zero",
    "file:///etc/passwd",
    "http://127.0.0.1:1/model.bin",
    "C:\\Windows\\win.ini",
    "\\\\host\\share\\voice",
    "passwd\0.wav",
    "passwd\r\n2026-01-01 00:00:00.000 INFO [-] forged: line",
    "~root/.ssh/id_rsa",
    "$(touch /tmp/owned)",
    "; touch /tmp/owned",
    "\uff0e\uff0e\uff0fetc\uff0fpasswd",
    "\u2025/\u2025/etc/passwd",
    "n" * 5000,
    ".",
    "..",
    "con",
]


@pytest.fixture
def unharmed(asr: ServiceProcess, tts: ServiceProcess) -> Iterator[None]:
    """Both services run on afterwards as before: no error, no file left open, no memory gone, nothing in the log."""
    services = (asr, tts)
    before = [(len(service.log), service.memory_mb()) for service in services]
    yield
    for service, (logged, memory_mb) in zip(services, before, strict=True):
        health = service.health()
        assert (health["status"], health["active"], health["queue_depth"]) == ("ok", 0, 0)
        log = service.log[logged:]
        for word in ("unexpected error", "Traceback", "ERROR", SECRET):
            assert word not in log, word
        assert not [line for line in log.splitlines() if line.startswith("2026-01-01 ")]
        assert "/etc/passwd" not in service.open_files()
        assert service.memory_mb() - memory_mb < 100


@pytest.mark.usefixtures("unharmed")
def test_no_name_reaches_a_file(asr: ServiceProcess, tts: ServiceProcess) -> None:
    with httpx.Client(timeout=60) as client:
        for name in NAMES:
            send_everywhere(client, asr, tts, name)


def send_everywhere(client: httpx.Client, asr: ServiceProcess, tts: ServiceProcess, name: str) -> None:
    speech = {"model": "tts-1", "voice": "alloy", "input": "Hello.", "response_format": "pcm"}
    quoted = "".join(f"%{byte:02x}" for byte in name.encode())
    file = {"file": (name.replace("\0", "")[:1000], WAV)}
    for url in (f"{asr.base_url}/v1/models", f"{tts.base_url}/v1/models", f"{tts.base_url}/v1/audio/voices"):
        found = client.get(f"{url}/{quoted}")
        assert found.status_code == 404
        assert "root:" not in found.text
    deleted = client.delete(f"{tts.base_url}/v1/audio/voices/{quoted}")
    assert deleted.status_code in {400, 404, 405}
    for key, statuses in (("voice", {404}), ("model", {404}), ("language", {400})):
        answer = client.post(f"{tts.base_url}{SPEAK}", json={**speech, key: name})
        assert answer.status_code in statuses, (key, answer.text)
        assert len(answer.content) < 2000
    for key, status in (("model", 404), ("language", 400)):
        answer = client.post(f"{asr.base_url}{TRANSCRIBE}", files=file, data={key: name})
        assert answer.status_code == status, (key, answer.text)
        assert "root:" not in answer.text
    film = client.post(f"{asr.base_url}/bazarr/asr", params={"video_file": name, "output": "srt"}, files=file)
    assert (film.status_code, film.text) == (200, "\n")


def head(path: str, kind: str, length: int) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n".encode()


def part(disposition: str, body: bytes = b"1") -> bytes:
    return b"--x\r\nContent-Disposition: " + disposition.encode("latin-1") + b"\r\n\r\n" + body + b"\r\n"


FILE = part('form-data; name="file"; filename="a.wav"', WAV)
END = b"--x--\r\n"
FORMS: dict[str, tuple[bytes, str, set[int]]] = {
    "no boundary": (FILE + END, "multipart/form-data", {400}),
    "a boundary of 10 kB": (FILE + END, f"multipart/form-data; boundary={'x' * 10_000}", {400}),
    "an empty boundary": (FILE + END, 'multipart/form-data; boundary=""', {400}),
    "two boundaries": (FILE + END, "multipart/form-data; boundary=y; boundary=x", {200, 400}),
    "an unknown charset": (FILE + END, "multipart/form-data; boundary=x; charset=zip", {200, 400}),
    "5000 fields": (part('form-data; name="f"') * 5000 + FILE + END, "", {400}),
    "no name": (part("form-data") + FILE + END, "", {400}),
    "no disposition": (b"--x\r\n\r\n1\r\n" + FILE + END, "", {400}),
    "nested": (
        part("form-data", b'--y\r\nContent-Disposition: form-data; name="file"\r\n\r\n1\r\n--y--') + END,
        "",
        {400},
    ),
    "a file of the name of a path": (
        part('form-data; name="file"; filename="../../etc/cron.d/x"', WAV) + END,
        "",
        {200},
    ),
    "a file with NUL in its name": (part('form-data; name="file"; filename="a\0b"', WAV) + END, "", {200, 400}),
    "a file name of 100 kB": (part(f'form-data; name="file"; filename="{"n" * 100_000}"', WAV) + END, "", {200, 400}),
    "5 MB without a file name": (part('form-data; name="file"', bytes(5 * 2**20)) + END, "", {400}),
    "a field of 5 MB": (FILE + part('form-data; name="prompt"', b"p" * 5 * 2**20) + END, "", {400}),
    "no end": (FILE[:-2], "", {400}),
    "a preamble of 5 MB": (b"p" * 5 * 2**20 + b"\r\n" + FILE + END, "", {400}),
    "an epilogue of 5 MB": (FILE + END + b"p" * 5 * 2**20, "", {200, 400}),
    "a file twice": (FILE + FILE + END, "", {200, 400}),
    "a header without end": (b"--x\r\nContent-Disposition: " + b"a" * 2**20, "", {400}),
    "2000 headers": (b"--x\r\n" + b"A: b\r\n" * 2000 + b"\r\n1\r\n" + END, "", {400}),
}


@pytest.mark.usefixtures("unharmed")
def test_forms_that_were_built_to_harm(asr: ServiceProcess) -> None:
    for form, (body, kind, statuses) in FORMS.items():
        status, answer = exchange(asr, head(TRANSCRIBE, kind or "multipart/form-data; boundary=x", len(body)) + body)
        assert status in statuses, (form, answer[:300])
        if status >= 400:
            assert set(json.loads(answer)["error"]) == {"message", "type", "param", "code"}
            assert len(answer) < 1000


GOOD = '"model": "tts-1", "voice": "alloy", "response_format": "pcm"'
JSONS = {
    "100,000 levels": (b"[" * 100_000, 400),
    "100,000 levels in a field": (b'{"input": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}", 400),
    "NaN": (b'{"input": "Hello.", "speed": NaN}', 400),
    "infinity": (b'{"input": "Hello.", "speed": 1e999}', 400),
    "a seed of 5000 digits": (b'{"input": "Hello.", "seed": ' + b"9" * 5000 + b"}", 400),
    "a lone surrogate": (b'{"input": "\\ud800", "voice": "alloy"}', 400),
    "a lone surrogate in a name": (b'{"input": "Hello.", "voice": "\\udfff"}', 404),
    "a key twice": (f'{{"input": "../../etc", "input": "Hello.", {GOOD}}}'.encode(), 200),
    "an unknown key": (f'{{"input": "Hello.", "__class__": {{"x": 1}}, {GOOD}}}'.encode(), 200),
    "a text of 1 MB": (f'{{"input": "{"word " * 200_000}", {GOOD}}}'.encode(), 400),
    "instructions of 1 MB": (f'{{"input": "Hello.", "instructions": "{"i" * 2**20}", {GOOD}}}'.encode(), 200),
    "a body of 10 MB": (b'{"input": "' + b"x" * 10 * 2**20 + b'"}', 413),
    "UTF-16": ('{"input": "Hello."}'.encode("utf-16"), 200),
    "a bomb of one letter": (f'{{"input": "{"a" * 90_000}", {GOOD}, "language": "xx"}}'.encode(), 400),
}


@pytest.mark.usefixtures("unharmed")
def test_json_that_was_built_to_harm(tts: ServiceProcess) -> None:
    with httpx.Client(base_url=tts.base_url, timeout=60) as client:
        for content, (body, expected) in JSONS.items():
            answer = client.post(SPEAK, content=body, headers={"content-type": "application/json"})
            assert answer.status_code == expected, (content, answer.text[:300])


@pytest.mark.usefixtures("unharmed")
def test_huge_prompts_cost_no_more_than_a_short_one(asr: ServiceProcess) -> None:
    for name in ("prompt", "hotwords", "keywords[]", "language", "chunking_strategy"):
        began_at = time.monotonic()
        data = {name: f"{SECRET} " * 90_000}
        answer = httpx.post(f"{asr.base_url}{TRANSCRIBE}", files={"file": ("a.wav", WAV)}, data=data, timeout=60)
        assert answer.status_code in {200, 400}, name
        assert len(answer.content) < 2000
        assert time.monotonic() - began_at < 20


GET = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"


HEADS: list[tuple[bytes, list[int]]] = [
    (
        head(SPEAK, "application/json", 5).replace(b"Host", b"Transfer-Encoding: chunked\r\nHost") + b"0\r\n\r\n",
        [400],
    ),
    (b"GET http://evil.example/healthz HTTP/1.1\r\nHost: a\r\n\r\n" + GET, [404, 200]),
    (b"GET /healthz HTTP/1.0\r\n\r\n" + GET, [200]),
    (b"GET /../../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n" + GET, [404, 200]),
    (b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n" + GET, [404, 200]),
    (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n" + GET, [404, 200]),
    (b"CONNECT evil.example:443 HTTP/1.1\r\nHost: a\r\n\r\n", [404]),
    (b"TRACE /healthz HTTP/1.1\r\nHost: a\r\nCookie: b\r\n\r\n" + GET, [405, 200]),
    (b"GET /healthz HTTP/1.1\r\nHost: a\r\n" + b"Cookie: a=b\r\n" * 3000 + b"\r\n" + GET, [200, 200]),
    (GET * 500, [200] * 500),
]


@pytest.mark.usefixtures("unharmed")
def test_request_lines_and_heads_that_were_built_to_harm(asr: ServiceProcess) -> None:
    for request, statuses in HEADS:
        received = everything_said(asr, request, len(statuses))
        assert [int(piece[:3]) for piece in received.split(b"HTTP/1.1 ")[1:]] == statuses, request[:100]
        assert b"root:" not in received


def everything_said(service: ServiceProcess, request: bytes, answers: int) -> bytes:
    address = ("127.0.0.1", int(service.base_url.rpartition(":")[2]))
    received = b""
    with socket.create_connection(address, timeout=20) as connection, contextlib.suppress(ConnectionResetError):
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        while received.count(b"HTTP/1.1 ") < answers or not received.endswith(b"}"):
            if not (piece := connection.recv(2**16)):
                break
            received += piece
    return received


@pytest.mark.usefixtures("unharmed")
def test_two_thousand_idle_connections_keep_nobody_out(asr: ServiceProcess) -> None:
    address = ("127.0.0.1", int(asr.base_url.rpartition(":")[2]))
    with contextlib.ExitStack() as crowd:
        for number in range(2000):
            idle = crowd.enter_context(socket.create_connection(address, timeout=20))
            if number % 2:
                idle.sendall(b"GET / HTTP/1.1\r\nX-Slow: ")
        began_at = time.monotonic()
        answer = httpx.post(f"{asr.base_url}{TRANSCRIBE}", files={"file": ("a.wav", WAV)}, timeout=60)
        assert answer.status_code == 200
        print(f"answered after {time.monotonic() - began_at:.2f} s, {asr.open_sockets()} sockets open")
        assert asr.open_sockets() < 1100
