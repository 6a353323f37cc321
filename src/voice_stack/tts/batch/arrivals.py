"""Text that is spoken while it is still coming."""

import codecs
import io
import os
import re
import select
from collections.abc import Iterator

from voice_stack.core.errors import ConfigurationError

PAUSE_S = 0.15
"""A pipe that gives nothing for so long after a line has nothing more to say to it."""

LEAST_WIDTH = 40
"""Lines that are all shorter than this were not wrapped to fit into a width."""

_READ_BYTES = 4096
_RAGGED = 0.15  # how uneven the right margin of wrapped text may be, as a part of its width
# A line end that may be decided on: what follows, a word or nothing, is all there.
_DECIDABLE = re.compile(r"\n(?=[^\S\n]*(\S*)\s)")


def arriving_text(descriptor: int) -> Iterator[str | None]:
    """The text of a file descriptor as it comes; None where it ends a line and then pauses.

    Raises:
        ConfigurationError: it is no text in UTF-8, or cannot be read.
    """
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8-sig")(), translate=True)
    size = 0
    ends_line = False
    while True:
        try:
            if ends_line and not select.select([descriptor], [], [], PAUSE_S)[0]:
                yield None
            data = os.read(descriptor, _READ_BYTES)
            text = decoder.decode(data, final=not data)
        except OSError as error:
            raise ConfigurationError(f"standard input cannot be read: {error.strerror or error}") from error
        except UnicodeDecodeError as error:
            raise ConfigurationError(f"standard input is no text in UTF-8 (near byte {size + error.start})") from error
        if not data:
            return
        size += len(data)
        ends_line = text.endswith("\n") if text else ends_line
        if text:
            yield text


class LineEnds:
    """Sets lines apart that stand for themselves, as in a log, and leaves those that were only wrapped together.

    A line was wrapped if the first word of the next one would not have fitted into the width of the widest so far: not
    well, since some programs wrap to lines of like length. After every other line an empty one is put in, which ends
    the paragraph.
    """

    def __init__(self) -> None:
        self._held = ""  # begins with the line end that is not decided on, if any
        self._width = LEAST_WIDTH
        self._column = 0

    def add(self, text: str) -> str:
        """More text; returns that which is ready, whose order and words are those of the text."""
        self._held += text
        ready = []
        while "\n" in self._held:
            line, _, _ = self._held.partition("\n")
            self._pass(line)
            ready.append(line)
            self._held = self._held[len(line) :]
            following = _DECIDABLE.match(self._held)
            if following is None:
                return "".join(ready)
            ready.append("\n" if self._is_wrapped(following[1]) else "\n\n")
            self._column = 0
            self._held = self._held[1:]
        self._pass(self._held)
        ready.append(self._held)
        self._held = ""
        return "".join(ready)

    def flush(self) -> str:
        """What is held back, as if nothing followed."""
        held, self._held, self._column = self._held, "", 0
        return held

    def _pass(self, part: str) -> None:
        self._column += len(part)
        self._width = max(self._width, self._column)

    def _is_wrapped(self, word: str) -> bool:
        return not word or not self._column or self._column + 1 + len(word) > (1 - _RAGGED) * self._width
