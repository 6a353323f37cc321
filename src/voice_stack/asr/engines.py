"""The engines of one service: the configured one, and those with models that requests named."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from voice_stack.asr.engine.base import AsrEngine
from voice_stack.core.errors import UnavailableError

_logger = logging.getLogger(__name__)


@dataclass
class _Loaded:
    engine: AsrEngine
    loading: "asyncio.Task[None]"
    users: int = 0


class NamedEngines:
    """Loads models when a request names them, keeps a few, and lets go of the one unused for longest.

    A model is never let go of while it is in use, and never loaded twice.

    Args:
        create: builds an engine with the model of that name; nothing is loaded yet.
        most: how many models there may be at a time.
    """

    def __init__(self, create: Callable[[str], AsrEngine], *, most: int) -> None:
        self._create = create
        self._most = most
        self._loaded: OrderedDict[str, _Loaded] = OrderedDict()  # the one used last is the last

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
        try:
            # Others may wait for the same model: this request must not end its loading.
            await asyncio.shield(loaded.loading)
            yield loaded.engine
        finally:
            loaded.users -= 1

    def _begin_to_load(self, name: str) -> _Loaded:
        if len(self._loaded) >= self._most:
            self._make_room()
        engine = self._create(name)
        loaded = self._loaded[name] = _Loaded(engine, asyncio.ensure_future(asyncio.to_thread(engine.load)))
        loaded.loading.add_done_callback(lambda loading: self._on_loaded(name, loading))
        return loaded

    def _make_room(self) -> None:
        unused = next((name for name, loaded in self._loaded.items() if not loaded.users), None)
        if unused is None:
            raise UnavailableError(
                f"The models {', '.join(self._loaded)} are in use, and no more fit beside them (ASR_MAX_NAMED_MODELS). "
                "Try again later, or leave out 'model'.",
                retry_after_s=10,
            )
        _logger.info("letting go of the model %s", unused)
        del self._loaded[unused]

    def _on_loaded(self, name: str, loading: "asyncio.Task[None]") -> None:
        if not loading.cancelled() and loading.exception() is None:
            _logger.info("loaded the model %s, which a request named", name)
        elif name in self._loaded and self._loaded[name].loading is loading:
            del self._loaded[name]
