"""Ctrl-C while audio is decoded or encoded.

FFmpeg's calls of Python can pass no ``KeyboardInterrupt`` on: PyAV would print it, take the file for ended and go on.
Nothing here changes anything outside the main thread, or where SIGINT is ignored or handled by others.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType

from voice_stack.utils.audio.source import UntilClosed

_CALLED_BY_FFMPEG = frozenset(method.__code__ for method in (UntilClosed.read, UntilClosed.seek, UntilClosed.tell))


def held_interrupts() -> AbstractContextManager[Callable[[], None]]:
    """Hold Ctrl-C back while FFmpeg reads a file; the callable given raises what was held.

    Everywhere else Ctrl-C raises at once, as ever.
    """
    return _held(_is_called_by_ffmpeg, second_raises=False)


def interrupts_between_steps() -> AbstractContextManager[Callable[[], None]]:
    """Hold Ctrl-C back until the callable given is called, which raises it; a second one raises at once."""
    return _held(lambda _: True, second_raises=True)


@contextmanager
def deadly_interrupts() -> Iterator[None]:
    """Let Ctrl-C end the process at once, by the signal itself: for what leaves nothing behind that is half done."""
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _is_called_by_ffmpeg(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code in _CALLED_BY_FFMPEG:
            return True
        frame = frame.f_back
    return False


@contextmanager
def _held(must_wait: Callable[[FrameType | None], bool], *, second_raises: bool) -> Iterator[Callable[[], None]]:
    held = False

    def handle(_number: int, frame: FrameType | None) -> None:
        nonlocal held
        if not must_wait(frame) or (held and second_raises):
            raise KeyboardInterrupt
        held = True

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
