"""How many sessions are open, and how long one may last."""

import asyncio

from voice_stack.core.errors import QueueFullError, StoppingError


class Sessions:
    """The open sessions of one process. Used on the event loop only.

    Args:
        most: sessions that may be open.
        idle_s: how long nothing may go either way; 0: for ever.
        longest_s: how long one may last; 0: for ever.
    """

    def __init__(self, *, most: int, idle_s: float, longest_s: float) -> None:
        self._most = most
        self.idle_s = idle_s
        self.longest_s = longest_s
        self.open = 0
        self.stopping = asyncio.Event()

    def enter(self) -> None:
        """One more session begins; ``leave`` is to be called at its end.

        Raises:
            QueueFullError: there are as many as may be.
            StoppingError: the service is stopping.
        """
        if self.stopping.is_set():
            raise StoppingError("The service is stopping; try again in a moment.")
        if self.open >= self._most:
            raise QueueFullError(f"{self.open} sessions are open already; try again later.", retry_after_s=10)
        self.open += 1

    def leave(self) -> None:
        """A session has ended."""
        self.open -= 1

    def stop(self) -> None:
        """Let those that are open come to an end, and begin no more."""
        self.stopping.set()
