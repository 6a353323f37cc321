"""Where a service stands: its model loads beside the open port, is ready, failed, or the service is stopping."""

import asyncio
import enum
import logging
import threading
from collections.abc import Callable

from voice_stack.core.errors import (
    EngineError,
    ModelLoadError,
    QueueFullError,
    StoppingError,
    VoiceStackError,
)

_logger = logging.getLogger(__name__)


class State(enum.Enum):
    """What ``/health`` reports as ``status``."""

    LOADING = "loading"
    READY = "ok"
    FAILED = "failed"
    STOPPING = "stopping"


class Lifecycle:
    """Loads the model in a thread of its own and lets requests wait for it.

    Args:
        load: blocks until the model can be used; raises ``VoiceStackError`` when it never will.
        max_waiting: requests that may wait for the model; one more is refused.
    """

    def __init__(self, load: Callable[[], None], *, max_waiting: int) -> None:
        self._load = load
        self._max_waiting = max_waiting
        self._waiting = 0
        self._settled = asyncio.Event()
        self.state = State.LOADING
        self.error: VoiceStackError | None = None

    def start(self) -> None:
        """Begin to load the model; returns at once."""
        loop = asyncio.get_running_loop()

        def run() -> None:
            error: VoiceStackError | None = None
            try:
                self._load()
                _logger.info("the model is ready")
            except VoiceStackError as known:
                error = known
                _logger.error("the model could not be loaded: %s", known)  # noqa: TRY400
            except Exception:
                error = EngineError("The model could not be loaded; the log has the details.")
                _logger.exception("the model could not be loaded")
            # The loop is closed when the process ended meanwhile.
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._settle, error)

        # A daemon, so that a download of gigabytes does not keep a stopped process alive.
        threading.Thread(target=run, name="model-loader", daemon=True).start()

    def _settle(self, error: VoiceStackError | None) -> None:
        self.error = error
        if self.state is State.LOADING:
            self.state = State.FAILED if error else State.READY
        self._settled.set()

    def fail(self, error: VoiceStackError) -> None:
        """The model, which was ready, can no longer be used."""
        if self.state is State.READY:
            _logger.error("the model can no longer be used: %s", error)
            self.state, self.error = State.FAILED, error

    async def ready(self) -> None:
        """Wait until the model is loaded.

        Raises:
            ModelLoadError: it could not be loaded.
            QueueFullError: too many requests wait for it.
            StoppingError: the service is stopping.
        """
        if self.state is State.LOADING:
            if self._waiting >= self._max_waiting:
                raise QueueFullError("The model is still being loaded and many requests wait for it.", retry_after_s=5)
            self._waiting += 1
            try:
                await self._settled.wait()
            finally:
                self._waiting -= 1
        if self.state is State.STOPPING:
            raise StoppingError("The service is stopping; try again in a moment.")
        if self.error is not None:
            raise ModelLoadError(f"The model is not available: {self.error}", retry_after_s=30)

    def stop(self) -> None:
        """From now on requests are refused; those waiting for the model are, too."""
        self.state = State.STOPPING
        self._settled.set()
