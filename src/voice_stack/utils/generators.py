"""Asynchronous generators that were looked into."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

T = TypeVar("T")


async def resumed(first: T, rest: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    """The generator whose first item has been taken already; closing it closes ``rest``."""
    async with aclosing(rest):
        yield first
        async for item in rest:
            yield item
