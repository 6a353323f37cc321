"""One session: what the client sends goes into a live transcription, and what that tells goes to the client."""

import asyncio
import time
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any

from voice_stack.asr.live.transcription import LiveTranscription
from voice_stack.asr.realtime.audio import AudioInput, decode_base64
from voice_stack.asr.realtime.events import told
from voice_stack.asr.schemas.realtime import SessionConfig
from voice_stack.asr.service import AsrService
from voice_stack.core.channel import Channel, ClientLeftError
from voice_stack.core.errors import InvalidRequestError, SessionExpiredError, StoppingError, VoiceStackError, quoted

FINISH_S = 5.0
"""How long what was said last may take at the end of a session that the service ends."""

PIECE_BYTES = 65_536
"""How much audio is converted at a time; a client may send 11 MiB at once."""

OPENAI_PREFIXES = ("gpt-", "whisper-1")
"""Of all names of OpenAI's models, also of those that do not transcribe: their SDK for JavaScript needs one."""

EVENTS = (
    "session.update",
    "transcription_session.update",
    "input_audio_buffer.append",
    "input_audio_buffer.commit",
    "input_audio_buffer.clear",
)
_OPENAI_ONLY = (
    "conversation.item.create",
    "conversation.item.delete",
    "conversation.item.retrieve",
    "conversation.item.truncate",
    "output_audio_buffer.clear",
    "response.cancel",
    "response.create",
)


class RealtimeSession:
    """Speaks OpenAI's Realtime protocol over a channel, for transcription.

    Reading and telling go on side by side. A client that does not read stops its transcription, and then the reading
    of what it sends: nothing is kept without bounds.

    Args:
        config: what holds until the client changes it.
        beta: whether the client speaks the protocol as it was in OpenAI's beta.
    """

    def __init__(self, channel: Channel, service: AsrService, config: SessionConfig, *, beta: bool = False) -> None:
        self._channel = channel
        self._service = service
        self._config = config
        self._beta = beta
        self._own_model = service.describe()["model"]
        longest_s = service.sessions.longest_s
        self._expires_at = int(time.time() + longest_s) if longest_s else None
        self._audio = _audio_input(config)
        self._has_audio = False

    async def hold(self) -> None:
        """Go on until the session ends.

        Raises:
            ClientLeftError: the client has ended it.
            StoppingError, SessionExpiredError: what was said until then has been told.
            VoiceStackError: the model is not there, or failed for good.
        """
        is_named = self._model(self._config) is not None
        if not is_named:
            # The model may still be loading, but there is one.
            await self._tell_session("created")
        self._opened = await self._open(self._config)
        reading = asyncio.ensure_future(self._read())
        try:
            if is_named:
                await self._tell_session("created")
            await self._until_ended(reading)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            await self._opened.close()
            # Else tasks and tracebacks would keep each other, and the last audio, until Python looks for such circles.
            del self._opened, self._audio

    async def _until_ended(self, reading: "asyncio.Task[None]") -> None:
        while not reading.done():
            telling = self._opened.telling
            await asyncio.wait({reading, telling}, return_when=asyncio.FIRST_COMPLETED)
            # Another one tells where the client has chosen another model.
            if telling.done() and telling is self._opened.telling:
                return _take_result(telling)
        try:
            _take_result(reading)
        except (SessionExpiredError, StoppingError):
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._finish(), FINISH_S)
            raise

    async def _finish(self) -> None:
        opened = self._opened
        await opened.live.feed(await asyncio.to_thread(self._audio.flush))
        await opened.live.finish()
        await opened.telling

    def _model(self, config: SessionConfig) -> str | None:
        """The model that is to be loaded; None: the configured one, which OpenAI's names stand for."""
        name = config.audio.input.transcription.model
        return None if name is None or name == self._own_model or name.startswith(OPENAI_PREFIXES) else name

    async def _open(self, config: SessionConfig) -> "_Opened":
        context = self._service.live(config.options(), model=self._model(config))
        live = await context.__aenter__()
        return _Opened(context, live, asyncio.ensure_future(self._tell(live)))

    async def _tell(self, live: LiveTranscription) -> None:
        async for event in live:
            for type_, fields in told(event, beta=self._beta):
                await self._channel.send(type_, **fields)

    async def _read(self) -> None:
        while True:
            await self._channel.take(self._handle)

    async def _handle(self, event: dict[str, Any]) -> None:
        match event["type"]:
            case "session.update":
                await self._update(event)
            case "transcription_session.update":
                await self._update_beta(event)
            case "input_audio_buffer.append":
                await self._append(event)
            case "input_audio_buffer.commit":
                await self._commit()
            case "input_audio_buffer.clear":
                await self._clear()
            case type_ if type_ in _OPENAI_ONLY:
                raise InvalidRequestError(
                    f"This service only transcribes, and keeps no conversation: it does not take {type_!r}. "
                    f"It takes {', '.join(EVENTS)}.",
                    param="type",
                    code="unsupported_event",
                )
            case type_:
                raise InvalidRequestError(
                    f"There is no event {quoted(type_)}; this service takes {', '.join(EVENTS)}.",
                    param="type",
                    code="unknown_event",
                )

    async def _update(self, event: dict[str, Any]) -> None:
        await self._configure(self._config.updated(event.get("session")), "session.audio.input.transcription")
        await self._tell_session("updated")

    async def _update_beta(self, event: dict[str, Any]) -> None:
        await self._configure(self._config.updated_beta(event.get("session")), "session.input_audio_transcription")
        self._beta = True
        await self._tell_session("updated")

    async def _configure(self, config: SessionConfig, transcription: str) -> None:
        try:
            if self._model(config) != self._model(self._config):
                await self._change_model(config)
            else:
                self._opened.live.configure(config.options())
        except VoiceStackError as error:
            error.param = error.param and f"{transcription}.{error.param}"
            raise
        if config.audio.input.format != self._config.audio.input.format:
            await self._opened.live.feed(await asyncio.to_thread(self._audio.flush))
            self._audio = _audio_input(config)
        self._config = config

    async def _change_model(self, config: SessionConfig) -> None:
        if self._has_audio:
            raise InvalidRequestError(
                "The model can be changed until the first audio is sent; open another session for another model.",
                param="model",
            )
        before, self._opened = self._opened, await self._open(config)
        await before.close()

    async def _append(self, event: dict[str, Any]) -> None:
        audio = event.get("audio")
        if not isinstance(audio, str):
            raise InvalidRequestError("audio: base64 is needed.", param="audio")
        if len(audio) > PIECE_BYTES:
            data = await asyncio.to_thread(decode_base64, audio)
            self._has_audio = True
            for start in range(0, len(data), PIECE_BYTES):
                samples = await asyncio.to_thread(self._audio.take, data[start : start + PIECE_BYTES])
                await self._opened.live.feed(samples)
            return
        samples = await asyncio.to_thread(self._audio.take_base64, audio)
        self._has_audio = True
        await self._opened.live.feed(samples)

    async def _commit(self) -> None:
        await self._opened.live.feed(await asyncio.to_thread(self._audio.flush))
        await self._opened.live.commit()

    async def _clear(self) -> None:
        self._audio = _audio_input(self._config)
        await self._opened.live.clear()
        await self._channel.send("input_audio_buffer.cleared")

    async def _tell_session(self, what: str) -> None:
        about = {"id": self._channel.id, "object": "realtime.transcription_session", "expires_at": self._expires_at}
        if self._beta:
            await self._channel.send(f"transcription_session.{what}", session={**about, **self._config.beta()})
        else:
            await self._channel.send(f"session.{what}", session={**about, **self._config.model_dump()})


class _Opened:
    """A live transcription, and the task that tells of it."""

    def __init__(
        self,
        context: AbstractAsyncContextManager[LiveTranscription],
        live: LiveTranscription,
        telling: "asyncio.Task[None]",
    ) -> None:
        self._context = context
        self.live = live
        self.telling = telling

    async def close(self) -> None:
        """Abandon what is in progress."""
        self.telling.cancel()
        await asyncio.gather(self.telling, return_exceptions=True)
        await self._context.__aexit__(None, None, None)


def _take_result(task: "asyncio.Task[None]") -> None:
    """Raise what a task has ended with."""
    if isinstance(task.exception(), ClientLeftError):
        # A new one: the traceback of the other holds on to all that the task had at hand.
        raise ClientLeftError
    task.result()


def _audio_input(config: SessionConfig) -> AudioInput:
    given = config.audio.input.format
    return AudioInput(given.type, given.rate)
