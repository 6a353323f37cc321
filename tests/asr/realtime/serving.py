"""An app that serves realtime sessions with an engine that says what it is told."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import uvicorn

from tests.conftest import CACHE
from tests.support.engines import FakeAsrEngine
from tests.support.serving import free_port, wait_until
from voice_stack.asr.app import create_app
from voice_stack.asr.engine.base import SAMPLE_RATE_HZ, Capabilities, Hypothesis, Language, LiveWindow, Piece
from voice_stack.asr.service import AsrService
from voice_stack.core.errors import EngineError
from voice_stack.core.notify import Notifier
from voice_stack.core.server import VoiceServer
from voice_stack.core.settings import Settings
from voice_stack.core.websocket_protocol import MAX_FRAME_BYTES, LimitedWebSocket
from voice_stack.utils.scheduling import Work


class Server(VoiceServer):
    """One that leaves the process of the tests alone."""

    def _end_without_the_rest(self) -> None:
        pass


class CountingEngine(FakeAsrEngine):
    """Hears a word in each half second, whatever is in it: ``one two three`` ..."""

    WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")

    def __init__(self, *, fails: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.fails = fails
        self.windows: list[LiveWindow] = []

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, live=True)

    def hypothesis(self, window: LiveWindow) -> Work[Hypothesis]:
        return Work(self._hear, window, key=None, cost_s=window.samples.size / SAMPLE_RATE_HZ)

    def _hear(self, windows: Sequence[LiveWindow]) -> list[Hypothesis]:
        self.windows += windows
        self.gate.step()
        if self.fails:
            raise EngineError("The fake engine was told to fail.")
        return [self._count(window) for window in windows]

    def _count(self, window: LiveWindow) -> Hypothesis:
        count = round(window.samples.size / SAMPLE_RATE_HZ * 2)
        pieces = [
            Piece(f" {self.WORDS[number % 12]}", (number,), (number / 2, number / 2 + 0.4)) for number in range(count)
        ]
        return Hypothesis(tuple(pieces), Language(window.options.language or "en", 0.9), -0.1, 1.0, 0.0)


@dataclass(frozen=True)
class Served:
    """A running app; its loop runs in a thread of its own."""

    url: str
    service: AsrService
    server: VoiceServer
    loop: asyncio.AbstractEventLoop

    def stop(self) -> None:
        """Ask it to stop, as a signal does."""
        self.server.should_exit = True

    def tasks(self) -> set[str]:
        """What its loop does now."""
        return {str(task.get_coro()) for task in asyncio.all_tasks(self.loop)}


@contextmanager
def serving(engine: FakeAsrEngine, **changes: Any) -> Iterator[Served]:
    """Serve the app on a free port; the changes are to the settings' defaults."""
    settings = Settings(_env_file=None, **{"model_dir": CACHE / "models", "hf_hub_offline": True, **changes})
    app = create_app(settings, engine=engine)
    port = free_port()
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=port,
        log_config=None,
        ws=LimitedWebSocket,
        ws_max_size=MAX_FRAME_BYTES,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=10,
    )
    server = Server(config, grace_s=10, notifier=Notifier())
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        await server.serve()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        wait_until(lambda: server.started)
        yield Served(f"http://127.0.0.1:{port}", app.state.service, server, loops[0])
    finally:
        engine.gate.open()
        server.should_exit = True
        thread.join(60)
        assert not thread.is_alive()
