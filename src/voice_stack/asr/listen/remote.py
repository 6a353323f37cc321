"""Listening with a service that runs already, here or elsewhere, over OpenAI's Realtime protocol."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from voice_stack.asr.engine.base import SAMPLE_RATE_HZ, AudioBlock
from voice_stack.asr.live.events import (
    Committed,
    Completed,
    Delta,
    Failed,
    LiveEvent,
    SegmentDone,
    SpeechStarted,
    SpeechStopped,
)
from voice_stack.asr.live.options import LiveOptions
from voice_stack.core.errors import ConfigurationError, VoiceStackError
from voice_stack.utils.audio.pcm import float_to_int16

LINGER_S = 1.0
"""How long the service may be silent, after all was told of the audio, before it has nothing more to tell."""

_LAST = "last"  # the id of the commit at the end
_TRANSCRIPTION = "conversation.item.input_audio_transcription"


class RemoteHearing:
    """What ``LiveTranscription`` is, at the other end of a connection."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._untold: set[str] = set()
        self._last_sent = self._last_answered = False

    async def configure(self, options: LiveOptions, model: str | None) -> None:
        """Say what is wanted, before the first audio."""
        turns = options.turns
        detection = turns and {
            "type": "server_vad",
            "threshold": turns.threshold,
            "prefix_padding_ms": round(turns.prefix_padding_s * 1000),
            "silence_duration_ms": round(turns.silence_s * 1000),
        }
        transcription = {"model": model, "language": options.language, "prompt": options.prompt}
        session = {
            "type": "transcription",
            "audio": {
                "input": {
                    "format": {"type": "audio/pcm", "rate": SAMPLE_RATE_HZ},
                    "transcription": {name: value for name, value in transcription.items() if value is not None},
                    "turn_detection": detection,
                }
            },
        }
        await self._send("session.update", session=session)

    async def feed(self, samples: AudioBlock) -> None:
        """Send audio; waits while the service takes none."""
        pcm = float_to_int16(samples).astype("<i2", copy=False).tobytes()
        if pcm:
            await self._send("input_audio_buffer.append", audio=base64.b64encode(pcm).decode())

    async def finish(self) -> None:
        """Let the service tell what it still has to."""
        await self._send("input_audio_buffer.commit", event_id=_LAST)
        self._last_sent = True

    async def __aiter__(self) -> AsyncIterator[LiveEvent]:
        while True:
            done = self._last_answered and not self._untold
            try:
                message = await asyncio.wait_for(self._connection.recv(), LINGER_S if done else None)
            except asyncio.TimeoutError:
                return
            except ConnectionClosed as error:
                raise _closed(error) from error
            event = json.loads(message)
            if event["type"] == "error":
                self._fail(event["error"])
            elif (heard := _heard(event)) is not None:
                self._note(heard)
                yield heard

    def _fail(self, error: dict[str, Any]) -> None:
        if error.get("event_id") != _LAST:
            raise _error(error)
        # There was no audio left to commit.
        self._last_answered = True

    def _note(self, event: LiveEvent) -> None:
        match event:
            case SpeechStarted() | Committed():
                self._untold.add(event.utterance)
                self._last_answered = self._last_sent and (self._last_answered or isinstance(event, Committed))
            case Completed() | Failed():
                self._untold.discard(event.utterance)

    async def _send(self, type_: str, **fields: object) -> None:
        try:
            await self._connection.send(json.dumps({"type": type_, **fields}))
        except ConnectionClosed as error:
            raise _closed(error) from error


@asynccontextmanager
async def service_hearing(
    url: str, options: LiveOptions, *, model: str | None = None, api_key: str | None = None
) -> AsyncIterator[RemoteHearing]:
    """Connect to a service.

    Args:
        url: where its API is, as OpenAI's SDK has it: ``http://host:5001/v1``.
        model: one for the service to load; None: its own.

    Raises:
        ConfigurationError: the URL is none.
        VoiceStackError: nobody answers there, or the service refuses.
    """
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    try:
        connection = await connect(_socket_url(url), additional_headers=headers)
    except InvalidStatus as error:
        raise VoiceStackError(f"{url} takes no live audio; is it an ASR service? It says: {_reason(error)}") from error
    except (OSError, InvalidURI, InvalidHandshake, asyncio.TimeoutError) as error:
        raise VoiceStackError(f"{url} cannot be reached: {error}") from error
    async with connection:
        hearing = RemoteHearing(connection)
        await hearing.configure(options, model)
        yield hearing


def _socket_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise ConfigurationError(f"--url: {url!r} is not like http://localhost:5001/v1")
    path = f"{parts.path.rstrip('/')}/realtime"
    return urlunsplit((parts.scheme.replace("http", "ws"), parts.netloc, path, "intent=transcription", ""))


def _reason(error: InvalidStatus) -> str:
    try:
        return str(json.loads(error.response.body or b"")["error"]["message"])
    except (ValueError, KeyError, TypeError):
        status = error.response.status_code
        return f"it answers {status}, as no service does whose API is there. As in http://localhost:5001/v1?"


def _closed(error: ConnectionClosed) -> VoiceStackError:
    reason = error.rcvd.reason if error.rcvd is not None else ""
    return VoiceStackError(f"the service closed the connection: {reason or 'no reason was given'}")


def _heard(event: dict[str, Any]) -> LiveEvent | None:
    """What an event of the protocol tells; None for those that tell nothing of what was said."""
    make = _EVENTS.get(event["type"])
    return make(event["item_id"], event) if make is not None else None


_EVENTS: dict[str, Callable[[str, dict[str, Any]], LiveEvent]] = {
    "input_audio_buffer.speech_started": lambda item, event: SpeechStarted(item, event["audio_start_ms"] / 1000),
    "input_audio_buffer.speech_stopped": lambda item, event: SpeechStopped(item, event["audio_end_ms"] / 1000),
    "input_audio_buffer.committed": lambda item, event: Committed(item, event["previous_item_id"]),
    f"{_TRANSCRIPTION}.delta": lambda item, event: Delta(item, event["delta"]),
    f"{_TRANSCRIPTION}.segment": lambda item, event: SegmentDone(item, event["start"], event["end"], event["text"]),
    f"{_TRANSCRIPTION}.completed": lambda item, event: Completed(
        item,
        event["transcript"],
        event["usage"]["seconds"],
        next((language["code"] for language in event.get("languages") or ()), None),
    ),
    f"{_TRANSCRIPTION}.failed": lambda item, event: Failed(item, _error(event["error"])),
}


def _error(told: dict[str, Any]) -> VoiceStackError:
    return VoiceStackError(f"the service: {told['message']}", code=told.get("code"))
