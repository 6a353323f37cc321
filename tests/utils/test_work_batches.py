"""Calls to a model in batches of several jobs: sharing, failure, abandonment, deadlines, stop."""

import asyncio
import random
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import pytest

from tests.support.doubling import Model
from tests.support.serving import wait_until
from voice_stack.core.errors import EngineError, QueueFullError, StoppingError
from voice_stack.utils.queue_manager import Job, StepQueue
from voice_stack.utils.scheduling import Kind, Work
from voice_stack.utils.steps import Steps, stop_if_abandoned

pytestmark = pytest.mark.anyio


class Told:
    """An observer that keeps what it was told."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []

    def job_started(self, kind: str, waited_s: float) -> None:
        assert 0 <= waited_s < 10
        self.events.append(("started", kind))

    def job_refused(self, kind: str) -> None:
        self.events.append(("refused", kind))

    def job_expired(self, kind: str) -> None:
        self.events.append(("expired", kind))

    def batch_done(self, size: int, audio_s: float, seconds: float) -> None:
        assert 0 <= seconds < 10
        self.events.append(("batch", size, audio_s))


@pytest.fixture
def queue() -> Iterator[StepQueue]:
    made = StepQueue("test", workers=2, max_active=dict.fromkeys(Kind, 8), max_waiting=8)
    yield made
    made.close()


async def read_all(job: Job[int]) -> list[int]:
    return [result async for result in job]


async def until_entered(model: Model) -> None:
    assert await asyncio.to_thread(model.entered.acquire, timeout=10)


def offered(queue: StepQueue) -> int:
    return sum(len(job.works) for job in list(queue._scheduler.active))


async def test_work_of_several_jobs_shares_a_batch(queue: StepQueue) -> None:
    model = Model()
    with queue.job(model.steps(1)) as a, queue.job(model.steps(2)) as b, queue.job(model.steps(3)) as c:
        await asyncio.to_thread(wait_until, lambda: offered(queue) == 3)
        queue.open_lanes(1)
        assert list(await asyncio.gather(*map(read_all, (a, b, c)))) == [[2], [4], [6]]
    assert [sorted(batch) for batch in model.batches] == [[1, 2, 3]]


async def test_a_job_goes_on_after_it_offered_work_and_waits_when_it_gives_it_again(queue: StepQueue) -> None:
    model = Model(held=True)
    passed: list[str] = []

    def steps() -> Steps[int]:
        work = model.work(1)
        yield work
        passed.append("offered")
        yield 0
        yield work
        passed.append("done")
        yield work.result()

    queue.open_lanes(1)
    with queue.job(steps) as job, queue.job(lambda: iter([7]), kind=Kind.LONG) as other:
        assert await anext(job) == 0
        await until_entered(model)
        assert await read_all(other) == [7]  # what waits for its batch keeps no worker
        assert passed == ["offered"]
        model.go_on.set()
        assert await read_all(job) == [2]
    assert passed == ["offered", "done"]


async def test_an_error_in_a_batch_fails_the_jobs_of_that_batch_alone(queue: StepQueue) -> None:
    model = Model()
    with (
        queue.job(model.steps(1, most=2)) as first,
        queue.job(model.steps(-2, most=2)) as second,
        queue.job(model.steps(3, most=2)) as third,
    ):
        await asyncio.to_thread(wait_until, lambda: offered(queue) == 3)
        queue.open_lanes(1)
        answers = await asyncio.gather(*map(read_all, (first, second, third)), return_exceptions=True)
    broken = next(batch for batch in model.batches if -2 in batch)
    for item, answer in zip((1, -2, 3), answers, strict=True):
        assert isinstance(answer, EngineError) if item in broken else answer == [2 * item]
    with queue.job(model.steps(5)) as later:
        assert await read_all(later) == [10]


async def test_a_job_that_handles_the_error_of_a_batch_goes_on_when_the_others_fail_with_it(queue: StepQueue) -> None:
    model = Model()

    def handles() -> Steps[int]:
        work = model.work(-1)
        yield work
        try:
            yield work
            yield work.result()
        except EngineError:
            again = model.work(1)
            yield 0
            yield again
            yield again
            yield again.result()

    def fails() -> Steps[int]:
        work = model.work(-2)
        yield work
        yield work
        time.sleep(0.05)  # the other has handled it meanwhile
        yield work.result()

    with queue.job(handles, look_ahead=1) as one, queue.job(fails) as other:
        await asyncio.to_thread(wait_until, lambda: offered(queue) == 2)
        queue.open_lanes(1)
        with pytest.raises(EngineError):
            await read_all(other)
        assert await read_all(one) == [0, 2]


async def test_too_few_results_are_an_error_of_every_job_of_the_batch(queue: StepQueue) -> None:
    def steps() -> Steps[int]:
        work: Work[int] = Work(lambda items: items[1:], 1, key="", cost_s=1.0, most=2)
        yield work
        yield work
        yield work.result()

    with queue.job(steps) as a, queue.job(steps) as b:
        await asyncio.to_thread(wait_until, lambda: offered(queue) == 2)
        queue.open_lanes(1)
        for job in (a, b):
            with pytest.raises(ValueError, match="shorter"):
                await read_all(job)


async def test_the_work_of_an_abandoned_job_is_dropped_where_it_is_in_no_batch(queue: StepQueue) -> None:
    model = Model(held=True)
    queue.open_lanes(1)
    with queue.job(model.steps(1, most=1)) as stays:
        await until_entered(model)
        with queue.job(model.steps(2, 3)):
            await asyncio.to_thread(wait_until, lambda: offered(queue) == 2)
        await asyncio.to_thread(wait_until, lambda: queue.active == 1)
        model.go_on.set()
        assert await read_all(stays) == [2]
    await asyncio.to_thread(wait_until, lambda: queue.active == 0)
    assert model.batches == [[1]]


async def test_the_work_of_an_abandoned_job_is_dropped_at_once_though_its_step_still_runs(queue: StepQueue) -> None:
    model, in_step, go_on = Model(), threading.Event(), threading.Event()

    def steps() -> Steps[int]:
        yield model.work(1)
        in_step.set()
        assert go_on.wait(10)
        yield 1

    with queue.job(steps):
        await asyncio.to_thread(in_step.wait, 10)
    queue.open_lanes(1)
    with queue.job(model.steps(2)) as other:
        assert await read_all(other) == [4]
    go_on.set()
    assert model.batches == [[2]]


async def test_an_abandoned_job_is_active_until_its_batch_has_ended_and_the_others_in_it_get_theirs(
    queue: StepQueue,
) -> None:
    model = Model(held=True)
    with queue.job(model.steps(2)) as stays:
        with queue.job(model.steps(1)):
            await asyncio.to_thread(wait_until, lambda: offered(queue) == 2)
            queue.open_lanes(1)
            await until_entered(model)
        await asyncio.to_thread(wait_until, lambda: len(queue._scheduler.active) == 1)
        assert queue.active == 2
        model.go_on.set()
        assert await read_all(stays) == [4]
    await asyncio.to_thread(wait_until, lambda: queue.active == 0)
    assert [sorted(batch) for batch in model.batches] == [[1, 2]]


async def test_a_batch_ends_early_only_when_all_of_its_jobs_have_gone(queue: StepQueue) -> None:
    running, one_left, all_left = threading.Event(), threading.Event(), threading.Event()
    reached: list[str] = []

    def slow(items: Sequence[int]) -> Sequence[int]:
        running.set()
        assert one_left.wait(10)
        stop_if_abandoned()
        reached.append("middle")
        assert all_left.wait(10)
        stop_if_abandoned()
        reached.append("end")
        return items

    def steps() -> Steps[int]:
        work: Work[int] = Work(slow, 1, key="", cost_s=1.0, most=2)
        yield work
        yield work
        yield work.result()

    with queue.job(steps):
        with queue.job(steps):
            await asyncio.to_thread(wait_until, lambda: offered(queue) == 2)
            queue.open_lanes(1)
            await asyncio.to_thread(running.wait, 10)
        one_left.set()
        await asyncio.to_thread(wait_until, lambda: reached == ["middle"])
    all_left.set()
    await asyncio.to_thread(wait_until, lambda: queue.active == 0)
    assert reached == ["middle"]


async def test_closing_waits_for_the_batch_that_runs_and_begins_no_other() -> None:
    queue = StepQueue("closing", max_active={Kind.LONG: 2}, max_waiting=2)
    queue.open_lanes(1)
    model = Model(held=True)
    with queue.job(model.steps(1, 2, 3, most=1)) as job:
        await until_entered(model)
        closing = asyncio.create_task(asyncio.to_thread(queue.close))
        with pytest.raises(StoppingError):
            await read_all(job)
        assert not closing.done()
        model.go_on.set()
        await closing
    assert model.batches == [[1]]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("closing")]


async def test_a_job_that_waits_for_too_long_fails_with_a_time_to_try_again() -> None:
    told = Told()
    queue = StepQueue("test", workers=2, max_active={Kind.LONG: 1}, max_waiting=1, observer=told)
    queue.open_lanes(1)
    model = Model(held=True)
    with queue.job(model.steps(1), max_wait_s=0.01) as running, queue.job(model.steps(2), max_wait_s=0.05) as late:
        await until_entered(model)
        with pytest.raises(QueueFullError), queue.job(model.steps(3)):
            pass
        began_at = time.monotonic()
        with pytest.raises(QueueFullError, match="could not begin") as refusal:
            await asyncio.wait_for(read_all(late), 5)
        assert time.monotonic() - began_at < 2
        assert int(refusal.value.headers["Retry-After"]) >= 1
        assert queue.depth == 0
        model.go_on.set()
        assert await read_all(running) == [2]
    await asyncio.to_thread(queue.close)
    assert told.events == [("started", "long"), ("refused", "long"), ("expired", "long"), ("batch", 1, 1.0)]
    assert model.batches == [[1]]


async def test_the_observer_is_told_of_batches_that_fail_and_of_jobs_that_had_to_wait() -> None:
    told = Told()
    queue = StepQueue("test", max_active={Kind.SHORT: 1}, max_waiting=1, observer=told)
    queue.open_lanes(1)
    model = Model()
    with queue.job(model.steps(-1), kind=Kind.SHORT) as bad, queue.job(model.steps(2, 3), kind=Kind.SHORT) as good:
        with pytest.raises(EngineError):
            await read_all(bad)
        assert await read_all(good) == [4, 6]
    await asyncio.to_thread(queue.close)
    assert told.events[:3] == [("started", "short"), ("batch", 1, 1.0), ("started", "short")]
    assert sum(event[2] for event in told.events if event[0] == "batch") == 3.0


async def test_many_jobs_with_work_of_any_kind_lose_nothing() -> None:
    queue = StepQueue("many", workers=2, max_active=dict.fromkeys(Kind, 6), max_waiting=100)
    queue.open_lanes(3)
    model = Model()
    draw = random.Random(5)

    def steps(items: list[int], patience: int, key: str) -> Steps[int]:
        ahead: list[Work[int]] = []
        for item in items:
            yield (work := model.work(item, key=key, most=3))
            ahead.append(work)
            while len(ahead) > patience:
                yield ahead[0]
                yield ahead.pop(0).result()
            yield None
        for work in ahead:
            yield work
            yield work.result()

    async def run(number: int) -> None:
        items = [number * 100 + each for each in range(draw.randrange(8))]
        patience, key = draw.randrange(4), draw.choice("ab")
        leaves_after = draw.randrange(3) if number % 5 == 0 else None
        look_ahead = draw.randrange(1, 4)
        with queue.job(lambda: steps(items, patience, key), kind=draw.choice(list(Kind)), look_ahead=look_ahead) as job:
            results = [result async for result in _first(job, leaves_after)]
        assert results == [2 * item for item in items][:leaves_after]

    await asyncio.gather(*map(run, range(80)))
    await asyncio.to_thread(wait_until, lambda: queue.active == 0)
    queue.close()
    ran = [item for batch in model.batches for item in batch]
    assert len(ran) == len(set(ran))
    assert all(len(batch) <= 3 for batch in model.batches)


async def _first(job: Job[int], number: int | None) -> AsyncIterator[int]:
    if number == 0:
        return
    count = 0
    async for result in job:
        yield result
        count += 1
        if count == number:
            return
