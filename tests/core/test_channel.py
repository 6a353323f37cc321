"""Sessions over WebSockets, on real sockets, below a service that speaks no other protocol."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn
from fastapi import APIRouter, WebSocket
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect
from websockets.sync.connection import Connection
from websockets.typing import Subprotocol

from tests.conftest import SettingsFactory
from tests.support.engines import FakeAsrEngine, FakeTtsEngine
from tests.support.serving import client_of, free_port, wait_until
from voice_stack.asr.app import create_app as create_asr
from voice_stack.core.app import build_app
from voice_stack.core.channel import Channel, ClientLeftError, converse
from voice_stack.core.errors import (
    EngineError,
    InvalidRequestError,
    QueueFullError,
    SessionExpiredError,
    StoppingError,
    VoiceStackError,
)
from voice_stack.core.middleware import BodyLimit
from voice_stack.core.notify import Notifier
from voice_stack.core.server import VoiceServer
from voice_stack.core.websocket_protocol import MAX_FRAME_BYTES, LimitedWebSocket
from voice_stack.tts.app import create_app as create_tts
from voice_stack.tts.service import TtsService

KEY = "sk-this-is-the-key"
HANDSHAKE = (
    b"GET /v1/parrot HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
ERRORS: dict[str, Exception] = {
    "unavailable": QueueFullError("Come back later."),
    "wrong": InvalidRequestError("This cannot be.", param="this"),
    "engine": EngineError("It broke."),
    "bug": ZeroDivisionError("secret"),
}


class Server(VoiceServer):
    """One that leaves the process of the tests alone."""

    def _end_without_the_rest(self) -> None:
        pass


class Parrot:
    """A service whose sessions repeat what they are told, and fail as they are told."""

    def __init__(self, service: TtsService) -> None:
        self.service = service
        self.ends: list[str] = []
        self.stop: Callable[[], None] = lambda: None
        self.protocol: Callable[[], LimitedWebSocket] = LimitedWebSocket
        self.router = APIRouter()
        self.router.add_api_websocket_route("/parrot", self.endpoint)

    async def endpoint(self, websocket: WebSocket) -> None:
        await converse(websocket, self.service, self.talk)

    async def talk(self, channel: Channel) -> None:
        try:
            await self._talk(channel)
        except BaseException as error:
            self.ends.append(type(error).__name__)
            raise
        self.ends.append("end")

    async def _talk(self, channel: Channel) -> None:
        await channel.send("hello", id=channel.id)
        while True:
            try:
                event = await channel.receive()
            except InvalidRequestError as error:
                await channel.send_error(error)
                continue
            except StoppingError:
                await channel.send("last word")
                raise
            if event["type"] == "end":
                return
            if event["type"] == "slow":
                await asyncio.sleep(event["seconds"])
            if event["type"] == "flood":
                while True:
                    await channel.send("drop", data="x" * 65_536)
            if event["type"] in ERRORS:
                raise ERRORS[event["type"]]
            await channel.send("repeated", size=len(json.dumps(event)))


@contextmanager
def parrot(
    make_settings: SettingsFactory, *, ping_s: float | None = None, **settings: Any
) -> Iterator[tuple[Parrot, str]]:
    made = make_settings(**settings)
    service = TtsService(made, FakeTtsEngine())
    bird = Parrot(service)
    app = build_app("tts", made, service, bird.router, body_limit=BodyLimit(1000, None, "input"))
    port = free_port()
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=port,
        log_config=None,
        ws=LimitedWebSocket,
        ws_max_size=MAX_FRAME_BYTES,
        ws_ping_interval=ping_s,
        ws_ping_timeout=ping_s,
        timeout_graceful_shutdown=5,
    )
    server = Server(config, grace_s=5, notifier=Notifier())
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started)
        bird.stop = lambda: setattr(server, "should_exit", True)
        bird.protocol = lambda: next(
            each for each in server.server_state.connections if isinstance(each, LimitedWebSocket)
        )
        yield bird, f"ws://127.0.0.1:{port}/v1/parrot"
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


def events_until_the_end(connection: Connection) -> tuple[list[dict[str, Any]], int | None, str]:
    events = []
    try:
        while True:
            events.append(json.loads(connection.recv(timeout=10)))
    except ConnectionClosed as closed:
        return events, closed.rcvd.code if closed.rcvd else None, closed.rcvd.reason if closed.rcvd else ""


def say(connection: Connection, type_: str, **fields: Any) -> None:
    connection.send(json.dumps({"type": type_, **fields}))


def heard(connection: Connection) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(connection.recv(timeout=10))
    return event


def test_events_go_both_ways_and_what_is_none_is_an_error_that_does_not_end_the_session(
    make_settings: SettingsFactory,
) -> None:
    with parrot(make_settings) as (bird, url):
        with connect(url) as connection:
            hello = heard(connection)
            assert hello["id"].startswith("sess_")
            assert hello["event_id"].startswith("event_")
            for wrong, code in (
                ("no json", "invalid_json"),
                ("[" * 100_000, "invalid_json"),
                ('"a string"', "invalid_event"),
                ('{"type": 3}', "invalid_event"),
                (b"\x00\x01", "invalid_event"),
            ):
                connection.send(wrong)
                error = heard(connection)
                assert (error["type"], error["error"]["code"]) == ("error", code)
            for size in (10, 10_000_000):
                say(connection, "say", text="x" * size)
                assert heard(connection)["size"] > size
            assert bird.service.sessions.open == 1
            say(connection, "end")
            assert events_until_the_end(connection) == ([], 1000, "")
        wait_until(lambda: bird.service.sessions.open == 0)
        assert bird.ends == ["end"]


@pytest.mark.parametrize(("name", "code"), [("unavailable", 1013), ("wrong", 1008), ("engine", 1011), ("bug", 1011)])
def test_an_error_that_ends_a_session_is_told_before_it_is_closed(
    make_settings: SettingsFactory, name: str, code: int
) -> None:
    with parrot(make_settings) as (bird, url), connect(url) as connection:
        heard(connection)
        say(connection, name)
        (event,), closed_with, reason = events_until_the_end(connection)
        error = ERRORS[name]
        known = error if isinstance(error, VoiceStackError) else VoiceStackError("")
        assert closed_with == code
        assert event["error"]["type"] == known.type
        assert event["error"]["code"] == known.code
        assert reason == (known.code or "")
        assert "secret" not in json.dumps(event)
        wait_until(lambda: bird.service.sessions.open == 0)


def test_a_session_ends_when_nothing_goes_either_way_or_its_time_is_over(make_settings: SettingsFactory) -> None:
    for limits in ({"session_idle_s": 0.4}, {"max_session_s": 0.4}):
        with parrot(make_settings, **limits) as (bird, url), connect(url) as connection:
            heard(connection)
            began_at = time.monotonic()
            time.sleep(0.25)
            say(connection, "say")
            assert heard(connection)["type"] == "repeated"
            (event,), code, reason = events_until_the_end(connection)
            lasted_s = time.monotonic() - began_at
            assert (event["error"]["code"], code, reason) == (SessionExpiredError.code, 1000, "session_expired")
            assert (lasted_s > 0.6) == ("session_idle_s" in limits)
            assert bird.ends == ["SessionExpiredError"]


def test_at_a_stop_sessions_say_their_last_word_and_no_new_one_begins(make_settings: SettingsFactory) -> None:
    with parrot(make_settings) as (bird, url), connect(url) as connection:
        heard(connection)
        bird.stop()
        events, code, reason = events_until_the_end(connection)
        assert [event["type"] for event in events] == ["last word", "error"]
        assert (code, reason) == (1012, "stopping")


def test_one_session_too_many_is_refused_with_the_usual_envelope(make_settings: SettingsFactory) -> None:
    with parrot(make_settings, max_sessions=1) as (bird, url):
        with connect(url) as first:
            heard(first)
            with pytest.raises(InvalidStatus) as refused:
                connect(url)
            assert refused.value.response.status_code == 503
            assert json.loads(refused.value.response.body or b"")["error"]["code"] == "queue_full"
            assert "Retry-After" in refused.value.response.headers
        wait_until(lambda: bird.service.sessions.open == 0)
        with connect(url) as second:
            assert heard(second)["type"] == "hello"


@pytest.mark.parametrize(
    ("offered", "headers", "picked"),
    [
        ([], {"Authorization": f"Bearer {KEY}"}, None),
        (["realtime", f"openai-insecure-api-key.{KEY}"], {}, "realtime"),
        (["realtime", f"openai-insecure-api-key.{KEY}", "openai-beta.realtime-v1"], {}, "realtime"),
        (["mine", f"openai-insecure-api-key.{KEY}"], {}, "mine"),
        ([f"openai-insecure-api-key.{KEY}"], {}, f"openai-insecure-api-key.{KEY}"),
        (["realtime"], {}, 401),
        (["realtime", "openai-insecure-api-key.wrong"], {}, 401),
        (["realtime", f"openai-insecure-api-key.{KEY}", "openai-insecure-api-key.other"], {}, 401),
        (["realtime", f"openai-insecure-api-key.{KEY}"], {"Origin": "https://elsewhere.example"}, 403),
    ],
)
def test_keys_come_in_a_header_or_as_browsers_can_send_them(
    make_settings: SettingsFactory, offered: list[str], headers: dict[str, str], picked: str | int | None
) -> None:
    with parrot(make_settings, api_keys=KEY) as (_, url):
        subprotocols = [Subprotocol(name) for name in offered] or None
        if isinstance(picked, int):
            with pytest.raises(InvalidStatus) as refused:
                connect(url, subprotocols=subprotocols, additional_headers=headers)
            assert refused.value.response.status_code == picked
            return
        with connect(url, subprotocols=subprotocols, additional_headers=headers) as connection:
            assert connection.subprotocol == picked
            assert heard(connection)["type"] == "hello"


def test_a_frame_that_is_too_large_is_refused_with_a_close_code_that_arrives(make_settings: SettingsFactory) -> None:
    with parrot(make_settings) as (bird, url), connect(url) as connection:
        heard(connection)
        with pytest.raises(ConnectionClosedError) as closed:
            for _ in range(2):
                connection.send("x" * (MAX_FRAME_BYTES + 1))
                connection.recv(timeout=5)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009
        wait_until(lambda: bird.ends == ["ClientLeftError"])


def test_a_client_that_reads_nothing_is_cut_off_and_its_session_ends(make_settings: SettingsFactory) -> None:
    with parrot(make_settings, max_stall_s=0.3) as (bird, url):
        host, port = url.removeprefix("ws://").partition("/")[0].split(":")
        with socket.create_connection((host, int(port))) as client:
            client.sendall(HANDSHAKE)
            assert client.recv(4096).startswith(b"HTTP/1.1 101")
            event = b'{"type":"flood"}'
            client.sendall(bytes([0x81, 0x80 | len(event)]) + bytes(4) + event)
            wait_until(lambda: bird.ends == ["ClientLeftError"], timeout_s=5)
            wait_until(lambda: bird.service.sessions.open == 0)


def test_a_client_that_is_held_back_is_not_taken_for_one_that_is_gone(make_settings: SettingsFactory) -> None:
    with parrot(make_settings, ping_s=0.1) as (_, url), connect(url, ping_interval=None) as connection:
        heard(connection)
        for _ in range(12):
            say(connection, "slow", seconds=0.1, audio="x" * 500_000)
        assert [heard(connection)["type"] for _ in range(12)] == ["repeated"] * 12


def test_a_client_that_does_not_answer_pings_is_gone(make_settings: SettingsFactory) -> None:
    with parrot(make_settings, ping_s=0.1) as (bird, url):
        host, port = url.removeprefix("ws://").partition("/")[0].split(":")
        with socket.create_connection((host, int(port))) as client:
            client.sendall(HANDSHAKE)
            wait_until(lambda: bird.ends == ["ClientLeftError"], timeout_s=5)


def test_a_message_that_is_no_utf_8_is_refused_with_a_close_code(make_settings: SettingsFactory) -> None:
    with parrot(make_settings) as (bird, url):
        host, port = url.removeprefix("ws://").partition("/")[0].split(":")
        with socket.create_connection((host, int(port)), timeout=5) as client:
            client.sendall(HANDSHAKE)
            assert client.recv(4096).startswith(b"HTTP/1.1 101")
            client.sendall(bytes([0x81, 0x82]) + bytes(4) + b"\xff\xfe")
            answer = b""
            while piece := client.recv(4096):
                answer += piece
            assert b"\x88" + bytes([len(answer.rpartition(b"\x88")[2]) - 1]) + (1007).to_bytes(2, "big") in answer
        wait_until(lambda: bird.ends == ["ClientLeftError"], timeout_s=5)


def test_a_client_that_closes_ends_its_session(make_settings: SettingsFactory) -> None:
    with parrot(make_settings) as (bird, url):
        with connect(url) as connection:
            heard(connection)
        wait_until(lambda: bird.ends == [ClientLeftError.__name__], timeout_s=5)
        assert bird.service.sessions.open == 0


def test_a_client_that_vanishes_ends_its_session(make_settings: SettingsFactory) -> None:
    with parrot(make_settings) as (bird, url):
        host, port = url.removeprefix("ws://").partition("/")[0].split(":")
        with socket.create_connection((host, int(port))) as client:
            client.sendall(HANDSHAKE)
            assert client.recv(4096).startswith(b"HTTP/1.1 101")
            # Closed without a word: a reset.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        wait_until(lambda: bird.ends == [ClientLeftError.__name__], timeout_s=5)
        assert bird.service.sessions.open == 0


@pytest.mark.anyio
async def test_plain_http_on_the_path_of_a_session_is_told_what_is_wrong(make_settings: SettingsFactory) -> None:
    asr, tts = create_asr(make_settings(), FakeAsrEngine()), create_tts(make_settings(), FakeTtsEngine())
    for app, path in ((asr, "/v1/realtime"), (tts, "/v1/audio/speech/stream")):
        async with client_of(app) as client:
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, "websocket_expected")


def test_sessions_are_counted_by_how_they_ended(make_settings: SettingsFactory) -> None:
    with parrot(make_settings) as (bird, url):
        for word in ("end", "wrong"):
            with connect(url) as connection:
                heard(connection)
                say(connection, word)
                events_until_the_end(connection)
        wait_until(lambda: bird.service.sessions.open == 0)
        bird.service.take_stock()
        text = bird.service.metrics.exposition().decode()
        for outcome in ("ok", "invalid_request"):
            labels = f'outcome="{outcome}",route="/v1/parrot",service="tts"'
            assert f"voice_stack_sessions_total{{{labels}}} 1.0" in text
        assert 'voice_stack_open_sessions{service="tts"} 0.0' in text
