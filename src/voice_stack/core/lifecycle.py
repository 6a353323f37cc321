"""Where a service stands: its model loads beside the open port, is used, and is let go of while nobody needs it."""

import asyncio
import enum
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from voice_stack.core.errors import (
    EngineError,
    ModelLoadError,
    QueueFullError,
    StoppingError,
    VoiceStackError,
)
from voice_stack.core.memory import give_back_memory, mapped_files, unmap_code

_logger = logging.getLogger(__name__)

RETRY_S = 30
"""When a model that could not be loaded again is tried once more, if no request does so before."""
_LOOK_AGAIN_S = 1.0


class State(enum.Enum):
    """What ``/health`` reports as ``status``."""

    LOADING = "loading"
    READY = "ok"
    IDLE = "idle"  # the model was let go of; the next request loads it again
    FAILED = "failed"
    STOPPING = "stopping"


class Lifecycle:
    """Loads the model in a thread of its own, lets requests wait for it, and knows whether it is in use.

    Args:
        load: blocks until the model can be used; raises ``VoiceStackError`` when it cannot be loaded.
        unload: lets go of the model, so that ``load`` can load it again; blocks.
        max_waiting: requests that may wait for the model; one more is refused.
        ttl_s: seconds without use after which the model is let go of; 0: never.
        is_busy: whether work that its request has left behind may still need the model.
    """

    def __init__(
        self,
        load: Callable[[], None],
        unload: Callable[[], None],
        *,
        max_waiting: int,
        ttl_s: float = 0,
        is_busy: Callable[[], bool] = lambda: False,
    ) -> None:
        self._load = load
        self._unload = unload
        self._max_waiting = max_waiting
        self._ttl_s = ttl_s
        self._is_busy = is_busy
        self._waiting = 0
        self._users = 0  # those that wait for it included
        self._was_loaded = False
        self._serves_on = False  # where it stops
        self._attempt: asyncio.Future[VoiceStackError | None] | None = None
        self._unloading: threading.Thread | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._mapped_before: frozenset[str] | None = None
        self.state = State.LOADING
        self.error: VoiceStackError | None = None
        """Why this process will never have its model again."""
        self.reload_error: VoiceStackError | None = None
        """Why the model, which was let go of, could not be loaded again the last time."""
        self.on_loaded: Callable[[float], None] = lambda seconds: None  # noqa: ARG005
        """Called on the loop with the seconds that it took to load the model."""
        self.on_unloaded: Callable[[], None] = lambda: None
        """Called on the loop when the model was let go of."""

    @property
    def is_healthy(self) -> bool:
        """Whether requests may come: the model is there, or was and is loaded again for them."""
        return self.state in {State.READY, State.IDLE} or (self.state is State.LOADING and self._was_loaded)

    def start(self) -> None:
        """Begin to load the model; returns at once."""
        self._begin()

    def fail(self, error: VoiceStackError) -> None:
        """The model, which was ready, can no longer be used."""
        if self.state is State.READY:
            _logger.error("the model can no longer be used: %s", error)
            self._disarm()
            self.state, self.error = State.FAILED, error

    async def ready(self) -> None:
        """Wait until the model was loaded for the first time: enough for what is known while it is let go of.

        Raises:
            ModelLoadError: it could not be loaded.
            QueueFullError: too many requests wait for it.
            StoppingError: the service is stopping.
        """
        if self._was_loaded:
            self._check(self.error)
        else:
            await self._loaded()

    @asynccontextmanager
    async def in_use(self) -> AsyncIterator[None]:
        """Wait for the model, load it again where it was let go of, and keep it while the ``with`` block lasts.

        Raises: as ``ready``. A model that could not be loaded again is tried anew by the next request.
        """
        self._users += 1
        self._disarm()
        try:
            await self._loaded()
            yield
        finally:
            self._users -= 1
            self._arm()

    def stop(self) -> None:
        """From now on requests are refused that would have to wait for the model; those that wait for it are, too."""
        self._serves_on = self._serves_on or self.state is State.READY
        self.state = State.STOPPING
        self._disarm()
        if self._attempt is not None and not self._attempt.done():
            self._attempt.set_result(None)

    async def _loaded(self) -> None:
        error = self.error
        if error is None and self.state not in {State.READY, State.STOPPING}:
            if self._waiting >= self._max_waiting:
                raise QueueFullError("The model is still being loaded and many requests wait for it.", retry_after_s=5)
            attempt = self._attempt if self.state is State.LOADING and self._attempt else self._begin()
            self._waiting += 1
            try:
                # Others wait for the same attempt.
                error = await asyncio.shield(attempt)
            finally:
                self._waiting -= 1
        self._check(error)

    def _check(self, error: VoiceStackError | None) -> None:
        if self.state is State.STOPPING and not self._serves_on:
            raise StoppingError("The service is stopping; try again in a moment.")
        if error is not None:
            raise ModelLoadError(f"The model is not available: {error}", retry_after_s=RETRY_S)

    def _begin(self) -> "asyncio.Future[VoiceStackError | None]":
        self._disarm()
        self.state = State.LOADING
        loop = asyncio.get_running_loop()
        attempt = self._attempt = loop.create_future()
        unloading = self._unloading

        def run() -> None:
            if unloading is not None:
                unloading.join()
            if self._ttl_s and self._mapped_before is None:
                self._mapped_before = mapped_files()
            started_at = time.monotonic()
            error = self._try_to_load()
            _post(loop, self._settle, attempt, error, time.monotonic() - started_at)

        # A daemon, so that a download of gigabytes does not keep a stopped process alive.
        threading.Thread(target=run, name="model-loader", daemon=True).start()
        return attempt

    def _try_to_load(self) -> VoiceStackError | None:
        try:
            self._load()
        except VoiceStackError as known:
            _logger.error("the model could not be loaded: %s", known)  # noqa: TRY400
            return known
        except Exception:
            _logger.exception("the model could not be loaded")
            return EngineError("The model could not be loaded; the log has the details.")
        _logger.info("the model is ready")
        return None

    def _settle(
        self, attempt: "asyncio.Future[VoiceStackError | None]", error: VoiceStackError | None, seconds: float
    ) -> None:
        if error is None:
            self._was_loaded = True
            self.on_loaded(seconds)
        if self._was_loaded:
            self.reload_error = error
        else:
            self.error = error
        if self.state is State.LOADING:
            self.state = State.FAILED if error else State.READY
            self._arm()
        if not attempt.done():
            attempt.set_result(error)

    def _arm(self) -> None:
        self._disarm()
        loop = asyncio.get_running_loop()
        if self.state is State.READY and self._ttl_s and not self._users:
            self._timer = loop.call_later(self._ttl_s, self._let_go)
        elif self.state is State.FAILED and self.error is None:
            self._timer = loop.call_later(RETRY_S, self._begin)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _let_go(self) -> None:
        loop = asyncio.get_running_loop()
        if self._is_busy():
            self._timer = loop.call_later(min(self._ttl_s, _LOOK_AGAIN_S), self._let_go)
            return
        _logger.info("letting go of the model, which nobody used for %g s", self._ttl_s)
        self.state = State.IDLE

        def run() -> None:
            try:
                self._unload()
            except Exception:
                _logger.exception("the model could not be let go of")
            unmap_code(keep=self._mapped_before or ())
            give_back_memory()
            _logger.info("the model's memory was given back")
            _post(loop, self.on_unloaded)

        self._unloading = threading.Thread(target=run, name="model-unloader")
        self._unloading.start()


def _post(loop: asyncio.AbstractEventLoop, call: Callable[..., None], *args: Any) -> None:
    # The loop is closed when the process ended meanwhile.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(call, *args)
