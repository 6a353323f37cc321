"""Temporary files that need a name: private, there whole or not at all, and swept where a killed process left them.

Whoever has one holds a lock on its folder, which the system takes from a process that dies. A sweep that gets the lock
for itself alone knows that nobody, in whatever container, is using what it finds.
"""

import fcntl
import logging
import os
import re
import shutil
import stat
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_logger = logging.getLogger(__name__)

_FILE = re.compile(r"\.[0-9a-f]{32}\.partial")

LEFT_OVER_S = 3600.0
"""From this age on a temporary file belongs to nobody any more, where its file system knows no locks."""


@contextmanager
def written(folder: Path, fill: Callable[[BinaryIO], object]) -> Iterator[Path]:
    """A hidden file of mode 0600 in ``folder``, on the disk, to be moved to its place while the ``with`` block lasts.

    Raises:
        OSError: it cannot be written; nothing is left of it.
    """
    path = folder / f".{uuid.uuid4().hex}.partial"
    with _lock(folder, fcntl.LOCK_SH):
        try:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                fill(file)
                file.flush()
                os.fsync(file.fileno())
            yield path
        finally:
            path.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove the files of ``written`` that a process left when it was killed; none that is in use."""
    with suppress(OSError), _lock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB) as locked:
        newest = time.time() - (0 if locked else LEFT_OVER_S)
        for path in folder.iterdir():
            if not _FILE.fullmatch(path.name):
                continue
            with suppress(OSError):
                status = path.lstat()
                if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and status.st_mtime <= newest:
                    path.unlink()
                    _logger.info("removed %s, left over by a process that was killed", path.name)


@contextmanager
def temporary_folder(prefix: str) -> Iterator[Path]:
    """A folder of mode 0700 where temporary files go; those of killed processes are removed before.

    Raises:
        OSError: it cannot be made.
    """
    for left in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        _remove_unused(left)
    with ExitStack() as held:
        while True:
            folder = Path(tempfile.mkdtemp(prefix=prefix))
            # A process that starts at the same time may sweep it before it is locked.
            with suppress(FileNotFoundError):
                held.enter_context(_lock(folder, fcntl.LOCK_SH))
                if folder.is_dir():
                    break
        held.callback(shutil.rmtree, folder, ignore_errors=True)
        yield folder


def _remove_unused(folder: Path) -> None:
    with suppress(OSError):
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            return
        with _lock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB) as locked:
            if locked or status.st_mtime < time.time() - LEFT_OVER_S:
                shutil.rmtree(folder, ignore_errors=True)
                _logger.info("removed %s, left over by a process that was killed", folder)


@contextmanager
def _lock(folder: Path, how: int) -> Iterator[bool]:
    """Lock a folder; whether its file system can.

    Raises:
        BlockingIOError: another has it locked, and ``how`` is not to wait.
        OSError: there is no such folder.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, how)
            locked = True
        except BlockingIOError:
            raise
        except OSError:
            locked = False
        yield locked
    finally:
        os.close(descriptor)
