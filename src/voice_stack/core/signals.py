"""Notices that the server was told to stop, before it waits for the requests in progress."""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def calling_on_stop(callback: Callable[[], None]) -> Iterator[None]:
    """Call ``callback`` on the event loop at SIGINT or SIGTERM, beside what the server does.

    ASGI tells an app of a stop only after the last request has ended, which is too late to refuse those that wait.
    Works in each worker process; does nothing where no server has set handlers, or outside the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def handle(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(callback)
        server_handler = before[signal.Signals(number)]
        if callable(server_handler):
            server_handler(number, frame)

    ours = [number for number, handler in before.items() if callable(handler)]
    for number in ours:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, before[number])
