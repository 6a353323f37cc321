"""What a job works on, hours of audio say, is let go with the job: no garbage collector has to come round."""

import asyncio
import contextlib
import gc
import threading
import time
import weakref
from collections.abc import Iterator

import numpy as np
import pytest

from voice_stack.core.errors import EngineError
from voice_stack.utils.queue_manager import StepQueue
from voice_stack.utils.scheduling import Kind
from voice_stack.utils.steps import stop_if_abandoned


@pytest.fixture
def uncollected() -> Iterator[None]:
    """No cyclic garbage collection meanwhile."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("how", ["ends", "fails", "is abandoned in a step", "is abandoned between steps"])
def test_the_audio_of_a_job_goes_when_it(how: str) -> None:
    in_step, left = threading.Event(), threading.Event()
    audio_of_job: list[weakref.ref[object]] = []

    def steps() -> Iterator[int | None]:
        audio = np.zeros(1000)
        audio_of_job.append(weakref.ref(audio))
        yield 1
        if how == "fails":
            raise EngineError("It was told to fail.")
        in_step.set()
        while how == "is abandoned in a step":
            left.wait(5)
            stop_if_abandoned()
        while how == "is abandoned between steps":
            time.sleep(0.01)
            yield None

    async def work() -> None:
        queue = StepQueue("test", max_active={Kind.LONG: 1}, max_waiting=1)

        async def read() -> None:
            with queue.job(steps) as job:
                async for _ in job:
                    pass

        reading = asyncio.create_task(read())
        if "abandoned" in how:
            await asyncio.to_thread(in_step.wait, 5)
            reading.cancel()
        with contextlib.suppress(asyncio.CancelledError, EngineError):
            await reading
        left.set()
        await asyncio.to_thread(queue.close)
        assert queue.active == 0

    asyncio.run(work())
    assert audio_of_job[0]() is None
