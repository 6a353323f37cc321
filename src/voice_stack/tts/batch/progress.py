"""How far a run has come, and Ctrl-C in it."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Progress:
    """A bar on the terminal, in characters, with the time gone and to come; nothing without tqdm or a terminal."""

    def __init__(self, title: str, total: Callable[[], int], *, quiet: bool) -> None:
        self._quiet = quiet
        self._bar: Any = None
        if not quiet and sys.stderr.isatty():
            try:
                from tqdm import tqdm
            except ImportError:
                return
            self._bar = tqdm(total=total(), desc=title, unit=" characters", leave=False, dynamic_ncols=True)

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()

    def update(self, chars: int, was_kept: bool) -> None:
        """Count so many more, done now or in an earlier run."""
        if self._bar is None:
            return
        if was_kept:
            # The time to come is told by the speed of this run.
            self._bar.initial += chars
            self._bar.n += chars
            self._bar.last_print_n += chars
        self._bar.update(0 if was_kept else chars)

    def note(self, message: str) -> None:
        """Say something that is no error."""
        if self._quiet:
            return
        if self._bar is not None:
            self._bar.clear()
        sys.stderr.write(f"voice-stack: {message}\n")


@contextmanager
def interrupts_between_steps() -> Iterator[Callable[[], None]]:
    """Hold Ctrl-C back until the callable given is called, which raises it; a second one raises at once.

    FFmpeg's calls of Python can pass no ``KeyboardInterrupt`` on: PyAV would print it and go on with a file that lacks
    what was to be written. Changes nothing outside the main thread, or where SIGINT is ignored or handled by others.
    """
    held = False

    def handle(_number: int, _frame: FrameType | None) -> None:
        nonlocal held
        if held:
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
