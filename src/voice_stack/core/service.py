"""What both services are made of: one engine, one queue, the life of the model, and the names it answers to."""

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from voice_stack.core.lifecycle import Lifecycle
from voice_stack.core.metrics import Metrics
from voice_stack.core.models_api import Model, model_not_found
from voice_stack.core.sessions import Sessions
from voice_stack.core.settings import Service, Settings
from voice_stack.utils.queue_manager import StepQueue
from voice_stack.utils.scheduling import Kind

_logger = logging.getLogger(__name__)


class Engine(Protocol):
    """A speech engine as far as both services know it."""

    name: str

    @property
    def model(self) -> str:
        """The model's name to clients."""

    @property
    def device(self) -> str:
        """Where the model runs, or will run."""

    def load(self) -> None:
        """Load the model; blocks."""

    def unload(self) -> None:
        """Let go of the model, which ``load`` can load again; blocks."""


class EngineService:
    """Serves one engine, several requests in turns.

    Args:
        openai_models: OpenAI's own model names; here they mean the configured model.
        max_active: requests of each kind that take turns; the others wait.
        workers: steps that may run at the same time, on threads of their own.
        load: makes the service ready; blocks. None: loading the engine does.
        unload: undoes that where the service is not used for ``MODEL_TTL_S``. None: unloading the engine does.
    """

    def __init__(
        self,
        name: Service,
        settings: Settings,
        engine: Engine,
        *,
        openai_models: Sequence[str],
        max_active: Mapping[Kind, int],
        workers: int = 1,
        load: Callable[[], None] | None = None,
        unload: Callable[[], None] | None = None,
    ) -> None:
        self._about = engine
        self.max_wait_s = settings.max_wait_s or math.inf
        self._kinds = [kind for kind in max_active if kind is not Kind.URGENT]
        self._openai_models = openai_models
        self._started_at = int(time.time())
        self.metrics = Metrics(name)
        self.sessions = Sessions(
            most=settings.max_sessions, idle_s=settings.session_idle_s, longest_s=settings.max_session_s
        )
        self.queue = StepQueue(
            name, workers=workers, max_active=max_active, max_waiting=settings.max_queue, observer=self.metrics
        )
        self.lifecycle = Lifecycle(
            load or engine.load,
            unload or engine.unload,
            max_waiting=settings.max_queue,
            ttl_s=settings.model_ttl_s,
            is_busy=self.is_busy,
        )
        self.lifecycle.on_loaded = self.metrics.model_loaded
        self.lifecycle.on_unloaded = self.metrics.model_unloaded

    def is_busy(self) -> bool:
        """Whether a step is in progress: it may be, for seconds, when its request has gone."""
        return self.queue.active > 0

    def check_room(self, size_bytes: int | None) -> None:  # noqa: ARG002 - for services that know by the size
        """Refuse one more request where the queue has no place for one of its size.

        Raises:
            QueueFullError: as many as may wait do so already.
        """
        self.queue.check_room(*self._kinds)

    def describe(self) -> Mapping[str, Any]:
        """What health tells of this service."""
        return {
            "engine": self._about.name,
            "model": self._about.model,
            "device": self._about.device,
            "queue_depth": self.queue.depth,
            "active": self.queue.active,
            "sessions": self.sessions.open,
        }

    def take_stock(self) -> None:
        """Tell the metrics how things stand."""
        self.metrics.take_stock(
            depth=self.queue.depth,
            active=self.queue.active,
            sessions=self.sessions.open,
            state=self.lifecycle.state,
        )

    def reload(self) -> None:
        """Read again what may be read again while the service runs. Blocks."""
        _logger.info("there is nothing to read again: settings take a restart")

    def stop(self) -> None:
        """Fail the requests that wait; those in progress go on, as do those that come and need not wait.

        Sessions finish what is being said.
        """
        self.sessions.stop()
        self.lifecycle.stop()
        self.queue.drain()

    def abandon(self) -> None:
        """Fail the requests in progress: the time that a stop may take is over."""
        self.queue.abandon()

    def close(self) -> None:
        """Abandon what is in progress and end the threads. Blocks until they have ended."""
        self.queue.close()

    def models(self) -> Sequence[Model]:
        """The configured model and the names that stand for it."""
        names = dict.fromkeys((self._about.model, *self._openai_models))
        return [Model(id=name, created=self._started_at) for name in names]

    def check_model(self, name: str) -> None:
        """Refuse a model name that this service does not answer to.

        Raises:
            ModelNotFoundError: with the names that it does.
        """
        known = [model.id for model in self.models()]
        if name not in known:
            raise model_not_found(name, known)
