"""Steps and their work without a queue: the same results, in batches of their own."""

import threading
import time

import pytest

from tests.support.doubling import Model
from voice_stack.core.errors import EngineError
from voice_stack.utils.queue_manager import StepQueue
from voice_stack.utils.run_alone import run_alone
from voice_stack.utils.scheduling import Kind
from voice_stack.utils.steps import Steps


@pytest.mark.anyio
async def test_steps_give_the_same_results_alone_as_in_a_queue() -> None:
    queue = StepQueue("test", max_active={Kind.LONG: 1}, max_waiting=1)
    queue.open_lanes(2)
    model = Model()
    items = range(20)
    with queue.job(model.steps(*items)) as job:
        in_queue = [result async for result in job]
    queue.close()
    assert list(run_alone(model.steps(*items)(), lanes=2)) == in_queue == [2 * item for item in items]


@pytest.mark.parametrize("lanes", [1, 3])
def test_alone_as_many_batches_run_at_a_time_as_there_are_lanes(lanes: int) -> None:
    model = Model(held=True)

    def let_go() -> None:
        for _ in range(lanes):
            assert model.entered.acquire(timeout=10)
        time.sleep(0.02)
        model.go_on.set()

    helper = threading.Thread(target=let_go)
    helper.start()
    assert list(run_alone(model.steps(*range(9), most=2)(), lanes=lanes)) == [2 * item for item in range(9)]
    helper.join()
    assert model.most_running == lanes
    assert max(map(len, model.batches)) <= 2


def test_alone_steps_are_closed_and_what_they_offered_is_not_begun() -> None:
    model = Model(held=True)
    closed: list[bool] = []

    def steps() -> Steps[int]:
        try:
            for item in range(5):
                yield model.work(item, most=1)
            yield 7
            yield 8
        finally:
            closed.append(True)

    running = run_alone(steps())
    assert next(running) == 7
    assert not closed
    model.go_on.set()
    running.close()  # type: ignore[attr-defined]
    assert closed == [True]
    assert model.batches == [[0]]


@pytest.mark.parametrize("item", [-1, 1])
def test_alone_errors_of_steps_and_of_their_work_are_passed_on(item: int) -> None:
    model = Model()
    closed: list[bool] = []

    def steps() -> Steps[int]:
        try:
            yield from model.steps(item)()
            raise EngineError("the steps broke")
        finally:
            closed.append(True)

    with pytest.raises(EngineError, match="it broke" if item < 0 else "the steps broke"):
        list(run_alone(steps()))
    assert closed == [True]
