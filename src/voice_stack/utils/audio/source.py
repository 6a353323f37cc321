"""The file that audio is read from."""

import io
from typing import BinaryIO


class UntilClosed:
    """A file that its owner may close while it is read: it ends there. PyAV would print the error and go on."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source

    def read(self, size: int) -> bytes:
        return self._source.read(size) if not self._source.closed else b""

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._source.seek(offset, whence) if not self._source.closed else 0

    def tell(self) -> int:
        return self._source.tell() if not self._source.closed else 0
