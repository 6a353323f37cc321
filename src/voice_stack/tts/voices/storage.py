"""Where recordings are kept."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from voice_stack.core.errors import UnavailableError


def claim(temporary: Path, path: Path) -> None:
    """Move a temporary file to a name that nothing has yet; of several processes that try, one succeeds.

    Not by a hard link, which not every file system of a container has.

    Raises:
        FileExistsError: the name is taken, be it by a link that leads nowhere.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        # What the process's umask leaves to others, they may read of a recording, too. Not every file system has modes.
        with suppress(PermissionError):
            temporary.chmod(stat.S_IMODE(os.fstat(descriptor).st_mode))
        temporary.replace(path)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Bring a folder's names down to the disk, where its file system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


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
