"""Decodes what clients send in processes of their own: a crash or a hang there costs its own request and no other."""

import asyncio
import io
import json
import logging
import math
import os
import signal
import socket
import time
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from pickle import dumps
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from voice_stack.core.errors import EngineError, InvalidAudioError, UnavailableError
from voice_stack.utils.audio.decode import decode_audio
from voice_stack.utils.audio.decoder_process import Forkserver, Message, Process, no_process
from voice_stack.utils.audio.duration import declared_duration_s, declared_rate_hz
from voice_stack.utils.audio.forkserver import END, FAILURE, REFUSAL, REQUEST, VALUE

_logger = logging.getLogger(__name__)

STALL_S = 30.0
"""A decoder that is waited for and gives nothing for this long is ended; one that computes without end, sooner
(``forkserver.CPU_S``)."""
_LEAST_BYTES_PER_S = 20e6  # a film may have to be read far until there is sound in it

LOOK_S = 0.2
"""How long a reader waits for a block before it lets others have their turn."""

SMALL_BYTES = 2**20
"""So much of an upload is in memory (Starlette's limit) and travels as it is; of a larger one, its descriptor."""

_forkserver = Forkserver()


def decode_isolated(
    source: BinaryIO, *, sample_rate_hz: int = 16_000, max_s: float = math.inf
) -> Generator[NDArray[np.float32], None, None]:
    """The same as ``decode_audio``, in a process of its own that ends with the generator.

    A block that is not ready within ``LOOK_S`` is preceded by empty ones, so that the reader can turn to something
    else. ``source`` may be closed meanwhile.

    Raises:
        InvalidAudioError: as ``decode_audio`` does, and where the file makes the decoder crash or hang.
        EngineError: the decoder failed in a way that nobody foresaw; the cause has its traceback.
        UnavailableError: there is no process to decode in.
    """
    with closing(_Decoder(decode_audio, source, sample_rate_hz=sample_rate_hz, max_s=max_s)) as decoder:
        while True:
            message = decoder.receive(LOOK_S)
            if message is None:
                yield np.zeros(0, np.float32)
                continue
            if message.kind == END:
                return
            yield np.frombuffer(message.data, np.float32)


async def declared_duration_isolated_s(source: BinaryIO) -> float | None:
    """The same as ``declared_duration_s``, in a process of its own; neither loop nor thread waits for it.

    Raises: as ``decode_isolated``.
    """
    starting = asyncio.ensure_future(asyncio.to_thread(_Decoder, declared_duration_s, source))
    try:
        decoder = await asyncio.shield(starting)
    except asyncio.CancelledError:
        starting.add_done_callback(_close)
        raise
    with closing(decoder):
        while True:
            # In a thread: a decoder that has died is replaced there.
            asking = asyncio.ensure_future(asyncio.to_thread(decoder.receive, 0))
            try:
                message = await asyncio.shield(asking)
            except asyncio.CancelledError:
                await asyncio.wait({asking})
                raise
            if message is not None:
                duration_s: float | None = json.loads(message.data)
                return duration_s
            await decoder.ready()


def declared_rate_isolated_hz(source: BinaryIO) -> int:
    """The same as ``declared_rate_hz``, in a process of its own.

    Raises: as ``decode_isolated``.
    """
    with closing(_Decoder(declared_rate_hz, source)) as decoder:
        while (message := decoder.receive(LOOK_S)) is None:
            pass
        return int(json.loads(message.data))


def start_decoders() -> None:
    """Make ready what decoders are forked from; it would otherwise start with the first of them. Returns at once."""
    _forkserver.start()


def stop_decoders() -> None:
    """End it, and all decoders; the next one starts it again."""
    _forkserver.stop()


class _Decoder:
    """One function at work on one file, in a process of its own.

    Args:
        function: of a module, called with the file and ``options`` there; it gives blocks of float32, or one value
            that JSON can hold.
        source: a seekable file.
    """

    def __init__(self, function: Callable[..., Any], source: BinaryIO, **options: Any) -> None:
        # To seek also writes out what was written to it so far.
        size = source.seek(0, io.SEEK_END)
        self.patience_s = STALL_S + size / _LEAST_BYTES_PER_S
        self._waited_s = 0.0
        self._process: Process | None = None
        self._files: list[int] = []
        content = None
        if size > SMALL_BYTES:
            with suppress(io.UnsupportedOperation):
                self._files = [os.dup(source.fileno())]
        if not self._files:
            source.seek(0)
            content = source.read()
        self._request = dumps((function, options, content))
        try:
            self._begin(fresh=False)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End its process, unless that has done all that it was asked for."""
        if self._process is not None:
            self._process.close()
            self._process = None
        self._let_go()

    def receive(self, wait_s: float) -> Message | None:
        """The next of its messages: a block, a value or the end; None where none comes in this time.

        Raises: as ``decode_isolated``.
        """
        process = self._at_work()
        began_at = time.monotonic()
        if not process.is_readable(wait_s):
            # Only while somebody waits for it: a slow reader slows the decoder down.
            self._waited_s += time.monotonic() - began_at
            if self._waited_s > self.patience_s:
                raise self._hung()
            return None
        try:
            message = process.read()
        except TimeoutError:
            raise self._hung() from None
        except (EOFError, OSError):
            if process.is_fresh or not self._request:
                raise self._died() from None
            # It may have been on its way out, or suffer from what it decoded before: that is not this file's fault.
            process.close()
            self._begin(fresh=True)
            return None
        self._waited_s = 0.0
        self._let_go()
        _check(message)
        if message.kind in {VALUE, END} and message.goes_on:
            self._process = None
            _forkserver.give_back(process)
        return message

    async def ready(self) -> None:
        """Wait for what ``receive`` can take.

        Raises:
            InvalidAudioError: nothing came.
        """
        loop, readable = asyncio.get_running_loop(), asyncio.Event()
        channel = self._at_work().channel.fileno()
        loop.add_reader(channel, readable.set)
        try:
            await asyncio.wait_for(readable.wait(), self.patience_s)
        except asyncio.TimeoutError:
            raise self._hung() from None
        finally:
            loop.remove_reader(channel)

    def _begin(self, *, fresh: bool) -> None:
        self._process = process = _forkserver.take(fresh=fresh)
        try:
            process.channel.settimeout(self.patience_s)
            socket.send_fds(process.channel, [REQUEST.pack(len(self._request))], self._files)
            process.channel.sendall(self._request)
        except OSError:
            # It has ended: what became of it shows when it is asked.
            _logger.debug("a decoder took no request", exc_info=True)

    def _at_work(self) -> Process:
        assert self._process is not None  # noqa: S101 - nobody asks on after the end
        return self._process

    def _let_go(self) -> None:
        """What would be needed to begin anew."""
        self._request = b""
        while self._files:
            os.close(self._files.pop())

    def _hung(self) -> InvalidAudioError:
        _logger.warning("a decoder gave nothing for %.0f s and is ended", self.patience_s)
        return _unfit("hang")

    def _died(self) -> InvalidAudioError | UnavailableError:
        exit_code = self._at_work().exit_code()
        if exit_code is None:
            _logger.warning("the process that decoders are forked from has ended, or could not fork")
            return no_process()
        reason = signal.strsignal(-exit_code) if exit_code < 0 else f"exit code {exit_code}"
        _logger.warning("a decoder died of what it was given: %s", reason)
        return _unfit("hang" if exit_code == -signal.SIGXCPU else "fail")


def _check(message: Message) -> None:
    if message.kind == REFUSAL:
        text, param, code = json.loads(message.data)
        raise InvalidAudioError(text, param=param, code=code)
    if message.kind == FAILURE:
        cause = RuntimeError(message.data.decode(errors="replace"))
        raise EngineError("The file could not be decoded; the log has the details.") from cause


def _close(starting: "asyncio.Future[_Decoder]") -> None:
    if starting.exception() is None:
        starting.result().close()


def _unfit(what: str) -> InvalidAudioError:
    return InvalidAudioError(
        f"The file made the decoder {what}: it is damaged, or made to do so. Convert it, to WAV say.", param="file"
    )
