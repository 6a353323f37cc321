"""How far a run has come."""

import sys
from collections.abc import Callable
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
