"""Runs jobs made of blocking steps on worker threads, and their calls to a model in batches on lanes of their own.

What jobs are made of is in steps.py; who is next is decided in scheduling.py. A job whose reader is slow gets no turn;
a job that is abandoned is closed before its next step, and its work that is in no batch yet is dropped.
"""

import asyncio
import contextvars
import logging
import math
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Generic, Protocol, TypeVar

from voice_stack.core.errors import QueueFullError, StoppingError
from voice_stack.utils.scheduling import Batch, Entry, Kind, Scheduler, Work
from voice_stack.utils.steps import AbandonedError, Steps, abandoned_when, close_steps, let_go, run_works

_logger = logging.getLogger(__name__)

T = TypeVar("T")

TURN_S = 0.5
"""A job that gives no result keeps its turn for this long, in seconds, where none of a shorter kind waits for one."""


class Observer(Protocol):
    """Who is told what the queue does; called on any thread."""

    def job_started(self, kind: str, waited_s: float) -> None:
        """A job had its turn to begin."""

    def job_refused(self, kind: str) -> None:
        """There was no room for a job."""

    def job_expired(self, kind: str) -> None:
        """A job waited for longer than it may."""

    def batch_done(self, size: int, audio_s: float, seconds: float) -> None:
        """A batch has run, or failed."""


class Job(Entry, Generic[T]):
    """One job as its reader sees it: an asynchronous iterator over the results, in order."""

    def __init__(
        self, queue: "StepQueue", make_steps: Callable[[], Steps[T]], look_ahead: int, kind: Kind, deadline: float
    ) -> None:
        super().__init__(kind, deadline=deadline)
        self._queue = queue
        self._loop = asyncio.get_running_loop()
        self._results: deque[T] = deque()
        self._arrived = asyncio.Event()
        self._error: BaseException | None = None
        self._ended = False
        # What follows belongs to the queue and is guarded by its lock.
        self.make_steps = make_steps
        self.steps: Steps[T] | None = None
        self.context = contextvars.copy_context()
        self.room = look_ahead
        self.awaited: Work[Any] | None = None
        self.cancelled = False

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
        workers: steps that run at the same time, of as many jobs.
        max_active: jobs of each kind that take turns; the others wait for one of them to end.
        max_waiting: jobs that may wait; one more is refused.
        observer: is told of what happens.
    """

    def __init__(
        self,
        name: str,
        *,
        workers: int = 1,
        max_active: Mapping[Kind, int],
        max_waiting: int,
        observer: Observer | None = None,
    ) -> None:
        self._name = name
        self._observer = observer
        self._changed = threading.Condition()
        self._scheduler = Scheduler(max_active, max_waiting=max_waiting, lanes=0)
        self._draining = False
        self._refusing = False
        self._closed = False
        self._threads: list[threading.Thread] = []
        for number in range(workers):
            self._start_thread(f"{name}-{number}", self._work)

    @property
    def depth(self) -> int:
        """Jobs that wait for their first turn."""
        return len(self._scheduler.waiting)

    @property
    def active(self) -> int:
        """Jobs that take turns now, abandoned ones included until their step or batch has ended."""
        with self._changed:
            return len(self._scheduler.active.keys() | self._scheduler.in_batches())

    def open_lanes(self, lanes: int) -> None:
        """Say how many batches may run at the same time; before that, none does. Never fewer than before."""
        with self._changed:
            before, self._scheduler.lanes = self._scheduler.lanes, max(lanes, self._scheduler.lanes)
            for number in range(before, lanes):
                self._start_thread(f"{self._name}-lane-{number}", self._run_lane, number)

    @contextmanager
    def job(
        self,
        make_steps: Callable[[], Steps[T]],
        *,
        kind: Kind = Kind.LONG,
        look_ahead: int = 2,
        max_wait_s: float = math.inf,
    ) -> Iterator[Job[T]]:
        """Queue a job for as long as the ``with`` block lasts; it is abandoned at the block's end.

        Args:
            make_steps: called on a worker thread at the job's first turn. Its iterator is closed on a worker, too.
            kind: jobs of one kind take turns among themselves; the shorter kinds go first.
            look_ahead: results that may wait for the reader before the job's turns pause.
            max_wait_s: a job that could not begin by then fails with ``QueueFullError``.

        Raises:
            QueueFullError: ``max_waiting`` jobs are waiting already.
            StoppingError: the service is stopping.
        """
        job = Job(self, make_steps, look_ahead, kind, time.monotonic() + max_wait_s)
        self._admit(job)
        try:
            yield job
        finally:
            self._abandon(job)

    def check_room(self, *kinds: Kind) -> None:
        """Refuse a request before it is read, where none of these kinds would be admitted.

        Raises:
            QueueFullError: as ``job`` does.
        """
        try:
            with self._changed:
                self._scheduler.check_room(kinds, time.monotonic())
        except QueueFullError:
            if self._observer is not None:
                self._observer.job_refused(kinds[0].value)
            raise

    def drain(self) -> None:
        """Fail the jobs that wait; those that are active go on, and new ones are taken where they need not wait."""
        with self._changed:
            self._draining = True
            waiting = list(self._scheduler.waiting)
            self._scheduler.waiting.clear()
        for job in waiting:
            _reader(job).end(_stopping())

    def abandon(self) -> None:
        """Fail every job and take no new ones; steps and batches that run are not waited for."""
        self.drain()
        with self._changed:
            self._refusing = True
            for job in map(_reader, self._scheduler.active):
                self._cancel(job)
                job.end(_stopping())

    def close(self, timeout_s: float = 30.0) -> None:
        """Abandon every job and end the threads; waits for the steps and batches that are running."""
        self.abandon()
        with self._changed:
            self._closed = True
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
            if job.room == 1 and not job.stepping and job.awaited is None:
                self._want_step(job)

    def _start_thread(self, name: str, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _admit(self, job: Job[Any]) -> None:
        try:
            with self._changed:
                if self._refusing:
                    raise _stopping()
                if self._scheduler.admit(job, time.monotonic()):
                    self._told_started(job)
                elif self._draining:
                    self._leave(job)
                    raise _stopping()
                self._changed.notify_all()
        except QueueFullError:
            if self._observer is not None:
                self._observer.job_refused(job.kind.value)
            raise

    def _abandon(self, job: Job[Any]) -> None:
        with self._changed:
            if job in self._scheduler.active:
                self._cancel(job)
            else:
                self._leave(job)

    # The lock is held in all of these.

    def _cancel(self, job: Job[Any]) -> None:
        if not job.cancelled:
            job.cancelled = True
            job.works.clear()
            job.awaited = None
            if not job.stepping:
                self._want_step(job)

    def _want_step(self, job: Job[Any]) -> None:
        self._scheduler.want_step(job, time.monotonic())
        self._changed.notify_all()

    def _leave(self, job: Job[Any]) -> None:
        for begun in self._scheduler.leave(job, time.monotonic()):
            self._told_started(begun)
        self._changed.notify_all()

    def _expire(self) -> None:
        now = time.monotonic()
        for job in map(_reader, self._scheduler.expire(now)):
            waited_s = now - job.admitted_at
            job.end(
                QueueFullError(
                    f"The service is busy: this request waited for {waited_s:.0f} s and could not begin. "
                    "Try again later.",
                    retry_after_s=self._scheduler.retry_after_s(job.kind, now),
                )
            )
            if self._observer is not None:
                self._observer.job_expired(job.kind.value)

    def _told_started(self, job: Entry) -> None:
        if self._observer is not None:
            self._observer.job_started(job.kind.value, time.monotonic() - job.admitted_at)

    # On the worker threads, without the lock.

    def _work(self) -> None:
        while True:
            with self._changed:
                while True:
                    self._expire()
                    job = self._scheduler.next_step(time.monotonic())
                    if job is not None:
                        break
                    if self._closed:
                        return
                    left_s = self._scheduler.next_deadline() - time.monotonic()
                    self._changed.wait(None if left_s == math.inf else max(0.0, left_s))
            self._give_turn(_reader(job))
            del job

    def _give_turn(self, job: Job[Any]) -> None:
        ended, audio_s = job.context.run(self._turn, job)
        with self._changed:
            self._scheduler.end_step(job, audio_s=audio_s)
            if job.awaited is not None and job.awaited.done:
                job.awaited = None
            if ended:
                self._leave(job)
            elif job.cancelled or (job.room > 0 and job.awaited is None):
                self._want_step(job)

    def _turn(self, job: Job[Any]) -> tuple[bool, float]:
        """Give a job its turn; returns whether it has ended, and the seconds of audio that it gave."""
        abandoned_when(lambda: job.cancelled)
        turn_ends_at = time.monotonic() + TURN_S
        error: BaseException | None = None
        try:
            while not job.cancelled:
                if job.steps is None:
                    job.steps = job.make_steps()
                result = next(job.steps)
                if isinstance(result, Work):
                    if self._must_wait(job, result):
                        return False, 0.0
                elif result is not None:
                    with self._changed:
                        job.room -= 1
                    job.deliver(result)
                    return False, getattr(result, "duration_s", 0.0)
                if time.monotonic() > turn_ends_at or self._should_yield(job):
                    return False, 0.0
        except StopIteration:
            pass
        except AbandonedError as caught:
            let_go(caught)
        except BaseException as caught:  # noqa: BLE001 - the reader gets it; the worker must live on
            error = caught
            let_go(caught)
        _close(job)
        job.end(error)
        return True, 0.0

    def _should_yield(self, job: Job[Any]) -> bool:
        with self._changed:
            return self._scheduler.should_yield(job)

    def _must_wait(self, job: Job[Any], work: Work[Any]) -> bool:
        if work.offered_at is None:
            with self._changed:
                if not job.cancelled:
                    self._scheduler.offer(job, work, time.monotonic())
                    self._changed.notify_all()
        elif not work.done:
            job.awaited = work
            return True
        return False

    # On the threads of the lanes, without the lock.

    def _run_lane(self, lane: int) -> None:
        while True:
            with self._changed:
                while True:
                    batch = self._scheduler.next_batch(lane, time.monotonic())
                    if isinstance(batch, Batch):
                        break
                    if self._closed:
                        return
                    self._changed.wait(None if batch is None else max(0.0, batch - time.monotonic()))
            self._run_batch(batch)
            del batch

    def _run_batch(self, batch: Batch) -> None:
        jobs = list(dict.fromkeys(_reader(entry) for entry, _ in batch.members))
        # What is logged on the way belongs to a request only where there is just one.
        context = jobs[0].context.copy() if len(jobs) == 1 else contextvars.Context()
        started_at = time.monotonic()
        context.run(run_works, batch.works, lambda: all(job.cancelled for job in jobs))
        seconds = time.monotonic() - started_at
        with self._changed:
            self._scheduler.end_batch(batch, time.monotonic())
            for job in jobs:
                if job.awaited is not None and job.awaited.done and not job.stepping:
                    job.awaited = None
                    self._want_step(job)
            self._changed.notify_all()
        if self._observer is not None:
            self._observer.batch_done(len(batch.works), sum(work.cost_s for work in batch.works), seconds)


def _reader(entry: Entry) -> Job[Any]:
    assert isinstance(entry, Job)  # noqa: S101 - the queue admits nothing else
    return entry


def _close(job: Job[Any]) -> None:
    steps = job.steps
    # What the job was about may be large: let go of it.
    job.steps = None
    job.make_steps = _no_steps
    try:
        close_steps(steps)
    except Exception:
        _logger.exception("a job failed while it was being closed")


def _no_steps() -> Iterator[Any]:
    return iter(())


def _stopping() -> StoppingError:
    return StoppingError("The service is stopping; try again in a moment.")
