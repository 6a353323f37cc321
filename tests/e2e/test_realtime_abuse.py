"""Clients of realtime sessions that do what they should not: told so, and nobody else feels it."""

import base64
import contextlib
import json
import os
import socket
import statistics
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from websockets.exceptions import ConnectionClosed

from tests.e2e.test_hang_ups import GIVES_BACK, Holdings
from tests.support.realtime import TRANSCRIPTION, RealtimeClient, pcm, realtime
from tests.support.serving import ServiceProcess, service_process, wait_until
from tests.support.speech import decode

IDLE_S = 3
SILENCE = bytes(48_000)
GROWTH_MB = 50.0
FLOOD_S = 5.0
SLOWER = 8
"""How much longer a session may take beside two that never stop sending: each has its turn, with two utterances."""

HANDSHAKE = (
    b"GET /v1/realtime HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


@pytest.fixture(scope="module")
def fox(speech_dir: Path) -> NDArray[np.float32]:
    return decode((speech_dir / "en" / "quick_brown_fox.wav").read_bytes())


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory, model_dir: Path, fox: NDArray[np.float32]
) -> Iterator[ServiceProcess]:
    """The real service, with a small model and little patience; after all tests it holds what it held before."""
    env = {"MODEL_DIR": str(model_dir), "ASR_MODEL": "tiny.en", "SESSION_IDLE_S": str(IDLE_S), **GIVES_BACK}
    with service_process("asr", tmp_path_factory.mktemp("abused"), env=env) as service:
        for _ in range(3):
            vanish(service, fox)
        before = Holdings.of(service)
        yield service
        after = Holdings.of(service)
        print(f"memory {before.memory_mb:.0f} -> {after.memory_mb:.0f} MB, threads {before.threads} -> {after.threads}")
        assert after.memory_mb - before.memory_mb < GROWTH_MB
        assert after.threads <= before.threads
        assert after.files == before.files
        assert after.sockets == before.sockets


@pytest.fixture
def transcribe(service: ServiceProcess, fox: NDArray[np.float32]) -> Callable[[], float]:
    """A session as it should be; gives how many seconds it took."""

    def run() -> float:
        began_at = time.monotonic()
        with realtime(service.base_url, timeout_s=60) as client:
            client.append(pcm(fox) + SILENCE)
            assert "fox" in client.next(f"{TRANSCRIPTION}.completed")["transcript"]
        return time.monotonic() - began_at

    return run


@pytest.fixture(autouse=True)
def unharmed(service: ServiceProcess, transcribe: Callable[[], float]) -> Iterator[None]:
    """After the abuse nothing goes on any more, another session does, and the log has nothing to say of it."""
    logged = len(service.log)
    yield
    wait_until(lambda: is_idle(service), 20)
    transcribe()
    for word in ("Traceback", "ERROR", "unexpected"):
        assert word not in service.log[logged:], service.log[logged:]


def is_idle(service: ServiceProcess) -> bool:
    health = service.health()
    return (health["active"], health["queue_depth"], health["sessions"]) == (0, 0, 0)


@contextlib.contextmanager
def handshaken(service: ServiceProcess) -> Iterator[socket.socket]:
    address = ("127.0.0.1", int(service.base_url.rpartition(":")[2]))
    with socket.create_connection(address, timeout=20) as connection:
        connection.sendall(HANDSHAKE)
        assert connection.recv(12) == b"HTTP/1.1 101"
        yield connection


def frame(payload: bytes, *, opcode: int = 1, length: int | None = None) -> bytes:
    """A masked frame, with a mask of zeros; ``length`` is what its head says."""
    head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, len(payload) if length is None else length)
    return head + bytes(4) + payload


def everything_after(connection: socket.socket) -> bytes:
    """All that comes until the service closes the connection, or says that it does."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while b"session_expired" not in received and (piece := connection.recv(65_536)):
            received += piece
    return received


def test_garbage_is_answered_with_errors_and_the_session_goes_on(
    service: ServiceProcess, fox: NDArray[np.float32]
) -> None:
    with realtime(service.base_url) as client:
        assert client.receive()["type"] == "session.created"
        texts = ("garbage", "", "[]", "5", "null", '"text"', '{"type": 5}', "{}", "{" * 100_000, "\0", '{"type": "x"')
        for text in (*texts, json.dumps({"type": "\ud800"}), json.dumps({"type": "y" * 100_000})):
            client.connection.send(text)
            error = client.receive()
            assert error["type"] == "error"
            assert len(error["error"]["message"]) < 500
        client.connection.send(os.urandom(1000))
        assert client.receive()["error"]["code"] == "invalid_event"
        audio: object
        for audio in (None, 5, "?", "AAA", {"a": []}, "x" * 2**20 + "?"):
            client.send("input_audio_buffer.append", audio=audio, event_id="mine")
            assert client.receive()["error"]["event_id"] == "mine"
        client.append(pcm(fox) + SILENCE)
        assert "fox" in client.next(f"{TRANSCRIPTION}.completed")["transcript"]


def test_a_message_of_more_than_16_mib_ends_the_session(service: ServiceProcess) -> None:
    with realtime(service.base_url) as client, contextlib.suppress(ConnectionClosed):
        client.receive()
        client.send("input_audio_buffer.append", audio="A" * 17 * 2**20)
        client.receive()
    assert client.close_code() == 1009


def test_fifteen_megabytes_in_one_event_are_heard(service: ServiceProcess, fox: NDArray[np.float32]) -> None:
    with realtime(service.base_url, timeout_s=60) as client:
        data = pcm(fox) + bytes(11 * 10**6)
        client.send("input_audio_buffer.append", audio=base64.b64encode(data).decode())
        assert "fox" in client.next(f"{TRANSCRIPTION}.completed")["transcript"]
        client.send("input_audio_buffer.clear")
        client.next("input_audio_buffer.cleared")


def test_half_a_frame_and_then_nothing_ends_with_the_session_s_patience(service: ServiceProcess) -> None:
    with handshaken(service) as connection:
        connection.sendall(frame(b'{"type":', length=1000))
        assert b"session_expired" in everything_after(connection)


def test_half_a_handshake_does_not_stay(service: ServiceProcess) -> None:
    address = ("127.0.0.1", int(service.base_url.rpartition(":")[2]))
    with socket.create_connection(address, timeout=20) as connection:
        connection.sendall(HANDSHAKE[:60])
        time.sleep(0.2)
        assert service.health()["sessions"] == 0


def test_a_frame_that_is_none_ends_the_connection(service: ServiceProcess) -> None:
    for rubbish in (b"\xff" * 100, frame(b"\xff\xfe"), frame(b"x", opcode=11), b"GET / HTTP/1.1\r\n\r\n"):
        with handshaken(service) as connection:
            connection.sendall(rubbish)
            connection.shutdown(socket.SHUT_WR)
            everything_after(connection)


def test_a_session_without_audio_expires(service: ServiceProcess) -> None:
    with realtime(service.base_url) as client:
        began_at = time.monotonic()
        assert client.next("error")["error"]["code"] == "session_expired"
        assert client.close_code() == 1000
        assert IDLE_S - 0.5 < time.monotonic() - began_at < IDLE_S + 3


def flood(client: RealtimeClient, data: bytes, ended: threading.Event) -> None:
    with contextlib.suppress(ConnectionClosed):
        while not ended.is_set():
            client.append(data)


def test_audio_without_end_is_taken_as_fast_as_it_is_heard_and_others_take_turns(
    service: ServiceProcess, transcribe: Callable[[], float], fox: NDArray[np.float32]
) -> None:
    alone_s = statistics.median(transcribe() for _ in range(3))
    before_mb = service.memory_mb()
    ended = threading.Event()
    data = pcm(np.concatenate([fox, np.zeros(12_000, np.float32)]))
    beside_s, health_s, memory_mb = [], [], []
    with contextlib.ExitStack() as sessions:
        floods = [sessions.enter_context(realtime(service.base_url, timeout_s=60)) for _ in range(2)]
        for client in floods:
            threading.Thread(target=flood, args=(client, data, ended), daemon=True).start()
        # The other one reads nothing.
        threading.Thread(target=floods[0].close_code, daemon=True).start()
        until = time.monotonic() + FLOOD_S
        while time.monotonic() < until:
            beside_s.append(transcribe())
            asked_at = time.monotonic()
            assert service.health()["sessions"] >= 2
            health_s.append(time.monotonic() - asked_at)
            memory_mb.append(service.memory_mb())
        ended.set()
        for client in floods:
            client.connection.socket.shutdown(socket.SHUT_RDWR)
    median_s = statistics.median(beside_s)
    print(f"alone {alone_s:.2f} s, beside two floods {median_s:.2f} s, health {max(health_s) * 1000:.0f} ms at most")
    print(f"memory {before_mb:.0f} -> {max(memory_mb):.0f} MB")
    assert max(memory_mb) - before_mb < GROWTH_MB
    assert max(health_s) < 1
    assert median_s < SLOWER * alone_s + 1


def vanish(service: ServiceProcess, fox: NDArray[np.float32]) -> None:
    """Six clients whose connections are reset while they are heard."""
    audio = base64.b64encode(pcm(np.tile(fox, 5))).decode()
    event = json.dumps({"type": "input_audio_buffer.append", "audio": audio}).encode()
    with contextlib.ExitStack() as clients:
        connections = [clients.enter_context(handshaken(service)) for _ in range(6)]
        for connection in connections:
            connection.sendall(frame(event))
        wait_until(lambda: service.health()["active"] > 0)
        for connection in connections:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wait_until(lambda: is_idle(service), 10)


def test_clients_that_vanish_while_they_are_heard_leave_nothing(
    service: ServiceProcess, fox: NDArray[np.float32]
) -> None:
    threads = service.threads()
    for _ in range(3):
        vanish(service, fox)
    assert service.threads() <= threads
