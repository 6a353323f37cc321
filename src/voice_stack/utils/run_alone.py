"""Runs one job without a queue: for the command line, and for tests of engines."""

import contextvars
import math
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

from voice_stack.utils.scheduling import Work
from voice_stack.utils.steps import Steps, close_steps, run_works

T = TypeVar("T")


def run_alone(steps: Steps[T], *, lanes: int = 1) -> Iterator[T | None]:
    """Run a job's steps on this thread and its work on others, in batches of its own; for one who has no queue.

    Args:
        lanes: batches that may run at the same time.

    Raises:
        Exception: that of the steps, or of their work.
    """
    offered: deque[Work[Any]] = deque()
    running: set[Future[None]] = set()

    def feed() -> None:
        running.difference_update([batch for batch in running if batch.done()])
        while offered and len(running) < lanes:
            alike = [work for work in offered if work.key == offered[0].key]
            alike = alike[: min(alike[0].most, math.ceil(len(alike) / (lanes - len(running))))]
            for work in alike:
                offered.remove(work)
            running.add(pool.submit(contextvars.copy_context().run, run_works, alike))

    try:
        with ThreadPoolExecutor(lanes, thread_name_prefix="lane") as pool:
            for step in steps:
                if not isinstance(step, Work):
                    yield step
                elif step.offered_at is None:
                    step.offered_at = time.monotonic()
                    offered.append(step)
                else:
                    while not step.done:
                        feed()
                        wait(running, return_when=FIRST_COMPLETED)
                feed()
    finally:
        close_steps(steps)
