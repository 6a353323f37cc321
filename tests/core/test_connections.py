"""What a connection may hold up, on real sockets, with each of the parsers that uvicorn may choose."""

import asyncio
import json
import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from tests.support.serving import wait_until
from voice_stack.core.connections import (
    MAX_HEAD_BYTES,
    SPARE_DESCRIPTORS,
    Connections,
    _Limits,
    affordable_connections,
)

GET = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n"
SHORT_S = 0.25
MOST = 100
LARGE = 20_000_000


class App:
    """Reads each request; ``/wait`` is answered when it is told to, ``/stream`` never ends."""

    def __init__(self, limits: Connections) -> None:
        self.limits = limits
        self.go_on = threading.Event()
        self.reset()

    def reset(self) -> None:
        """As if nothing had been asked yet."""
        self.go_on.clear()
        self.waiting = 0
        self.ends: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            scope["state"].update(self.limits.state)
            for what in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{what}.complete"})
            return
        try:
            self.ends.append(await self._answer(scope, receive, send))
        except asyncio.CancelledError:
            self.ends.append("cancelled")

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> str:
        while (message := await receive())["type"] == "http.request" and message["more_body"]:
            pass
        if message["type"] == "http.disconnect":
            return "client left"
        if scope["path"] == "/wait":
            self.waiting += 1
            while not self.go_on.is_set():
                await asyncio.sleep(0.01)
        body = bytes(LARGE) if scope["path"] == "/large" else b"hello"
        length = [] if scope["path"] == "/stream" else [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": length})
        leaving = asyncio.ensure_future(receive())
        while scope["path"] == "/stream" and not leaving.done():
            await send({"type": "http.response.body", "body": bytes(2**16), "more_body": True})
            await asyncio.sleep(0)
        if leaving.done():
            return "client left"
        leaving.cancel()
        await send({"type": "http.response.body", "body": body, "more_body": False})
        return "answered"


def limited(name: str) -> type[asyncio.Protocol]:
    """The limits, mixed into one of uvicorn's protocols."""
    if name == "h11":
        return type("LimitedH11", (_Limits, H11Protocol), {})
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    return type("LimitedHttpTools", (_Limits, HttpToolsProtocol), {})


@pytest.fixture(scope="module", params=["h11", *(["httptools"] if find_spec("httptools") else [])])
def server(request: pytest.FixtureRequest) -> Iterator[tuple[int, App]]:
    """An app under short limits, served with the parser at hand; and its port."""
    app = App(Connections(most=MOST, stall_s=SHORT_S, head_s=SHORT_S))
    config = uvicorn.Config(
        app, log_config=None, http=limited(request.param), h11_max_incomplete_event_size=MAX_HEAD_BYTES
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            wait_until(lambda: server.started)
            yield listener.getsockname()[1], app
        finally:
            app.go_on.set()
            server.should_exit = True
            thread.join(20)
    assert not thread.is_alive()


@pytest.fixture
def app(server: tuple[int, App]) -> Iterator[App]:
    app = server[1]
    app.reset()
    yield app
    app.go_on.set()
    app.limits.most = MOST


@pytest.fixture
def port(server: tuple[int, App]) -> int:
    return server[0]


@contextmanager
def connected(port: int, first: bytes = b"") -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(first)
        yield client


def everything(client: socket.socket) -> bytes:
    """What arrives until the other side closes."""
    received = b""
    try:
        while piece := client.recv(2**16):
            received += piece
    except ConnectionResetError:
        pass
    return received


def error_of(answer: bytes) -> dict[str, Any]:
    error: dict[str, Any] = json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
    return error


def test_a_connection_that_says_nothing_is_closed(app: App, port: int) -> None:
    with connected(port) as client:
        began_at = time.monotonic()
        assert everything(client) == b""
        assert SHORT_S < time.monotonic() - began_at < 5


def test_a_head_that_arrives_a_byte_at_a_time_is_refused_in_time(app: App, port: int) -> None:
    with connected(port, b"GET / HTTP/1.1\r\n") as client:
        client.settimeout(0.02)
        answer = b""
        began_at = time.monotonic()
        while b"}}" not in answer and time.monotonic() - began_at < 5:
            client.sendall(b"X")
            try:
                answer += client.recv(4096)
            except TimeoutError:
                continue
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert error_of(answer)["code"] == "request_stalled"


def test_the_next_head_of_a_connection_has_as_long_and_a_pause_before_it_does_not_count(app: App, port: int) -> None:
    with connected(port, GET) as client:
        while b"hello" not in client.recv(4096):
            pass
        time.sleep(2 * SHORT_S)
        client.sendall(GET[:10])
        time.sleep(SHORT_S / 3)
        client.sendall(GET[10:])
        while b"hello" not in client.recv(4096):
            pass
        client.sendall(GET[:10])
        assert everything(client).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("line", [b"X-Long: " + b"a" * 2**20, b"GET /" + b"a" * 2**20, b"a: b\r\n" * 2**17])
def test_a_head_without_end_is_refused(app: App, port: int, line: bytes) -> None:
    with connected(port) as client:
        with suppress(ConnectionResetError, BrokenPipeError):
            client.sendall((b"" if line.startswith(b"GET") else b"GET / HTTP/1.1\r\n") + line)
        assert everything(client)[:12] in {b"HTTP/1.1 431", b"HTTP/1.1 400", b""}
        assert app.ends == []


def test_an_upload_that_stops_is_ended_with_408(app: App, port: int) -> None:
    with connected(port, POST + b"12345") as client:
        answer = everything(client)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert error_of(answer)["code"] == "request_stalled"
        wait_until(lambda: app.ends == ["client left"])


def test_an_upload_that_is_slow_but_goes_on_is_taken(app: App, port: int) -> None:
    with connected(port, POST) as client:
        for _ in range(10):
            time.sleep(SHORT_S / 5)
            client.sendall(b"1")
        assert client.recv(4096).startswith(b"HTTP/1.1 200 ")


def test_a_client_that_waits_to_be_told_to_send_or_for_its_answer_is_not_cut_off(app: App, port: int) -> None:
    with connected(port, GET.replace(b"/ ", b"/wait ")) as client:
        time.sleep(3 * SHORT_S)
        app.go_on.set()
        assert client.recv(4096).startswith(b"HTTP/1.1 200 ")


def test_a_reader_that_takes_nothing_is_cut_off(app: App, port: int) -> None:
    with connected(port, GET.replace(b"/ ", b"/stream ")):
        wait_until(lambda: app.ends == ["client left"], 10)


def test_a_reader_that_is_slow_but_goes_on_is_served(app: App, port: int) -> None:
    with connected(port, GET.replace(b"/ ", b"/stream ")) as client:
        until = time.monotonic() + 4 * SHORT_S
        while time.monotonic() < until:
            assert client.recv(2**20)
            time.sleep(0.02)
        assert app.ends == []


def test_one_connection_too_many_ends_the_oldest_idle_one(app: App, port: int) -> None:
    with connected(port, GET.replace(b"/ ", b"/wait ")) as busy:
        app.limits.most = 3
        wait_until(lambda: app.waiting == 1)
        with connected(port) as oldest, connected(port) as younger, connected(port, GET) as one_more:
            assert one_more.recv(4096).startswith(b"HTTP/1.1 200 ")
            assert everything(oldest) == b""
            younger.sendall(GET)
            assert younger.recv(4096).startswith(b"HTTP/1.1 200 ")
        app.go_on.set()
        assert busy.recv(4096).startswith(b"HTTP/1.1 200 ")


def test_an_answer_that_is_still_being_sent_makes_no_room_for_another(app: App, port: int) -> None:
    app.limits.most = 1
    with connected(port, GET.replace(b"/ ", b"/large ")) as reader:
        wait_until(lambda: app.ends == ["answered"])
        with connected(port, GET) as one_more:
            assert one_more.recv(4096).startswith(b"HTTP/1.1 503 ")
        received = 0
        while received < LARGE:
            piece = reader.recv(2**20)
            assert piece, f"cut off after {received} bytes"
            received += len(piece)


def test_where_all_connections_are_busy_one_more_is_refused_but_told_of_health(app: App, port: int) -> None:
    app.limits.most = 2
    waiting = GET.replace(b"/ ", b"/wait ")
    with connected(port, waiting) as first, connected(port, waiting) as second:
        wait_until(lambda: app.waiting == 2)
        for request in (GET, GET.replace(b"\r\n\r\n", b"\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")):
            with connected(port, request) as one_more:
                answer = everything(one_more)
                assert answer.startswith(b"HTTP/1.1 503 ")
                assert b"retry-after: 5" in answer
                assert error_of(answer)["code"] == "unavailable"
        with connected(port, GET.replace(b"/ ", b"/healthz ")) as probe:
            assert probe.recv(4096).startswith(b"HTTP/1.1 200 ")
        app.go_on.set()
        for client in (first, second):
            assert client.recv(4096).startswith(b"HTTP/1.1 200 ")


def test_idle_connections_by_the_hundred_keep_nobody_out(app: App, port: int) -> None:
    app.limits.most = 20
    crowd = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(300)]
    try:
        with connected(port, GET) as client:
            assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
    finally:
        for each in crowd:
            each.close()


@pytest.mark.parametrize(
    "request_",
    [
        POST.replace(b"Content-Length: 10", b"Content-Length: 10\r\nContent-Length: 11"),
        POST.replace(b"Content-Length: 10", b"Content-Length: +10"),
        POST.replace(b"Content-Length: 10", b"Content-Length: 1_0"),
        POST.replace(b"Content-Length: 10", b"Content-Length: -1"),
        POST.replace(b"Content-Length: 10", b"Content-Length: " + b"9" * 40),
        POST.replace(b"Content-Length: 10", b"Transfer-Encoding: chunked") + b"-1\r\n",
        POST.replace(b"Content-Length: 10", b"Transfer-Encoding: chunked") + b"0x5\r\nhello\r\n0\r\n\r\n",
        POST.replace(b"Content-Length: 10", b"Transfer-Encoding: chunked") + b"f" * 40 + b"\r\n",
        POST.replace(b"Content-Length: 10", b"Transfer-Encoding: gzip, identity"),
        GET.replace(b"Host: test", b"Host: test\r\nX-Nul: a\0b"),
        GET.replace(b"Host: test", b"Host: test\r\nX Space: a"),
        GET.replace(b"Host: test", b"Host: test\r\n X-Folded: a").replace(b"test\r\n ", b"test\r\nno colon\r\n "),
        GET.replace(b"GET /", b"G\0T /"),
    ],
    ids=repr,
)
def test_a_request_that_could_be_read_in_two_ways_is_refused(app: App, port: int, request_: bytes) -> None:
    with connected(port, request_ + GET) as client:
        client.settimeout(3)
        answer = everything(client)
        assert answer.startswith(b"HTTP/1.1 400 "), answer[:200]
        assert answer.count(b"HTTP/1.1 ") == 1
        assert set(error_of(answer)) == {"message", "type", "param", "code"}
        assert "answered" not in app.ends


def test_requests_in_one_go_are_answered_one_after_the_other(app: App, port: int) -> None:
    with (connected(port, GET * 20 + GET.replace(b"Host", b"Connection: close\r\nHost")) as client,):
        assert everything(client).count(b"HTTP/1.1 200 ") == 21
        wait_until(lambda: app.ends == ["answered"] * 21)


def test_the_limit_of_open_files_is_raised_or_fewer_connections_taken() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (600, before[1]))
        assert affordable_connections(300) == 300
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 2 * 300 + SPARE_DESCRIPTORS
        if before[1] != resource.RLIM_INFINITY:
            too_many = before[1]
            assert affordable_connections(too_many) == (before[1] - SPARE_DESCRIPTORS) // 2
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
