"""Runs jobs made of blocking steps on worker threads, one turn of each job after the other.

A job is an iterator: each ``next()`` does one step of work (decode a window of audio, synthesise a sentence) and
gives a result, or ``None`` where it could be abandoned but has nothing to hand out yet. Jobs take turns, so that a long
one does not hold up the others; a job whose reader is slow gets no turn; a job that is abandoned is closed before its
next step.
"""

import asyncio
import contextvars
import logging
import math
import threading
import time
import traceback
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from voice_stack.core.errors import QueueFullError, StoppingError

_logger = logging.getLogger(__name__)

T = TypeVar("T")

TURN_S = 0.5
"""A job that gives no result keeps its turn for this long, in seconds."""

MAX_URGENT = 2
"""Urgent jobs that take turns at a time, beside the others."""


_current: contextvars.ContextVar["Job[Any] | None"] = contextvars.ContextVar("job", default=None)


class AbandonedError(Exception):
    """Raised inside a step whose reader has left; nobody gets to see it."""


def stop_if_abandoned() -> None:
    """End the running step where it stands if its job was abandoned; for steps that take long.

    Raises:
        AbandonedError: the job was abandoned.
    """
    job = _current.get()
    if job is not None and job.cancelled:
        raise AbandonedError


class Job(Generic[T]):
    """One job as its reader sees it: an asynchronous iterator over the results, in order."""

    def __init__(
        self, queue: "StepQueue", make_steps: Callable[[], Iterator[T | None]], look_ahead: int, urgent: bool
    ) -> None:
        self._queue = queue
        self._loop = asyncio.get_running_loop()
        self._results: deque[T] = deque()
        self._arrived = asyncio.Event()
        self._error: BaseException | None = None
        self._ended = False
        # What follows belongs to the queue and is guarded by its lock.
        self.make_steps = make_steps
        self.steps: Iterator[T | None] | None = None
        self.context = contextvars.copy_context()
        self.room = look_ahead
        self.urgent = urgent
        self.running = False
        self.cancelled = False
        self.started_at = 0.0

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        while not self._results:
            if self._ended:
                if self._error is not None:
                    raise self._error
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        result = self._results.popleft()
        self._queue.taken(self)
        return result

    def deliver(self, result: T) -> None:
        """Hand a result to the reader; called by a worker."""
        self._post(self._results.append, result)

    def end(self, error: BaseException | None) -> None:
        """Tell the reader that no result follows; called by a worker, or on the loop."""

        def set_end() -> None:
            if not self._ended:
                self._error, self._ended = error, True

        self._post(set_end)

    def _post(self, change: Callable[..., None], *args: Any) -> None:
        def apply() -> None:
            change(*args)
            self._arrived.set()

        # A loop that has ended has no reader.
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(apply)


class StepQueue:
    """A bounded queue of jobs and the threads that work on them.

    Args:
        max_active: jobs that take turns; the others wait for one of them to end.
        max_waiting: jobs that may wait; one more is refused.
    """

    def __init__(self, name: str, *, workers: int = 1, max_active: int, max_waiting: int) -> None:
        self._name = name
        self._max_active = max_active
        self._max_waiting = max_waiting
        self._changed = threading.Condition()
        self._waiting: deque[Job[Any]] = deque()
        self._runnable: deque[Job[Any]] = deque()
        self._active: set[Job[Any]] = set()
        self._refusing = False
        self._closed = False
        self._mean_job_s = 1.0
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True) for number in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def depth(self) -> int:
        """Jobs that wait for their first turn."""
        return len(self._waiting)

    @property
    def active(self) -> int:
        """Jobs that take turns now, abandoned ones included until their step has ended."""
        return len(self._active)

    @contextmanager
    def job(
        self, make_steps: Callable[[], Iterator[T | None]], *, look_ahead: int = 2, urgent: bool = False
    ) -> Iterator[Job[T]]:
        """Queue a job for as long as the ``with`` block lasts; it is abandoned at the block's end.

        Args:
            make_steps: called on a worker thread at the job's first turn. Its iterator is closed on a worker, too.
            look_ahead: results that may wait for the reader before the job's turns pause.
            urgent: the job is short and goes ahead of all that are not: it starts at once, and each turn is its own.

        Raises:
            QueueFullError: ``max_waiting`` jobs are waiting already.
            StoppingError: the service is stopping.
        """
        job = self._admit(make_steps, look_ahead, urgent)
        try:
            yield job
        finally:
            self._abandon(job)

    def refuse(self) -> None:
        """Fail the jobs that wait and take no new ones; active jobs go on."""
        with self._changed:
            self._refusing = True
            waiting, self._waiting = self._waiting, deque()
        for job in waiting:
            job.end(_stopping())

    def close(self, timeout_s: float = 30.0) -> None:
        """Abandon every job and end the threads; waits for the steps that are running."""
        self.refuse()
        with self._changed:
            self._closed = True
            for job in self._active:
                self._cancel(job)
                job.end(_stopping())
            self._changed.notify_all()
        deadline = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                _logger.warning("a step of the %s queue is still running at the end of the process", self._name)

    def taken(self, job: Job[Any]) -> None:
        """The reader has taken a result: the job may have another turn."""
        with self._changed:
            job.room += 1
            if job.room == 1 and job in self._active and not job.running and not job.cancelled:
                self._make_runnable(job)

    def _admit(self, make_steps: Callable[[], Iterator[T | None]], look_ahead: int, urgent: bool) -> Job[T]:
        with self._changed:
            if self._refusing:
                raise _stopping()
            job = Job(self, make_steps, look_ahead, urgent)
            starts_now = self._may_start(job) and not any(other.urgent == urgent for other in self._waiting)
            if not starts_now and len(self._waiting) >= self._max_waiting:
                seconds = self._mean_job_s * (len(self._waiting) + 1) / self._max_active
                raise QueueFullError(
                    f"The service is busy: {len(self._waiting)} requests are waiting already. Try again later.",
                    retry_after_s=min(120, max(1, math.ceil(seconds))),
                )
            if starts_now:
                self._start(job)
            else:
                self._waiting.append(job)
            return job

    def _abandon(self, job: Job[Any]) -> None:
        with self._changed:
            if job in self._active:
                self._cancel(job)
            elif job in self._waiting:
                self._waiting.remove(job)

    # The lock is held in all of these.

    def _may_start(self, job: Job[Any]) -> bool:
        alike = sum(other.urgent == job.urgent for other in self._active)
        return alike < (MAX_URGENT if job.urgent else self._max_active)

    def _start(self, job: Job[Any]) -> None:
        job.started_at = time.monotonic()
        self._active.add(job)
        self._make_runnable(job)

    def _cancel(self, job: Job[Any]) -> None:
        if not job.cancelled:
            job.cancelled = True
            if not job.running and job not in self._runnable:
                self._make_runnable(job)

    def _make_runnable(self, job: Job[Any]) -> None:
        if job.urgent:
            self._runnable.appendleft(job)
        else:
            self._runnable.append(job)
        self._changed.notify()

    def _finish(self, job: Job[Any]) -> None:
        self._active.discard(job)
        if not job.cancelled and not job.urgent:
            self._mean_job_s += 0.2 * (time.monotonic() - job.started_at - self._mean_job_s)
        while following := next((waiting for waiting in self._waiting if self._may_start(waiting)), None):
            self._waiting.remove(following)
            self._start(following)

    # On the worker threads, without the lock.

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._runnable:
                    if self._closed:
                        return
                    self._changed.wait()
                job = self._runnable.popleft()
                job.running = True
            ended = job.context.run(self._turn, job)
            with self._changed:
                job.running = False
                if ended:
                    self._finish(job)
                elif job.room > 0 or job.cancelled:
                    self._make_runnable(job)
            del job

    def _turn(self, job: Job[Any]) -> bool:
        """Give a job its turn; returns whether it has ended."""
        _current.set(job)
        turn_ends_at = time.monotonic() + TURN_S
        error: BaseException | None = None
        try:
            while not job.cancelled:
                if job.steps is None:
                    job.steps = job.make_steps()
                result = next(job.steps)
                if result is not None:
                    with self._changed:
                        job.room -= 1
                    job.deliver(result)
                    return False
                if time.monotonic() > turn_ends_at:
                    return False
        except StopIteration:
            pass
        except AbandonedError as caught:
            _let_go(caught)
        except BaseException as caught:  # noqa: BLE001 - the reader gets it; the worker must live on
            error = caught
            _let_go(caught)
        _close(job)
        job.end(error)
        return True


def _close(job: Job[Any]) -> None:
    close = getattr(job.steps, "close", None)
    # What the job was about may be large: let go of it.
    job.steps = None
    job.make_steps = _no_steps
    if close is not None:
        try:
            close()
        except Exception:
            _logger.exception("a job failed while it was being closed")


def _let_go(error: BaseException) -> None:
    """Drop what the frames of an error hold, hours of audio say; its traceback stays readable."""
    link: BaseException | None = error
    while link is not None:
        traceback.clear_frames(link.__traceback__)
        link = link.__cause__ or link.__context__


def _no_steps() -> Iterator[Any]:
    return iter(())


def _stopping() -> StoppingError:
    return StoppingError("The service is stopping; try again in a moment.")
