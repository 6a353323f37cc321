"""Ctrl-C while audio is decoded."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from voice_stack.utils.audio.source import UntilClosed

_CALLED_BY_FFMPEG = frozenset(method.__code__ for method in (UntilClosed.read, UntilClosed.seek, UntilClosed.tell))


@contextmanager
def held_interrupts() -> Iterator[Callable[[], None]]:
    """Hold Ctrl-C back while FFmpeg reads a file; the callable given raises what was held.

    FFmpeg's calls of Python can pass no ``KeyboardInterrupt`` on: PyAV would print it, take the file for ended and go
    on. Everywhere else Ctrl-C raises at once, as ever. Changes nothing outside the main thread, or where SIGINT is
    ignored or handled by others.
    """
    held = False

    def handle(_number: int, frame: FrameType | None) -> None:
        nonlocal held
        while frame is not None:
            if frame.f_code in _CALLED_BY_FFMPEG:
                held = True
                return
            frame = frame.f_back
        raise KeyboardInterrupt

    def check() -> None:
        if held:
            raise KeyboardInterrupt

    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield check
        return
    signal.signal(signal.SIGINT, handle)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
