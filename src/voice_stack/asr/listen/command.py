"""``voice-stack listen``."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from voice_stack.asr.engine.base import AsrEngine, AudioBlock
from voice_stack.asr.engine_factory import create_engine
from voice_stack.asr.listen.captions import CaptionFormat, Captions, captions_for
from voice_stack.asr.listen.microphone import Microphone
from voice_stack.asr.listen.remote import service_hearing
from voice_stack.asr.listen.sources import PipeSource, Source
from voice_stack.asr.live.events import Failed, LiveEvent
from voice_stack.asr.live.options import LiveOptions, TurnDetection
from voice_stack.asr.service import AsrService
from voice_stack.core.errors import ConfigurationError, VoiceStackError
from voice_stack.core.settings import Settings
from voice_stack.utils.audio.interrupts import deadly_interrupts

STANDARD_INPUT = "-"

_STOPS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class ListenOptions:
    """What the command line says."""

    format: CaptionFormat = "text"
    language: str | None = None  # None: that of each utterance
    prompt: str | None = None
    silence_s: float = 0.5  # what ends an utterance
    threshold: float = 0.5  # probability from which on audio is speech
    quiet: bool = False
    url: str | None = None  # of a service that hears; None: this process does
    api_key: str | None = None  # for that service
    model: str | None = None  # for that service to load; None: its own

    @property
    def live(self) -> LiveOptions:
        """How the transcription is asked for."""
        turns = TurnDetection(threshold=self.threshold, silence_s=self.silence_s)
        return LiveOptions(language=self.language, prompt=self.prompt or None, turns=turns)


class Hearing(Protocol):
    """What takes audio and tells what is said in it: a ``LiveTranscription``."""

    def __aiter__(self) -> AsyncIterator[LiveEvent]: ...

    async def feed(self, samples: AudioBlock) -> None: ...

    async def finish(self) -> None: ...


def open_source(given: str | None, *, device: str | None, rate_hz: int) -> Source:
    """Standard input (``-``), or the microphone.

    Raises:
        ConfigurationError: it cannot be opened.
    """
    if given is None:
        try:
            return Microphone(device)
        except ConfigurationError as error:
            other = "arecord -f S16_LE -r 16000 -c 1 -t raw | voice-stack listen -"
            raise ConfigurationError(f"{error}. Or pipe audio in: {other}") from error
    if sys.stdin.isatty():
        raise ConfigurationError("standard input is the terminal: pipe audio into it, or leave the - out to speak")
    return PipeSource(sys.stdin.fileno(), rate_hz=rate_hz)


def listen(source: Source, settings: Settings, options: ListenOptions, engine: AsrEngine | None = None) -> int:
    """Show what is said while it is said, until the audio ends; returns the exit code: 1 where something was lost.

    Ctrl-C and SIGTERM end the audio: what was said until then is still shown. A second one ends the process, as does
    one before the model is ready.

    Raises:
        ConfigurationError: the engine is not installed, or the URL is none.
        InvalidRequestError: the model does not know the language, or what comes is no audio.
        VoiceStackError: the model cannot be loaded, the service cannot be reached, or the audio cannot be read.
    """
    captions = captions_for(options.format, growing=sys.stdout.isatty())
    hearing: AbstractAsyncContextManager[Hearing]
    if options.url is not None:
        hearing = service_hearing(options.url, options.live, model=options.model, api_key=options.api_key)
    else:
        hearing = _engine_hearing(settings, options.live, engine or create_engine(settings))
    with deadly_interrupts():
        return asyncio.run(_Listening(source, captions, quiet=options.quiet).run(hearing))


@asynccontextmanager
async def _engine_hearing(settings: Settings, options: LiveOptions, engine: AsrEngine) -> AsyncIterator[Hearing]:
    """Hears with an engine in this process; entered when it is ready."""
    service = AsrService(settings, engine, partial(create_engine, settings))
    service.lifecycle.start()
    try:
        await service.lifecycle.ready()
        async with service.live(options) as live:
            yield live
    finally:
        service.stop()
        await asyncio.to_thread(service.close)


class _Listening:
    """One source, shown to its end."""

    def __init__(self, source: Source, captions: Captions, *, quiet: bool) -> None:
        self._source = source
        self._captions = captions
        self._quiet = quiet
        self._failed = False

    async def run(self, hearing: AbstractAsyncContextManager[Hearing]) -> int:
        """Returns the exit code."""
        self._note("getting ready ...")
        async with hearing as live:
            with _stops(self._source.stop):
                self._note(f"listening to {self._source.name}; Ctrl-C ends it")
                return await self._run(live)

    async def _run(self, live: Hearing) -> int:
        feeding = asyncio.create_task(self._feed(live))
        try:
            await self._write(self._captions.begin())
            async for event in live:
                if isinstance(event, Failed):
                    self._failed = True
                    sys.stderr.write(f"voice-stack: not all of it was understood: {event.error}\n")
                await self._write(self._captions.add(event))
            await self._write(self._captions.end())
            await feeding
        except BrokenPipeError:
            # Whoever read has seen enough; Python would try again at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            self._failed = True
        finally:
            self._source.stop()
            feeding.cancel()
        return 1 if self._failed else 0

    async def _feed(self, live: Hearing) -> None:
        blocks = self._source.blocks()
        try:
            while (block := await asyncio.to_thread(next, blocks, None)) is not None:
                await live.feed(block)
        except Exception:
            await live.finish()
            raise
        await live.finish()

    async def _write(self, text: str) -> None:
        if text:
            # In a thread: whoever reads may be slow.
            await asyncio.to_thread(_write_out, text)

    def _note(self, message: str) -> None:
        if not self._quiet:
            sys.stderr.write(f"voice-stack: {message}\n")


def _write_out(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise VoiceStackError(f"standard output cannot be written: {error.strerror or error}") from error


@contextmanager
def _stops(stop: Callable[[], None]) -> Iterator[None]:
    """Call ``stop`` at the first Ctrl-C or SIGTERM; the next one ends the process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    handled = [number for number in _STOPS if signal.getsignal(number) is not signal.SIG_IGN]

    def let_go() -> None:
        for number in handled:
            # It leaves the system's own handler, but for SIGINT Python's.
            if loop.remove_signal_handler(number):
                signal.signal(number, signal.SIG_DFL)

    def stopped() -> None:
        let_go()
        stop()

    for number in handled:
        loop.add_signal_handler(number, stopped)
    try:
        yield
    finally:
        let_go()
