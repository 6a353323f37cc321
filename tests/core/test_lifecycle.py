"""The model's life: loaded, in use, let go of, loaded again."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import pytest

from tests.support.engines import FakeTtsEngine, Gate
from voice_stack.core import lifecycle
from voice_stack.core.errors import EngineError, ModelLoadError, QueueFullError, StoppingError
from voice_stack.core.lifecycle import Lifecycle, State

pytestmark = pytest.mark.anyio

TTL_S = 0.02


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(10):
        while not condition():
            await asyncio.sleep(0.002)


@asynccontextmanager
async def living(
    engine: FakeTtsEngine, *, ttl_s: float = TTL_S, max_waiting: int = 8, is_busy: Callable[[], bool] = lambda: False
) -> AsyncIterator[Lifecycle]:
    life = Lifecycle(engine.load, engine.unload, max_waiting=max_waiting, ttl_s=ttl_s, is_busy=is_busy)
    life.start()
    try:
        yield life
    finally:
        life.stop()


async def use(life: Lifecycle) -> None:
    async with life.in_use():
        assert life.state is State.READY


async def test_a_model_that_nobody_uses_is_let_go_of_and_loaded_again_on_demand() -> None:
    engine = FakeTtsEngine()
    told: list[str] = []
    async with living(engine) as life:
        life.on_loaded = lambda seconds: told.append("loaded" if seconds >= 0 else "never")
        life.on_unloaded = lambda: told.append("unloaded")
        for times in (1, 2, 3):
            await until(lambda times=times: engine.unloads == times)  # type: ignore[misc]
            assert life.state is State.IDLE
            assert life.is_healthy
            await use(life)
            assert engine.loads == times + 1
        await until(lambda: told == ["loaded", "unloaded"] * 4)


async def test_a_model_is_kept_where_no_time_is_set() -> None:
    engine = FakeTtsEngine()
    async with living(engine, ttl_s=0) as life:
        await use(life)
        await asyncio.sleep(2 * TTL_S)
        assert (life.state, engine.unloads) == (State.READY, 0)


async def test_a_model_is_never_let_go_of_while_in_use() -> None:
    engine = FakeTtsEngine()
    async with living(engine) as life:
        await use(life)
        async with life.in_use():
            unloads = engine.unloads
            await asyncio.sleep(3 * TTL_S)
            assert (life.state, engine.unloads) == (State.READY, unloads)
            await use(life)
            await asyncio.sleep(3 * TTL_S)
            assert (life.state, engine.unloads) == (State.READY, unloads)
        await until(lambda: engine.unloads == unloads + 1)


async def test_a_model_is_kept_for_a_step_that_outlives_its_request() -> None:
    engine, busy = FakeTtsEngine(), threading.Event()
    busy.set()
    async with living(engine, is_busy=busy.is_set) as life:
        await use(life)
        await asyncio.sleep(3 * TTL_S)
        assert (life.state, engine.unloads) == (State.READY, 0)
        busy.clear()
        await until(lambda: engine.unloads == 1)


async def test_requests_at_the_same_time_wait_for_one_reload() -> None:
    loading = Gate()
    engine = FakeTtsEngine(load_gate=loading)
    async with living(engine) as life:
        await until(lambda: engine.unloads == 1)
        loading.shut()
        waiting = [asyncio.create_task(use(life)) for _ in range(8)]
        await until(loading.reached.is_set)
        assert (life.state, life.is_healthy) == (State.LOADING, True)
        with pytest.raises(QueueFullError):
            await use(life)
        assert not any(task.done() for task in waiting)
        loading.open()
        await asyncio.gather(*waiting)
        assert engine.loads == 2


async def test_a_request_during_the_unload_waits_for_it_and_for_the_reload() -> None:
    leaving = Gate(opened=False)
    engine = FakeTtsEngine(unload_gate=leaving)
    async with living(engine) as life:
        await until(leaving.reached.is_set)
        waiting = asyncio.create_task(use(life))
        await asyncio.sleep(0.01)
        assert (engine.loads, engine.unloads) == (1, 0)
        leaving.open()
        await waiting
        assert engine.loads == 2


async def test_a_reload_that_fails_fails_those_who_wait_and_the_next_request_tries_again() -> None:
    loading = Gate()
    engine = FakeTtsEngine(load_gate=loading)
    async with living(engine) as life:
        await until(lambda: engine.unloads == 1)
        engine.load_error = EngineError("The disk is away.")
        loading.shut()
        waiting = [asyncio.create_task(use(life)) for _ in range(3)]
        await until(loading.reached.is_set)
        loading.open()
        for ended in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(ended, ModelLoadError)
            assert "The disk is away." in str(ended)
        assert (life.state, life.is_healthy) == (State.FAILED, False)
        assert life.error is None, "the process would end"
        assert str(life.reload_error) == "The disk is away."
        await life.ready()
        engine.load_error = None
        await use(life)
        assert life.is_healthy
        assert life.reload_error is None


async def test_a_reload_that_fails_is_tried_again_where_no_request_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "RETRY_S", 0.01)
    engine = FakeTtsEngine()
    async with living(engine) as life:
        await until(lambda: engine.unloads == 1)
        engine.load_error = EngineError("The disk is away.")
        with pytest.raises(ModelLoadError):
            await use(life)
        engine.load_error = None
        await until(lambda: life.is_healthy and engine.loads == 2)


async def test_a_first_load_that_fails_is_final() -> None:
    engine = FakeTtsEngine(load_error=EngineError("There is no such model."))
    async with living(engine) as life:
        await until(lambda: life.state is State.FAILED)
        engine.load_error = None
        for _ in range(2):
            with pytest.raises(ModelLoadError, match="no such model"):
                await use(life)
        assert str(life.error) == "There is no such model."


async def test_stopping_during_a_reload_ends_the_wait_and_an_idle_service_stays_idle() -> None:
    loading = Gate()
    engine = FakeTtsEngine(load_gate=loading)
    async with living(engine) as life:
        await until(lambda: engine.unloads == 1)
        loading.shut()
        waiting = asyncio.create_task(use(life))
        await until(loading.reached.is_set)
        life.stop()
        with pytest.raises(StoppingError):
            await waiting
        loading.open()
        await until(lambda: engine.loads == 2)
        await asyncio.sleep(2 * TTL_S)
        assert (life.state, engine.unloads) == (State.STOPPING, 1)


async def test_stopping_leaves_a_model_that_is_there_to_those_who_are_still_sending() -> None:
    engine = FakeTtsEngine()
    async with living(engine, ttl_s=0) as life:
        await life.ready()
        life.stop()
        async with life.in_use():
            assert (life.state, engine.unloads) == (State.STOPPING, 0)


async def test_stopping_during_the_unload_refuses_who_comes() -> None:
    leaving = Gate(opened=False)
    engine = FakeTtsEngine(unload_gate=leaving)
    async with living(engine) as life:
        await until(leaving.reached.is_set)
        life.stop()
        with pytest.raises(StoppingError):
            await use(life)
        leaving.open()
        await until(lambda: engine.unloads == 1)


async def test_who_hangs_up_while_waiting_holds_the_model_no_longer_and_others_wait_on() -> None:
    loading = Gate()
    engine = FakeTtsEngine(load_gate=loading)
    async with living(engine) as life:
        await until(lambda: engine.unloads == 1)
        loading.shut()
        leaving, waiting = asyncio.create_task(use(life)), asyncio.create_task(use(life))
        await until(loading.reached.is_set)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        loading.open()
        await waiting
        await until(lambda: (engine.loads, engine.unloads) == (2, 2))


async def test_what_is_known_without_the_model_does_not_load_it() -> None:
    engine = FakeTtsEngine()
    async with living(engine) as life:
        await life.ready()
        assert engine.loads == 1
        await until(lambda: engine.unloads == 1)
        await life.ready()
        assert (life.state, engine.loads) == (State.IDLE, 1)
