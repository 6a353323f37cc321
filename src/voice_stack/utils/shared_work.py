"""Joins requests for the same work, and keeps results for those who ask again."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass
class _Work:
    task: "asyncio.Task[bytes]"
    waiting: int = 0


class SharedWork:
    """Does each piece of work once at a time, and remembers what came out.

    Work ends when the last of those who wait for it is cancelled. A failure reaches all of them and is not kept.

    Args:
        keep_s: how long a result is kept; 0 keeps none.
        keep_bytes: the size of all results that are kept; the oldest make room.
    """

    def __init__(self, *, keep_s: float, keep_bytes: int) -> None:
        self._keep_s = keep_s
        self._keep_bytes = keep_bytes
        self._kept: OrderedDict[str, tuple[float, bytes]] = OrderedDict()  # with the time at which it was made
        self._kept_bytes = 0
        self._working: dict[str, _Work] = {}

    async def result(self, key: str, work: Callable[[], Awaitable[bytes]]) -> bytes:
        """The result of ``work``, or of the same work for somebody else: ``key`` says what is the same."""
        self._forget_old()
        if key in self._kept:
            return self._kept[key][1]
        shared = self._working.get(key)
        if shared is None:
            shared = self._working[key] = _Work(asyncio.ensure_future(self._run(key, work)))
        shared.waiting += 1
        try:
            return await asyncio.shield(shared.task)
        finally:
            shared.waiting -= 1
            if not shared.waiting and not shared.task.done():
                # The next who asks begins anew: this task is on its way out.
                del self._working[key]
                shared.task.cancel()
                await asyncio.gather(shared.task, return_exceptions=True)

    async def _run(self, key: str, work: Callable[[], Awaitable[bytes]]) -> bytes:
        mine = asyncio.current_task()
        try:
            made = await work()
        finally:
            if (shared := self._working.get(key)) is not None and shared.task is mine:
                del self._working[key]
        self._keep(key, made)
        return made

    def _keep(self, key: str, made: bytes) -> None:
        if self._keep_s <= 0 or len(made) > self._keep_bytes:
            return
        self._kept[key] = (time.monotonic(), made)
        self._kept_bytes += len(made)
        while self._kept_bytes > self._keep_bytes:
            self._drop_oldest()

    def _forget_old(self) -> None:
        while self._kept and time.monotonic() - next(iter(self._kept.values()))[0] > self._keep_s:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        _, (_, dropped) = self._kept.popitem(last=False)
        self._kept_bytes -= len(dropped)
