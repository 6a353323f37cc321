"""One HTTP request on a connection of its own, on a bare socket: it costs the client little processor time.

An answer that comes before the request has been sent, as a refusal may, is read all the same.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import h11
from tests.support.raw_http import Form

READ_BYTES = 65_536


@dataclass(frozen=True)
class Target:
    """A server that speaks OpenAI's audio API over plain HTTP."""

    host: str
    port: int
    base_path: str = ""  # what stands before /v1
    model: str | None = None  # None: OpenAI's own names
    voice: str = "alloy"
    key: str = "none"

    @classmethod
    def parse(cls, url: str) -> "Target":
        """From ``http://host:port``; ``#model=...&voice=...&key=...`` behind it says what to ask that server for.

        Raises:
            ValueError: it is no such URL.
        """
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(f"{url}: use http://host:port")
        asked = {
            name: values[-1] for name, values in parse_qs(parts.fragment, strict_parsing=bool(parts.fragment)).items()
        }
        if unknown := set(asked) - {"model", "voice", "key"}:
            raise ValueError(f"{url}: {', '.join(sorted(unknown))} is none of model, voice, key")
        path = parts.path.rstrip("/").removesuffix("/v1")
        return cls(parts.hostname, parts.port or 80, path, **asked)


class Exchange:
    """An answer whose head has arrived."""

    def __init__(self, connection: h11.Connection, sock: socket.socket, response: h11.Response) -> None:
        self._connection = connection
        self._socket = sock
        self.status = response.status_code

    async def pieces(self, most_bytes: int = READ_BYTES) -> AsyncIterator[bytes]:
        """The body as it arrives.

        Raises:
            OSError: the connection broke.
            h11.RemoteProtocolError: it ended before the body did.
        """
        while not isinstance(event := await _next_event(self._connection, self._socket, most_bytes), h11.EndOfMessage):
            if isinstance(event, h11.Data):
                yield bytes(event.data)


@asynccontextmanager
async def exchange(
    target: Target, path: str, form: Form, *, receive_buffer_bytes: int | None = None
) -> AsyncIterator[Exchange]:
    """POST ``form`` and wait for the head of the answer; leaving the context hangs up.

    Raises:
        OSError: the server cannot be reached, or the connection broke.
        h11.RemoteProtocolError: what came is no HTTP answer.
    """
    loop = asyncio.get_running_loop()
    connection = h11.Connection(h11.CLIENT)
    head = connection.send(_request(target, path, form))
    connection.send(h11.Data(form.body))
    connection.send(h11.EndOfMessage())
    with socket.socket() as sock:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer_bytes is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        await loop.sock_connect(sock, (target.host, target.port))
        sending = asyncio.ensure_future(_send(sock, head or b"", form.body))
        try:
            while not isinstance(event := await _next_event(connection, sock, READ_BYTES), h11.Response):
                pass
            yield Exchange(connection, sock, event)
        finally:
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sending


def _request(target: Target, path: str, form: Form) -> h11.Request:
    headers = {
        "Host": f"{target.host}:{target.port}",
        "Content-Type": form.content_type,
        "Content-Length": str(len(form.body)),
        "Authorization": f"Bearer {target.key}",
        "Connection": "close",
    }
    return h11.Request(method="POST", target=target.base_path + path, headers=list(headers.items()))


async def _send(sock: socket.socket, head: bytes, body: bytes) -> None:
    loop = asyncio.get_running_loop()
    # A server that refuses may close before it has read everything; what it answered is there to be read.
    with contextlib.suppress(ConnectionError):
        await loop.sock_sendall(sock, head)
        await loop.sock_sendall(sock, body)


async def _next_event(connection: h11.Connection, sock: socket.socket, most_bytes: int) -> object:
    while (event := connection.next_event()) is h11.NEED_DATA:
        connection.receive_data(await asyncio.get_running_loop().sock_recv(sock, most_bytes))
    return event
