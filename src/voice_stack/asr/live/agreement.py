"""What of a text can be given out while somebody speaks: what two hypotheses in a row agree on.

LocalAgreement-2 (Liu, Spanakis and Niehues, 2020; Macháček, Dabre and Bojar, 2023). Here every hypothesis begins with
what was given out before it, as the model is made to begin with it, so that nothing has to be matched or taken back.
"""

from collections.abc import Sequence

from voice_stack.asr.engine.base import Piece
from voice_stack.asr.live.words import find_words

AGREE = 2
"""Hypotheses in a row that must have a word."""
SURE = 0.6
"""Probability of a word from which on they are enough."""
AGREE_UNSURE = 3
"""Hypotheses in a row that must have a less probable one: what follows a word tells what it was."""


class Agreement:
    """Compares hypotheses of one window, each of which begins with ``given``.

    Args:
        given: what was given out of the window's text already.
    """

    def __init__(self, given: Sequence[Piece] = ()) -> None:
        self.given = list(given)
        self._before: list[tuple[str, int]] = []  # the words after it, and how many hypotheses in a row had them

    @property
    def prefix(self) -> tuple[int, ...]:
        """The tokens that the next hypothesis is to begin with."""
        return tuple(token for piece in self.given for token in piece.tokens)

    def add(self, pieces: Sequence[Piece], *, cut_off: bool = True) -> Sequence[Piece]:
        """Compare one more hypothesis; returns what can be given out now: whole words.

        Punctuation waits for the word after it: at the end of the audio models end every sentence.

        Args:
            cut_off: the audio may end within the last word, which waits for the next hypothesis then.
        """
        following = pieces[len(self.given) :]
        words = find_words(following)
        counts = [1] * len(words)
        for number, (word, (before, count)) in enumerate(zip(words, self._before, strict=False)):
            if word.core != before:
                break
            counts[number] = count + 1
        agreed = 0
        for word, count in zip(words[: len(words) - cut_off], counts, strict=False):
            probability = min(piece.probability for piece in following[word.begin : word.end])
            if count < (AGREE if probability >= SURE else AGREE_UNSURE):
                break
            agreed += 1
        self._before = [(word.core, count) for word, count in zip(words[agreed:], counts[agreed:], strict=True)]
        return self.give(following[: words[agreed - 1].end] if agreed > 0 else ())

    def give(self, pieces: Sequence[Piece]) -> Sequence[Piece]:
        """Give these pieces out next, whether anything agrees with them or not."""
        self.given += pieces
        return pieces
