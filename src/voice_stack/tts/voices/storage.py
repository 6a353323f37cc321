"""Files that are there whole or not at all."""

import logging
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from voice_stack.core.errors import UnavailableError

_logger = logging.getLogger(__name__)

TEMPORARY_SUFFIX = ".partial"
LEFT_OVER_S = 3600.0
"""From this age on a temporary file belongs to nobody any more."""


def write_temporary(folder: Path, fill: Callable[[BinaryIO], object], *, mode: int = 0o666) -> Path:
    """Write a hidden file into ``folder``, down to the disk, to be moved to its place by ``claim`` or ``os.replace``.

    Args:
        mode: less what the process's umask takes away.

    Raises:
        OSError: it cannot be written; nothing is left of it.
    """
    path = folder / f".{uuid.uuid4().hex}{TEMPORARY_SUFFIX}"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        try:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    return path


def claim(temporary: Path, path: Path) -> None:
    """Move a temporary file to a name that nothing has yet; of several processes that try, one succeeds.

    Not by a hard link, which not every file system of a container has.

    Raises:
        FileExistsError: the name is taken, be it by a link that leads nowhere.
    """
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Bring a folder's names down to the disk, where its file system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sweep(folder: Path) -> None:
    """Remove the temporary files that a process left when it was killed."""
    oldest = time.time() - LEFT_OVER_S
    with suppress(OSError):
        for path in folder.glob(f".*{TEMPORARY_SUFFIX}"):
            with suppress(OSError):
                if path.lstat().st_mtime < oldest:
                    path.unlink()
                    _logger.info("removed %s, left over from an upload", path.name)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Make ``folder`` where it lacks, and turn what goes wrong with files into an answer.

    Raises:
        UnavailableError: nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise UnavailableError(
            f"The folder of the voices (TTS_VOICE_DIR) cannot be written: {error.strerror or error}. Ask the operator "
            "to make room in it, or to make it writable.",
            retry_after_s=60,
        ) from error
