"""Where speech goes that is heard, or handed on, while it is made."""

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, redirect_stdout
from typing import Protocol

from voice_stack.utils.outputs import OutputError


class Sink(Protocol):
    """Takes the bytes of a speech one after the other."""

    audio_format: str
    rate_hz: int

    def opened(self) -> AbstractContextManager[None]:
        """What ``write`` needs; the speech is whole where the block ends without an error.

        Raises:
            BrokenPipeError: nobody takes any more of it.
            OutputError: it cannot be written.
            VoiceStackError: it can no longer be heard.
        """

    def write(self, data: bytes) -> None:
        """Hand on more; waits for whoever takes it. Raises what ``opened`` does."""


class StandardOutput:
    """Standard output, which gets the audio and nothing else."""

    def __init__(self, audio_format: str, rate_hz: int) -> None:
        self.audio_format = audio_format
        self.rate_hz = rate_hz
        self._output = sys.stdout.buffer

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Keep what libraries print from getting between the bytes."""
        with redirect_stdout(sys.stderr):
            try:
                yield
            except BrokenPipeError:
                # Python would try again at its end.
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._output.fileno())
                raise

    def write(self, data: bytes) -> None:
        """Write, and keep nothing back."""
        try:
            self._output.write(data)
            self._output.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError(f"standard output cannot be written: {error.strerror or error}") from error
