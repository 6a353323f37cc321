"""A client of ``/v1/realtime`` that also sends what no SDK would."""

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import numpy as np
from numpy.typing import NDArray
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.connection import Connection
from websockets.typing import Subprotocol

from voice_stack.utils.audio.pcm import float_to_int16
from voice_stack.utils.audio.resample import Resampler

TRANSCRIPTION = "conversation.item.input_audio_transcription"
SERVER_EVENTS: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
Event = dict[str, Any]


class RealtimeClient:
    """One session. Events are plain dictionaries."""

    def __init__(self, connection: Connection, *, timeout_s: float) -> None:
        self.connection = connection
        self._timeout_s = timeout_s
        self.event_ids: list[str] = []

    def send(self, type_: str, **fields: Any) -> None:
        """Send one event."""
        self.connection.send(json.dumps({"type": type_, **fields}))

    def append(self, data: bytes, *, chunk_bytes: int = 32_000) -> None:
        """Send audio."""
        for start in range(0, len(data), chunk_bytes):
            self.send("input_audio_buffer.append", audio=base64.b64encode(data[start : start + chunk_bytes]).decode())

    def configure(self, *, type_: str = "transcription", event_id: str | None = None, **audio_input: Any) -> Event:
        """Change the session's ``audio.input``; gives what the service answers."""
        session = {"type": type_, "audio": {"input": audio_input}}
        self.send("session.update", session=session, **({"event_id": event_id} if event_id else {}))
        return self.next("session.updated", "error")

    def receive(self) -> Event:
        """The next event, whatever it is."""
        event: Event = json.loads(self.connection.recv(self._timeout_s))
        assert event["event_id"].startswith("event_")
        self.event_ids.append(event["event_id"])
        return event

    def until(self, *types: str) -> list[Event]:
        """All events up to the first of one of these types."""
        events = [self.receive()]
        while events[-1]["type"] not in types:
            events.append(self.receive())
        return events

    def next(self, *types: str) -> Event:
        """The next event of one of these types; those before are dropped."""
        return self.until(*types)[-1]

    def close_code(self) -> int:
        """Read until the service closes the connection; with which code it does."""
        try:
            while True:
                self.receive()
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 1006


@contextmanager
def realtime(
    base_url: str,
    query: Mapping[str, str] | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    subprotocols: tuple[str, ...] = (),
    timeout_s: float = 20,
) -> Iterator[RealtimeClient]:
    """Connect to a service."""
    url = f"{base_url.replace('http', 'ws', 1)}/v1/realtime?{urlencode(query or {'intent': 'transcription'})}"
    offered = [Subprotocol(name) for name in subprotocols] or None
    with connect(
        url,
        # Behind audio that is sent ahead of its time, pings would wait for too long.
        ping_interval=None,
        subprotocols=offered,
        additional_headers=dict(headers or {}),
        max_size=None,
        compression=None,
        proxy=None,
    ) as connection:
        yield RealtimeClient(connection, timeout_s=timeout_s)


def pcm(samples: NDArray[np.float32], rate_hz: int = 24_000) -> bytes:
    """Speech of 16 kHz as s16le of another rate."""
    resampler = Resampler(16_000, rate_hz)
    return float_to_int16(np.concatenate([resampler.process(samples), resampler.flush()])).tobytes()
