"""What clients do below the level of messages: fragments, pings, silence."""

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from websockets.http11 import Request
from websockets.server import ServerProtocol

from tests.conftest import SettingsFactory
from tests.core.test_channel import HANDSHAKE, KEY, parrot
from tests.support.serving import wait_until
from voice_stack.core.logging import _is_of_the_server


@contextmanager
def opened(url: str) -> Iterator[socket.socket]:
    """A WebSocket of which the test sends and reads the frames itself."""
    host, port = url.removeprefix("ws://").partition("/")[0].split(":")
    with socket.create_connection((host, int(port)), timeout=5) as client:
        client.sendall(HANDSHAKE)
        assert client.recv(4096).startswith(b"HTTP/1.1 101")
        yield client


def frame(head: int, data: bytes) -> bytes:
    """A short frame, whose first byte says what it is; masked with zeros, as clients must."""
    return bytes([head, 0x80 | len(data)]) + bytes(4) + data


def test_a_client_is_gone_that_falls_silent_after_a_ping_has_crossed_what_it_sent(
    make_settings: SettingsFactory,
) -> None:
    with parrot(make_settings, ping_s=0.1) as (bird, url), opened(url) as client:
        # The greeting, and then an empty message when the ping has come.
        while b"\x89\x04" not in client.recv(4096):
            pass
        client.sendall(frame(0x81, b"{}"))
        wait_until(lambda: bird.ends == ["ClientLeftError"], timeout_s=5)


def test_a_message_in_many_fragments_takes_no_more_memory_than_in_one(make_settings: SettingsFactory) -> None:
    text = b'{"type": "say"}' + b" " * 2000
    with parrot(make_settings) as (bird, url), opened(url) as client:
        client.sendall(frame(0x01, b""))
        client.sendall(b"".join(frame(0x00, text[at : at + 1]) + frame(0x00, b"") for at in range(len(text))))
        wait_until(lambda: sum(map(len, bird.protocol().frames)) == len(text), timeout_s=5)
        assert len(bird.protocol().frames) == 1
        client.sendall(frame(0x80, b""))
        answer = b""
        while b"repeated" not in answer:
            answer += client.recv(4096)


def test_pings_whose_answers_nobody_takes_fill_no_memory(make_settings: SettingsFactory) -> None:
    with parrot(make_settings) as (bird, url), opened(url) as client:
        client.sendall(frame(0x81, b'{"type": "flood"}'))
        wait_until(lambda: not bird.protocol().writable.is_set(), timeout_s=5)
        for _ in range(20):
            client.sendall(frame(0x89, b"x" * 125) * 1000)
        client.sendall(frame(0x01, b"all have been read"))
        wait_until(lambda: bird.protocol().frames, timeout_s=5)
        assert bird.protocol().transport.get_write_buffer_size() < 1_000_000
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")


def test_the_key_of_a_websocket_is_in_no_line_of_the_log_not_even_at_debug(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("test.websocket")
    logger.addFilter(_is_of_the_server)
    keys = f"Sec-WebSocket-Protocol: openai-insecure-api-key.{KEY}\r\nAuthorization: Bearer {KEY}\r\n\r\n"
    with caplog.at_level(logging.DEBUG, logger.name):
        protocol = ServerProtocol(logger=logger)
        protocol.receive_data(HANDSHAKE.removesuffix(b"\r\n") + keys.encode())
        (request,) = protocol.events_received()
        assert isinstance(request, Request)
        response = protocol.accept(request)
        response.headers["Sec-WebSocket-Protocol"] = f"openai-insecure-api-key.{KEY}"
        protocol.send_response(response)
    assert "HTTP/1.1 101" in caplog.text
    assert KEY not in caplog.text
