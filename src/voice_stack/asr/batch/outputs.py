"""What was heard in a file, on its way to the files of each format."""

import os
import pickle
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

from voice_stack.asr.engine.base import Segment
from voice_stack.utils.outputs import OutputError, writing


class SegmentStore:
    """Keeps the segments of a file on disk: what subtitles are cut to, its length, is known only at its end.

    The store has no name in the folder: however the process ends, it is gone.

    Raises:
        OutputError: the folder cannot be made or written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by close()

    def close(self) -> None:
        """Throw the segments away."""
        # What a full disk did not take is tried again at the close.
        with suppress(OSError):
            self._file.close()

    def add(self, segment: Segment) -> None:
        """Keep one more."""
        with writing(self._folder):
            pickle.dump(segment, self._file)

    def __iter__(self) -> Iterator[Segment]:
        with writing(self._folder):
            self._file.seek(0)
        while True:
            try:
                yield pickle.load(self._file)  # noqa: S301 - nobody else can write to it
            except EOFError:
                return


class StagedFiles:
    """Files that are all written before the first of them gets its name. Closed, they leave no other behind."""

    def __init__(self) -> None:
        self._staged: list[tuple[Path, Path]] = []

    def close(self) -> None:
        """Remove what has no name of its own yet."""
        for part, _target in self._staged:
            with suppress(OSError):
                part.unlink(missing_ok=True)

    def write(self, target: Path, parts: Iterable[str]) -> None:
        """Write what is to be ``target``, as UTF-8, next to it.

        Raises:
            OutputError: it cannot be written.
        """
        # Short, as the target's own name may be as long as names can be.
        part = target.with_name(f".voice-stack-{uuid.uuid4().hex}.part")
        self._staged.append((part, target))
        with writing(target), part.open("x", encoding="utf-8", newline="\n") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())

    def publish(self, *, overwrite: bool) -> None:
        """Give every file its name.

        Raises:
            OutputError: a name cannot be given, or is in use by now and may not be overwritten.
        """
        for part, target in self._staged:
            with writing(target):
                if not overwrite and target.exists():
                    raise OutputError(f"{target} was made by somebody else meanwhile, and left as it is")
                part.replace(target)
