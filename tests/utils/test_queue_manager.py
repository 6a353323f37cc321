"""The queue of blocking steps: order, turns, bounds, abandonment, failure, stop."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.support.serving import wait_until
from voice_stack.core.errors import EngineError, QueueFullError, StoppingError
from voice_stack.core.logging import request_id
from voice_stack.utils.queue_manager import Job, StepQueue
from voice_stack.utils.scheduling import Kind
from voice_stack.utils.steps import stop_if_abandoned

pytestmark = pytest.mark.anyio


@pytest.fixture
def queue() -> Iterator[StepQueue]:
    made = StepQueue("test", max_active={Kind.LONG: 8}, max_waiting=8)
    yield made
    made.close()


def numbers(count: int, log: list[str] | None = None, name: str = "") -> Callable[[], Iterator[int]]:
    def steps() -> Iterator[int]:
        for number in range(count):
            if log is not None:
                log.append(f"{name}{number}")
            yield number

    return steps


async def read_all(job: Job[int]) -> list[int]:
    return [result async for result in job]


async def test_results_arrive_in_order_and_all_of_them(queue: StepQueue) -> None:
    with queue.job(numbers(100)) as job:
        assert await read_all(job) == list(range(100))
    wait_until(lambda: queue.active == 0)


async def test_steps_run_outside_the_event_loop_thread(queue: StepQueue) -> None:
    with queue.job(lambda: iter([threading.current_thread().name])) as job:
        assert [name async for name in job] == ["test-0"]


async def test_steps_see_the_context_of_the_request(queue: StepQueue) -> None:
    token = request_id.set("req_context")
    with queue.job(lambda: (request_id.get() for _ in range(1))) as job:
        assert [id_ async for id_ in job] == ["req_context"]
    request_id.reset(token)


async def test_jobs_take_turns_step_by_step(queue: StepQueue) -> None:
    log: list[str] = []
    hold = threading.Event()

    def first() -> Iterator[int]:
        assert hold.wait(10)
        yield from numbers(3, log, "a")()

    with (
        queue.job(first, look_ahead=10) as a,
        queue.job(numbers(3, log, "b"), look_ahead=10) as b,
        queue.job(numbers(3, log, "c"), look_ahead=10) as c,
    ):
        hold.set()
        await asyncio.gather(read_all(a), read_all(b), read_all(c))
    assert log == ["a0", "b0", "c0", "a1", "b1", "c1", "a2", "b2", "c2"]


async def test_a_job_without_results_yet_gives_up_its_turn_after_a_while(
    queue: StepQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voice_stack.utils.queue_manager.TURN_S", 0.02)
    other_done = threading.Event()

    def busy() -> Iterator[str | None]:
        while not other_done.is_set():
            time.sleep(0.005)
            yield None
        yield "busy"

    with queue.job(busy) as job, queue.job(numbers(1)) as other:
        assert await asyncio.wait_for(read_all(other), 10) == [0]
        other_done.set()
        assert [result async for result in job] == ["busy"]


async def test_a_job_without_results_yet_makes_way_at_once_for_one_that_goes_first() -> None:
    log: list[str] = []
    live_waits = threading.Event()

    def film() -> Iterator[int]:
        for number in range(3):
            log.append("film")
            if not number:
                live_waits.wait(5)
            yield 0 if number == 2 else None  # type: ignore[misc]

    queue = StepQueue("test", max_active={Kind.LONG: 1, Kind.LIVE: 1}, max_waiting=8)
    with queue.job(film) as long:
        wait_until(lambda: log == ["film"])
        with queue.job(numbers(1, log, "live"), kind=Kind.LIVE) as live:
            live_waits.set()
            assert await read_all(live) == [0]
        assert await read_all(long) == [0]
    queue.close()
    assert log == ["film", "live0", "film", "film"]


async def test_a_slow_reader_stops_its_own_job_and_nobody_elses(queue: StepQueue) -> None:
    log: list[str] = []
    with queue.job(numbers(50, log, "slow"), look_ahead=2) as slow, queue.job(numbers(50), look_ahead=2) as fast:
        assert await read_all(fast) == list(range(50))
        assert log == ["slow0", "slow1"]
        assert await read_all(slow) == list(range(50))


async def test_an_abandoned_job_is_closed_before_its_next_step_and_on_a_worker(queue: StepQueue) -> None:
    in_step, go_on, closed_on = threading.Event(), threading.Event(), []
    steps_done = []

    def steps() -> Iterator[int]:
        try:
            for number in range(100):
                steps_done.append(number)
                in_step.set()
                assert go_on.wait(10)
                yield number
        finally:
            closed_on.append(threading.current_thread().name)

    with queue.job(steps):
        await asyncio.to_thread(in_step.wait, 10)
    go_on.set()
    wait_until(lambda: queue.active == 0)
    assert (steps_done, closed_on) == ([0], ["test-0"])


async def test_a_long_step_can_notice_that_it_was_abandoned(queue: StepQueue) -> None:
    in_step, go_on = threading.Event(), threading.Event()
    reached = []

    def steps() -> Iterator[int]:
        in_step.set()
        assert go_on.wait(10)
        reached.append("middle")
        stop_if_abandoned()
        reached.append("end")
        yield 1

    with queue.job(steps):
        await asyncio.to_thread(in_step.wait, 10)
    go_on.set()
    wait_until(lambda: queue.active == 0)
    assert reached == ["middle"]
    stop_if_abandoned()


async def test_a_job_abandoned_while_it_waits_for_its_reader_is_closed(queue: StepQueue) -> None:
    closed = threading.Event()

    def steps() -> Iterator[int]:
        try:
            yield from range(100)
        finally:
            closed.set()

    with queue.job(steps, look_ahead=1) as job:
        assert await anext(job) == 0
    wait_until(closed.is_set)
    wait_until(lambda: queue.active == 0)


async def test_a_job_abandoned_before_its_turn_never_starts() -> None:
    queue = StepQueue("test", max_active={Kind.LONG: 1}, max_waiting=2)
    hold = threading.Event()
    started: list[str] = []

    def blocker() -> Iterator[int]:
        assert hold.wait(10)
        yield 1

    with queue.job(blocker) as job:
        with queue.job(numbers(1, started)):
            assert queue.depth == 1
        assert queue.depth == 0
        hold.set()
        assert await read_all(job) == [1]
    queue.close()
    assert started == []


async def test_a_failing_job_fails_alone(queue: StepQueue) -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise EngineError("it broke")

    with queue.job(failing) as bad, queue.job(numbers(5)) as good:
        assert await anext(bad) == 1
        with pytest.raises(EngineError, match="it broke"):
            await anext(bad)
        assert await read_all(good) == list(range(5))
    with queue.job(numbers(2)) as later:
        assert await read_all(later) == [0, 1]


async def test_a_job_that_cannot_even_start_fails_with_its_error(queue: StepQueue) -> None:
    def broken() -> Iterator[int]:
        raise EngineError("no steps")

    with queue.job(broken) as job, pytest.raises(EngineError, match="no steps"):
        await anext(job)


async def test_one_job_more_than_may_wait_is_refused_with_a_time_to_try_again() -> None:
    queue = StepQueue("test", max_active={Kind.LONG: 1}, max_waiting=1)
    hold = threading.Event()

    def blocker() -> Iterator[int]:
        assert hold.wait(10)
        yield 1

    with queue.job(blocker) as running, queue.job(numbers(1)) as waiting:
        with pytest.raises(QueueFullError) as refusal, queue.job(numbers(1)):
            pass
        assert int(refusal.value.headers["Retry-After"]) >= 1
        hold.set()
        assert await read_all(running) == [1]
        assert await read_all(waiting) == [0]
    queue.close()


async def test_a_stop_refuses_what_waits_and_lets_finish_what_runs() -> None:
    queue = StepQueue("test", max_active={Kind.LONG: 1}, max_waiting=4)
    hold = threading.Event()

    def blocker() -> Iterator[int]:
        assert hold.wait(10)
        yield 1
        yield 2

    with queue.job(blocker) as running, queue.job(numbers(1)) as waiting:
        queue.drain()
        with pytest.raises(StoppingError):
            await anext(waiting)
        with pytest.raises(StoppingError), queue.job(numbers(1)):
            pass
        hold.set()
        assert await read_all(running) == [1, 2]
    queue.close()


async def test_while_draining_a_job_that_need_not_wait_is_served() -> None:
    queue = StepQueue("test", max_active={Kind.LONG: 1}, max_waiting=4)
    queue.drain()
    with queue.job(numbers(3)) as job:
        assert await read_all(job) == [0, 1, 2]
    queue.close()


async def test_abandoned_jobs_are_told_at_once_and_nobody_waits_for_a_step_that_hangs() -> None:
    queue = StepQueue("test", max_active={Kind.LONG: 1}, max_waiting=4)
    hold, entered = threading.Event(), threading.Event()

    def hanging() -> Iterator[int]:
        entered.set()
        assert hold.wait(10)
        yield 1

    with queue.job(hanging) as running:
        assert await asyncio.to_thread(entered.wait, 10)
        queue.abandon()
        with pytest.raises(StoppingError):
            await anext(running)
        with pytest.raises(StoppingError), queue.job(numbers(1)):
            pass
    hold.set()
    queue.close()


async def test_closing_ends_the_threads_and_tells_the_readers() -> None:
    queue = StepQueue("closing", max_active={Kind.LONG: 2}, max_waiting=4)
    with queue.job(numbers(1000), look_ahead=1) as job:
        await anext(job)
        await asyncio.to_thread(queue.close)
        with pytest.raises(StoppingError):
            await read_all(job)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("closing")]


async def test_many_jobs_on_several_workers_lose_nothing() -> None:
    queue = StepQueue("many", workers=3, max_active={Kind.LONG: 5}, max_waiting=100)

    async def run(count: int) -> list[int]:
        with queue.job(numbers(count), look_ahead=1 + count % 3) as job:
            return await read_all(job)

    results = await asyncio.gather(*(run(count) for count in range(60)))
    assert results == [list(range(count)) for count in range(60)]
    wait_until(lambda: queue.active == 0)
    queue.close()
