"""One session of incremental speech: texts come in pieces, and what is said of them goes out."""

import asyncio
import base64
import logging
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any

from voice_stack.core.channel import Channel, ClientLeftError
from voice_stack.core.errors import (
    InvalidRequestError,
    QueueFullError,
    SessionExpiredError,
    StoppingError,
    VoiceStackError,
    quoted,
)
from voice_stack.tts.incremental.feed import TextFeed
from voice_stack.tts.schemas.incremental import SpeechSessionConfig
from voice_stack.tts.schemas.openai import SpeechUsage
from voice_stack.tts.service import TtsService

_logger = logging.getLogger(__name__)

MAX_UTTERANCES = 64
"""Utterances of a session that are not over."""

DELTA_BYTES = 48_000
"""Most audio in an event, a second of PCM: whoever cancels has not much more to come."""

FINISH_S = 10.0
"""How long the utterance in progress may take at the end of a session that the service ends."""


class _Utterance:
    """What a client has begun to write, and how it is to be said."""

    def __init__(self, config: SpeechSessionConfig) -> None:
        self.id = f"utt_{uuid.uuid4().hex}"
        self.config = config
        self.text = TextFeed()
        self.is_over = False  # the client is told how it ended, or is about to be


class SpeechSession:
    """Speaks the texts that come over a channel, one utterance after the other.

    Reading and speaking go on side by side. A client that does not read stops the speaking; what it sends meanwhile is
    kept, up to ``TTS_MAX_INPUT_CHARS`` characters.
    """

    def __init__(self, channel: Channel, service: TtsService, *, max_chars: int) -> None:
        self._channel = channel
        self._service = service
        self._max_chars = max_chars
        self._config = SpeechSessionConfig()
        self._utterances: deque[_Utterance] = deque()  # that are not over, in order
        self._written: _Utterance | None = None  # the one that text is added to
        self._changed = asyncio.Event()
        self._is_ending = False
        self._saying: asyncio.Task[tuple[str, dict[str, Any]]] | None = None  # the first of the utterances
        self._handlers: Mapping[str, Callable[[dict[str, Any]], Awaitable[None]]] = {
            "session.update": self._update,
            "input_text.append": self._append,
            "input_text.flush": self._flush,
            "input_text.commit": self._commit,
            "speech.cancel": self._cancel,
        }

    async def hold(self) -> None:
        """Go on until the session ends.

        Raises:
            ClientLeftError: the client has ended it.
            StoppingError, SessionExpiredError: the utterance in progress has been finished, if there was time.
        """
        await self._channel.send("session.created", session=self._config.told(self._channel.id))
        speaking = asyncio.ensure_future(self._speak())
        reading = asyncio.ensure_future(self._read())
        try:
            await asyncio.wait({reading, speaking}, return_when=asyncio.FIRST_COMPLETED)
            if speaking.done():
                speaking.result()
            try:
                reading.result()
            except (SessionExpiredError, StoppingError) as error:
                self._finish(error)
                await asyncio.wait({speaking}, timeout=FINISH_S)
                raise
        finally:
            for task in (reading, speaking):
                task.cancel()
            await asyncio.gather(reading, speaking, return_exceptions=True)

    def _finish(self, error: VoiceStackError) -> None:
        """Say what there is of the utterance in progress; those behind it fail, as it does where it is not whole."""
        for number, utterance in enumerate(self._utterances):
            if number:
                utterance.text = TextFeed()
            if not utterance.text.is_committed:
                utterance.text.flush()
                utterance.text.fail(error)
        self._is_ending = True
        self._changed.set()

    async def _read(self) -> None:
        while True:
            await self._channel.take(self._handle)

    async def _handle(self, event: dict[str, Any]) -> None:
        handler = self._handlers.get(event["type"])
        if handler is None:
            raise InvalidRequestError(
                f"There is no event {quoted(event['type'])}; this service takes {', '.join(self._handlers)}.",
                param="type",
                code="unknown_event",
            )
        await handler(event)

    async def _update(self, event: dict[str, Any]) -> None:
        config = self._config.updated(event.get("session"))
        await self._service.check_speech(config.speech(), model=config.model)
        self._config = config
        await self._channel.send("session.updated", session=config.told(self._channel.id))

    async def _append(self, event: dict[str, Any]) -> None:
        text = event.get("text")
        if not isinstance(text, str):
            raise InvalidRequestError("input_text.append has its text as a string in 'text'.", param="text")
        if not text:
            return
        utterance = self._written
        if utterance is None:
            utterance = self._written = _Utterance(self._config)
            if len(self._utterances) >= MAX_UTTERANCES:
                utterance.is_over = True
                raise QueueFullError(
                    f"{MAX_UTTERANCES} utterances wait to be spoken already; this one is dropped until its commit."
                )
            self._utterances.append(utterance)
            self._changed.set()
        # The rest of one that has failed is of no use.
        if utterance.is_over:
            return
        waiting = sum(other.text.characters for other in self._utterances)
        if waiting + len(text) <= self._max_chars:
            utterance.text.append(text)
        elif not utterance.text.is_failed:
            utterance.text.fail(
                InvalidRequestError(
                    f"More than {self._max_chars} characters wait to be spoken in this session. Send the text as it is "
                    "spoken, or ask the operator to raise TTS_MAX_INPUT_CHARS.",
                    param="text",
                    code="input_too_long",
                )
            )

    async def _flush(self, _: dict[str, Any]) -> None:
        if self._written is not None and not self._written.is_over:
            self._written.text.flush()

    async def _commit(self, _: dict[str, Any]) -> None:
        utterance, self._written = self._written, None
        if utterance is None:
            raise InvalidRequestError(
                "There is no text to commit; send input_text.append first.", code="input_text_commit_empty"
            )
        if not utterance.is_over:
            utterance.text.commit()

    async def _cancel(self, _: dict[str, Any]) -> None:
        self._written = None
        dropped = [utterance for utterance in self._utterances if not utterance.is_over]
        self._utterances.clear()
        for utterance in dropped:
            utterance.is_over = True
        if dropped and self._saying is not None:
            self._saying.cancel()
            await asyncio.wait({self._saying})
        for utterance in dropped:
            await self._channel.send("speech.cancelled", utterance_id=utterance.id)
        if not dropped:
            await self._channel.send("speech.cancelled", utterance_id=None)

    async def _speak(self) -> None:
        while True:
            while not self._utterances:
                if self._is_ending:
                    return
                self._changed.clear()
                await self._changed.wait()
            utterance = self._utterances[0]
            self._saying = saying = asyncio.ensure_future(self._say(utterance))
            try:
                await asyncio.wait({saying})
            finally:
                saying.cancel()
                await asyncio.gather(saying, return_exceptions=True)
            # A client that has cancelled it is told so, whatever came of it.
            if not utterance.is_over:
                utterance.is_over = True
                self._utterances.popleft()
                ended, fields = saying.result()
                await self._channel.send(ended, utterance_id=utterance.id, **fields)

    async def _say(self, utterance: _Utterance) -> tuple[str, dict[str, Any]]:
        """Speak an utterance to its end; returns the event that tells of it."""
        error: VoiceStackError
        duration_s = 0.0
        config = utterance.config
        try:
            speech = self._service.speak_along(utterance.text, config.speech(), model=config.model)
            async with aclosing(speech) as chunks:
                async for chunk in chunks:
                    if not duration_s:
                        await self._channel.send("speech.started", utterance_id=utterance.id)
                    duration_s += chunk.duration_s
                    for start in range(0, len(chunk.data), DELTA_BYTES):
                        audio = base64.b64encode(chunk.data[start : start + DELTA_BYTES]).decode()
                        await self._channel.send("speech.audio.delta", utterance_id=utterance.id, audio=audio)
        except VoiceStackError as known:
            error = known
        except ClientLeftError:
            raise
        except Exception:
            _logger.exception("an utterance failed")
            error = VoiceStackError("The service failed on this utterance; its log has the details.")
        else:
            usage = SpeechUsage.of(utterance.text.characters, duration_s)
            return "speech.audio.done", {"usage": usage.model_dump(), "duration_s": round(duration_s, 3)}
        if error.status >= 500:
            _logger.warning("an utterance failed: %s", error)
        return "speech.failed", {"error": error.envelope()["error"]}
