"""Waiting, on one event loop, until something is so."""

import asyncio
from collections.abc import Callable


class Changes:
    """Those who change something say so; those who wait look again."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def notify(self) -> None:
        """Something has changed."""
        self._event.set()

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until it is so; returns at once where it is."""
        while not is_so():
            # Whoever waits already was woken by the event that is cleared here.
            self._event.clear()
            await self._event.wait()
