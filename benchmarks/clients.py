"""Kinds of client: what each sends, and how it takes the answer."""

import asyncio
import json
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.support.raw_http import Form, upload_form

from benchmarks.wire import Target, exchange

TRANSCRIPTIONS = "/v1/audio/transcriptions"
SPEECH = "/v1/audio/speech"
REFUSALS = (429, 503)


@dataclass(frozen=True)
class Reply:
    """How a request ended for the client; times are seconds since it began to connect."""

    status: int | None  # None: the client left before there was one
    first_byte_s: float | None  # of the body, of a refusal's too
    total_s: float
    complete: bool  # the body came to its proper end
    body: bytes = b""  # of transcripts and errors; speech is thrown away


class Client(ABC):
    """Sends requests of one kind to one server."""

    def __init__(self, target: Target) -> None:
        self.target = target

    @abstractmethod
    async def request(self, number: int) -> Reply:
        """Send the request of that number, counted from 0, and take the answer.

        Raises:
            OSError, h11.RemoteProtocolError: as ``wire.exchange``.
        """


class Upload(Client):
    """Transcribes files, one after the other in turn."""

    def __init__(self, target: Target, files: Sequence[bytes], fields: Mapping[str, str] | None = None) -> None:
        super().__init__(target)
        form = {"model": target.model or "whisper-1", **(fields or {})}
        self._forms = [upload_form(data, fields=form) for data in files]

    def form(self, number: int) -> Form:
        """What the request of that number sends."""
        return self._forms[number % len(self._forms)]

    async def request(self, number: int) -> Reply:
        return await _whole(self.target, TRANSCRIPTIONS, self.form(number))


class StreamingUpload(Upload):
    """Transcribes files with ``stream=true`` and reads the events to the last one."""

    def __init__(self, target: Target, files: Sequence[bytes]) -> None:
        super().__init__(target, files, {"stream": "true"})

    async def request(self, number: int) -> Reply:
        reply = await _whole(self.target, TRANSCRIPTIONS, self.form(number))
        done = reply.status != 200 or b"transcript.text.done" in reply.body
        return Reply(reply.status, reply.first_byte_s, reply.total_s, reply.complete and done, reply.body)


class HangUp(Upload):
    """Transcribes files, but leaves within two seconds, when the answer is there or not."""

    longest_s = 2.0

    async def request(self, number: int) -> Reply:
        started_at = time.perf_counter()
        patience_s = random.Random(number).uniform(0, self.longest_s)
        try:
            return await asyncio.wait_for(super().request(number), patience_s)
        except asyncio.TimeoutError:
            return Reply(None, None, time.perf_counter() - started_at, complete=False)


class Speaker(Client):
    """Has texts spoken, one after the other in turn, and reads the bytes as they come."""

    def __init__(self, target: Target, texts: Sequence[str], audio_format: str = "mp3") -> None:
        super().__init__(target)
        self._forms = [_speech(target, text, audio_format) for text in texts]

    async def request(self, number: int) -> Reply:
        form = self._forms[number % len(self._forms)]
        return await _whole(self.target, SPEECH, form, keep=False)


class SlowReader(Speaker):
    """Has texts spoken, and reads more slowly than a listener would: the connection fills up."""

    bytes_per_s = 8_000
    """Of uncompressed speech: a sixth of the 48,000 that play in a second."""

    def __init__(self, target: Target, texts: Sequence[str]) -> None:
        super().__init__(target, texts, "pcm")

    async def request(self, number: int) -> Reply:
        started_at = time.perf_counter()
        form = self._forms[number % len(self._forms)]
        first_byte_s = None
        async with exchange(self.target, SPEECH, form, receive_buffer_bytes=4096) as answer:
            async for piece in answer.pieces(2048):
                first_byte_s = first_byte_s or time.perf_counter() - started_at
                if answer.status == 200:
                    await asyncio.sleep(len(piece) / self.bytes_per_s)
            return Reply(answer.status, first_byte_s, time.perf_counter() - started_at, complete=True)


def text_of(reply: Reply) -> str:
    """What a transcription in JSON says.

    Raises:
        RuntimeError: it was no success.
    """
    if reply.status != 200 or not reply.complete:
        raise RuntimeError(f"answered {reply.status}: {reply.body[:500]!r}")
    text: str = json.loads(reply.body)["text"]
    return text


def _speech(target: Target, text: str, audio_format: str) -> Form:
    body = {"model": target.model or "tts-1", "voice": target.voice, "input": text, "response_format": audio_format}
    return Form("application/json", json.dumps(body).encode())


async def _whole(target: Target, path: str, form: Form, *, keep: bool = True) -> Reply:
    started_at = time.perf_counter()
    first_byte_s = None
    kept: list[bytes] = []
    async with exchange(target, path, form) as answer:
        async for piece in answer.pieces():
            first_byte_s = first_byte_s or time.perf_counter() - started_at
            if keep or answer.status != 200:
                kept.append(piece)
        total_s = time.perf_counter() - started_at
    return Reply(answer.status, first_byte_s, total_s, complete=True, body=b"".join(kept))
