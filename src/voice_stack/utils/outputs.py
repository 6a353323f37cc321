"""Files that commands write."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class OutputError(Exception):
    """A folder or a file cannot be written; the message names it and says why."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Tell of errors of the system as ``OutputError``."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error
