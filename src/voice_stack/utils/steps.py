"""Jobs in steps: what they yield, how the work that they offer is run, and how a step learns that nobody waits for it.

A job is an iterator: each ``next()`` does one step of work (decode a block of audio, synthesise a sentence) and gives a
result, or ``None`` where it could be abandoned but has nothing to hand out yet, or a ``Work``: given for the first
time it is put to the next batches, and the job goes on; given again, the job waits until it is done.
"""

import contextvars
import copy
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias, TypeVar

from voice_stack.core.errors import EngineError
from voice_stack.utils.scheduling import Work

T = TypeVar("T")

Steps: TypeAlias = Iterator[T | Work[Any] | None]

_is_abandoned: contextvars.ContextVar["Callable[[], bool] | None"] = contextvars.ContextVar("abandoned", default=None)


class AbandonedError(Exception):
    """Raised inside a step whose reader has left; nobody gets to see it."""


def stop_if_abandoned() -> None:
    """End the running step or batch where it stands if nobody waits for it any more; for what takes long.

    Raises:
        AbandonedError: the job was abandoned, or every job of the batch.
    """
    is_abandoned = _is_abandoned.get()
    if is_abandoned is not None and is_abandoned():
        raise AbandonedError


def abandoned_when(is_abandoned: Callable[[], bool]) -> None:
    """Say when what runs in this context from now on is abandoned."""
    _is_abandoned.set(is_abandoned)


def run_works(works: Sequence[Work[Any]], is_abandoned: Callable[[], bool] | None = None) -> None:
    """Run one batch of alike works; each has its result or its error afterwards."""
    if is_abandoned is not None:
        abandoned_when(is_abandoned)
    try:
        results = works[0].run([work.item for work in works])
        for work, result in zip(works, results, strict=True):
            work.finish(result)
    except BaseException as error:  # noqa: BLE001 - those who wait get it; the lane must live on
        let_go(error)
        for work in works:
            work.fail(error if len(works) == 1 else _copy_of(error))


def close_steps(steps: Steps[Any] | None) -> None:
    """Close a job's iterator where it can be closed."""
    close = getattr(steps, "close", None)
    if close is not None:
        close()


def let_go(error: BaseException) -> None:
    """Drop what the frames of an error hold, hours of audio say; its traceback stays readable."""
    link: BaseException | None = error
    while link is not None:
        traceback.clear_frames(link.__traceback__)
        link = link.__cause__ or link.__context__


def _copy_of(error: BaseException) -> BaseException:
    """An error for one of several: to clear the frames that it came through must not end those of another's request."""
    copied: BaseException
    try:
        copied = copy.copy(error)
    except Exception:  # noqa: BLE001 - a class that cannot be made anew from its arguments
        copied = EngineError(str(error))
    copied.__cause__ = error
    return copied
