"""What both services are made of: one engine, one queue, the life of the model, and the names it answers to."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from voice_stack.core.lifecycle import Lifecycle
from voice_stack.core.models_api import Model, model_not_found
from voice_stack.core.settings import Service, Settings
from voice_stack.utils.queue_manager import StepQueue


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


class EngineService:
    """Serves one engine, several requests in turns.

    Args:
        openai_models: OpenAI's own model names; here they mean the configured model.
        max_active: requests that take turns; the others wait.
        load: makes the service ready; blocks. None: loading the engine does.
    """

    def __init__(
        self,
        name: Service,
        settings: Settings,
        engine: Engine,
        *,
        openai_models: Sequence[str],
        max_active: int,
        load: Callable[[], None] | None = None,
    ) -> None:
        self._about = engine
        self._openai_models = openai_models
        self._started_at = int(time.time())
        self.queue = StepQueue(name, max_active=max_active, max_waiting=settings.max_queue)
        self.lifecycle = Lifecycle(load or engine.load, max_waiting=settings.max_queue)

    def describe(self) -> Mapping[str, Any]:
        """What health tells of this service."""
        return {
            "engine": self._about.name,
            "model": self._about.model,
            "device": self._about.device,
            "queue_depth": self.queue.depth,
            "active": self.queue.active,
        }

    def stop(self) -> None:
        """Fail the requests that wait and take no new ones; those in progress go on."""
        self.lifecycle.stop()
        self.queue.refuse()

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
