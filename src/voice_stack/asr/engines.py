"""The engines of one service: the configured one, and those with models that requests named."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from voice_stack.asr.engine.base import AsrEngine
from voice_stack.core.errors import UnavailableError
from voice_stack.core.memory import give_back_memory

_logger = logging.getLogger(__name__)

_LOOK_AGAIN_S = 1.0


@dataclass
class _Loaded:
    engine: AsrEngine
    loading: "asyncio.Task[None]"
    users: int = 0
    timer: asyncio.TimerHandle | None = None


class NamedEngines:
    """Loads models when a request names them, keeps a few, and lets go of the one unused for longest.

    A model is never let go of while it is in use, and never loaded twice.

    Args:
        create: builds an engine with the model of that name; nothing is loaded yet.
        most: how many models there may be at a time.
        ttl_s: seconds without use after which a model is let go of; 0: never.
        is_busy: whether work that its request has left behind may still need a model.
    """

    def __init__(
        self,
        create: Callable[[str], AsrEngine],
        *,
        most: int,
        ttl_s: float = 0,
        is_busy: Callable[[], bool] = lambda: False,
    ) -> None:
        self._create = create
        self._most = most
        self._ttl_s = ttl_s
        self._is_busy = is_busy
        self._loaded: OrderedDict[str, _Loaded] = OrderedDict()  # the one used last is the last
        self._freeing: asyncio.Future[None] | None = None

    @asynccontextmanager
    async def lend(self, name: str) -> AsyncIterator[AsrEngine]:
        """The engine with a model, loaded, for as long as the ``with`` block lasts.

        Raises:
            ModelNotFoundError: there is no such model, or it may not be fetched.
            ModelLoadError: it cannot be used.
            UnavailableError: as many other models as there may be are in use.
        """
        loaded = self._loaded.get(name) or self._begin_to_load(name)
        self._loaded.move_to_end(name)
        loaded.users += 1
        self._disarm(loaded)
        try:
            # Others may wait for the same model: this request must not end its loading.
            await asyncio.shield(loaded.loading)
            yield loaded.engine
        finally:
            loaded.users -= 1
            self._arm(name, loaded, self._ttl_s)

    def _begin_to_load(self, name: str) -> _Loaded:
        if len(self._loaded) >= self._most:
            self._make_room()
        engine = self._create(name)
        loaded = self._loaded[name] = _Loaded(engine, asyncio.ensure_future(self._load(engine)))
        loaded.loading.add_done_callback(lambda loading: self._on_loaded(name, loading))
        return loaded

    async def _load(self, engine: AsrEngine) -> None:
        if self._freeing is not None:
            await asyncio.wait({self._freeing})
        await asyncio.to_thread(engine.load)

    def _make_room(self) -> None:
        unused = next((name for name, loaded in self._loaded.items() if not loaded.users), None)
        if unused is None:
            raise UnavailableError(
                f"The models {', '.join(self._loaded)} are in use, and no more fit beside them (ASR_MAX_NAMED_MODELS). "
                "Try again later, or leave out 'model'.",
                retry_after_s=10,
            )
        _logger.info("letting go of the model %s", unused)
        self._disarm(self._loaded.pop(unused))

    def _on_loaded(self, name: str, loading: "asyncio.Task[None]") -> None:
        if not loading.cancelled() and loading.exception() is None:
            _logger.info("loaded the model %s, which a request named", name)
        elif name in self._loaded and self._loaded[name].loading is loading:
            del self._loaded[name]

    def _arm(self, name: str, loaded: _Loaded, after_s: float) -> None:
        if self._ttl_s and not loaded.users and self._loaded.get(name) is loaded:
            loaded.timer = asyncio.get_running_loop().call_later(after_s, self._let_go, name, loaded)

    def _disarm(self, loaded: _Loaded) -> None:
        if loaded.timer is not None:
            loaded.timer.cancel()
            loaded.timer = None

    def _let_go(self, name: str, loaded: _Loaded) -> None:
        if self._is_busy() or not loaded.loading.done():
            self._arm(name, loaded, min(self._ttl_s, _LOOK_AGAIN_S))
            return
        _logger.info("letting go of the model %s, which nobody used for %g s", name, self._ttl_s)
        engine = self._loaded.pop(name).engine
        self._freeing = asyncio.get_running_loop().run_in_executor(None, _free, engine)


def _free(engine: AsrEngine) -> None:
    engine.unload()
    give_back_memory()
