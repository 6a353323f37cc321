"""A client of ``/v1/audio/speech/stream``."""

import base64
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.connection import Connection

Event = dict[str, Any]

_TOKEN = re.compile(r"\s?[^\W_]{1,5}|\s+|.")


def tokens(text: str) -> list[str]:
    """A text in pieces such as a language model writes."""
    return _TOKEN.findall(text)


class StreamClient:
    """One session. Events are plain dictionaries."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.session = self.next("session.created")["session"]

    def send(self, type_: str, **fields: Any) -> None:
        """Send one event."""
        self.connection.send(json.dumps({"type": type_, **fields}))

    def configure(self, **session: Any) -> Event:
        """Change how the next utterances are spoken; gives the answer."""
        self.send("session.update", session=session)
        return self.next("session.updated", "error")

    def write(self, *pieces: str) -> None:
        """Send pieces of the text."""
        for piece in pieces:
            self.send("input_text.append", text=piece)

    def say(self, pieces: Iterable[str]) -> None:
        """Send a whole text."""
        self.write(*pieces)
        self.send("input_text.commit")

    def receive(self, timeout_s: float = 20) -> Event:
        """The next event."""
        event: Event = json.loads(self.connection.recv(timeout_s))
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

    def ended(self) -> list[Event]:
        """All events up to the end of an utterance."""
        return self.until("speech.audio.done", "speech.cancelled", "speech.failed")

    def close_code(self) -> int:
        """Read until the service closes the connection; with which code it does."""
        try:
            while True:
                self.receive()
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 1006


def audio_of(events: Iterable[Event]) -> bytes:
    """The audio of all deltas."""
    return b"".join(base64.b64decode(event["audio"]) for event in events if event["type"] == "speech.audio.delta")


@contextmanager
def speech_stream(base_url: str, **options: Any) -> Iterator[StreamClient]:
    """Connect to a service."""
    url = f"{base_url.replace('http', 'ws', 1)}/v1/audio/speech/stream"
    with connect(url, max_size=None, compression=None, proxy=None, **options) as connection:
        yield StreamClient(connection)
