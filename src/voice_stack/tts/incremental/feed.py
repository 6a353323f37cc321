"""A text that is still being written: the one side adds to it while the other reads."""

import copy
import re
import time
from collections import deque
from collections.abc import Callable
from enum import Enum

from voice_stack.core.errors import InvalidRequestError, VoiceStackError
from voice_stack.utils.sentence_ends import ENDS
from voice_stack.utils.sentences import LINE_ENDS

_END = re.compile(f"[{re.escape(ENDS + LINE_ENDS)}]")


class Mark(Enum):
    """What may stand between two pieces of a text."""

    FLUSH = "flush"  # all until here is to be said now
    COMMIT = "commit"  # the text is whole


class TextFeed:
    """Takes the pieces of one text, from any thread; `Utterance` reads them on another.

    Args:
        on_change: called after each addition, on the thread of whoever made it.
    """

    def __init__(self, on_change: Callable[[], None] | None = None) -> None:
        self.on_change = on_change
        self.characters = 0
        """Of the text until now."""
        self.is_committed = False
        """Whether the text is whole."""
        self.is_failed = False
        """Whether there is an end that is none of the text's."""
        self.last_at = time.monotonic()
        """When it was added to last, on the clock of ``time.monotonic``."""
        self.unread = 0
        """Characters that nobody has read yet, about."""
        self.may_end = False
        """Whether what nobody has read yet may complete a sentence."""
        self._pieces: deque[str | Mark | VoiceStackError] = deque()

    def append(self, text: str) -> None:
        """Add a piece, which may begin and end anywhere.

        Raises:
            InvalidRequestError: the text is whole already.
        """
        if text:
            self._add(text)
            self.characters += len(text)

    def flush(self) -> None:
        """Have all be said that is there now; the text goes on.

        Raises:
            InvalidRequestError: the text is whole already.
        """
        self._add(Mark.FLUSH)

    def commit(self) -> None:
        """The text is whole.

        Raises:
            InvalidRequestError: it is so already.
        """
        self._add(Mark.COMMIT)
        self.is_committed = True

    def fail(self, error: VoiceStackError) -> None:
        """There will be no more: who has read all that is there gets the error."""
        self.is_failed = True
        self._put(error)

    def read(self) -> str | Mark | None:
        """The next piece or mark; None: there is none now.

        Raises:
            VoiceStackError: what ``fail`` was told.
        """
        if not self._pieces:
            return None
        # Cleared first: what is added meanwhile sets it again.
        self.may_end = False
        self.unread = 0
        piece = self._pieces.popleft()
        if isinstance(piece, VoiceStackError):
            # Whoever runs the steps clears the frames that an error came through, be they those of a living task.
            raise copy.copy(piece)
        return piece

    def _add(self, piece: str | Mark) -> None:
        if self.is_committed:
            raise InvalidRequestError("The text is whole already; nothing can be added to it.", code="text_committed")
        self._put(piece)

    def _put(self, piece: str | Mark | VoiceStackError) -> None:
        self._pieces.append(piece)
        if isinstance(piece, str):
            self.unread += len(piece)
        self.may_end = self.may_end or not isinstance(piece, str) or _END.search(piece) is not None
        self.last_at = time.monotonic()
        if self.on_change is not None:
            self.on_change()
