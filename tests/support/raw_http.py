"""Requests written to a socket byte by byte, for clients that do not do what a library would."""

import http.client
import socket
import struct
from collections.abc import Mapping
from typing import NamedTuple

BOUNDARY = "voice-stack-tests"


class Form(NamedTuple):
    """A body and its content type."""

    content_type: str
    body: bytes


def upload_form(data: bytes, *, filename: str = "audio.wav", fields: Mapping[str, str] | None = None) -> Form:
    """A multipart form with one file, in the field that OpenAI's API names."""
    parts = [_part(f'name="{name}"', value.encode()) for name, value in (fields or {"model": "whisper-1"}).items()]
    parts.append(_part(f'name="file"; filename="{filename}"', data))
    return Form(f"multipart/form-data; boundary={BOUNDARY}", b"".join(parts) + f"--{BOUNDARY}--\r\n".encode())


def _part(disposition: str, data: bytes) -> bytes:
    return f"--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode() + data + b"\r\n"


class RawClient:
    """One connection to a service, and one POST on it."""

    def __init__(self, base_url: str, *, timeout_s: float = 60) -> None:
        host, _, port = base_url.removeprefix("http://").partition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=timeout_s)

    def begin(self, path: str, content_type: str, length: int) -> None:
        """Send the head of a request whose body has ``length`` bytes."""
        head = f"POST {path} HTTP/1.1\r\nHost: test\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n"
        self.socket.sendall(head.encode())

    def post(self, path: str, form: Form, *, part: float = 1.0) -> "RawClient":
        """Send a request, or only this part of its body."""
        self.begin(path, form.content_type, len(form.body))
        self.socket.sendall(form.body[: round(len(form.body) * part)])
        return self

    def answer(self) -> tuple[int, bytes]:
        """Wait for the status and the body of the answer, and close the connection."""
        with self.socket, http.client.HTTPResponse(self.socket, method="POST") as response:
            response.begin()
            return response.status, response.read()

    def receive(self, least_bytes: int) -> int:
        """Read some of what arrives and throw it away; returns how much that was."""
        received = 0
        while received < least_bytes and (piece := self.socket.recv(65536)):
            received += len(piece)
        return received

    def hang_up(self, *, reset: bool = False) -> None:
        """Close the connection, in an orderly way or as a crashed host does."""
        if reset:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()
