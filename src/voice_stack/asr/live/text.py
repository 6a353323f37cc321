"""The text of an utterance, from pieces to what is given out of it."""

from collections.abc import Sequence

from voice_stack.asr.engine.base import Piece
from voice_stack.asr.live.words import begins_alone


class Text:
    """Joins pieces. Nothing that was given out changes; there is no space at its beginning, nor ever at its end."""

    def __init__(self) -> None:
        self._given: list[str] = []
        self._spaces = ""  # given out where something follows
        self._is_apart = False  # whether what follows must not touch what is there

    @property
    def whole(self) -> str:
        """All that was given out."""
        return "".join(self._given)

    def add(self, pieces: Sequence[Piece]) -> str:
        """What is to be given out for these."""
        text = "".join(piece.text for piece in pieces)
        if not text.strip():
            self._spaces = self._spaces or text
            return ""
        spaces = "" if text[0].isspace() else self._spaces
        if self._is_apart and not spaces and not text[0].isspace() and not begins_alone(text):
            spaces = " "
        text = (spaces + text) if self._given else text.lstrip()
        self._spaces = text[len(text.rstrip()) :]
        self._is_apart = False
        self._given.append(text.rstrip())
        return self._given[-1]

    def begin_part(self) -> None:
        """What follows was written on its own, and may lack the space before it."""
        self._is_apart = bool(self._given)
