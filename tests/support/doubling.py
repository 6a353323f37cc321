"""A model that doubles numbers, for what is about the batches and not about speech."""

import threading
from collections.abc import Callable, Sequence

from voice_stack.core.errors import EngineError
from voice_stack.utils.scheduling import Work
from voice_stack.utils.steps import Steps


class Model:
    """Notes its batches, and holds each until it may go on; fails where a number is below zero."""

    def __init__(self, *, held: bool = False) -> None:
        self.batches: list[list[int]] = []
        self.entered = threading.Semaphore(0)
        self.go_on = threading.Event()
        self.running = self.most_running = 0
        self._lock = threading.Lock()
        if not held:
            self.go_on.set()

    def double(self, items: Sequence[int]) -> Sequence[int]:
        with self._lock:
            self.batches.append(list(items))
            self.running += 1
            self.most_running = max(self.most_running, self.running)
        self.entered.release()
        assert self.go_on.wait(10)
        with self._lock:
            self.running -= 1
        if any(item < 0 for item in items):
            raise EngineError("it broke")
        return [2 * item for item in items]

    def work(self, item: int, *, most: int = 4, key: str = "") -> Work[int]:
        return Work(self.double, item, key=key, cost_s=1.0, most=most)

    def steps(self, *items: int, most: int = 4) -> Callable[[], Steps[int]]:
        """A job that has all of its work in batches at once, and hands out the results in order."""

        def run() -> Steps[int]:
            works = [self.work(item, most=most) for item in items]
            yield from works
            for work in works:
                yield work
                yield work.result()

        return run
