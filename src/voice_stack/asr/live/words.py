"""Where words begin and end in what a model wrote."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from voice_stack.asr.engine.base import Piece

# Thai to Tibetan, Burmese, Khmer, kana, the Chinese characters, and their punctuation and wide letters.
_UNSPACED = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3001-\u30ff\u3400-\u9fff\uf900-\ufaff\uff01-\uff9f"
    "\U00020000-\U0003ffff]"
)


@dataclass(frozen=True)
class Word:
    """A word; in scripts without spaces, a character."""

    core: str  # its letters and digits, without case; what makes it the same word in another hypothesis
    begin: int  # of its pieces, the first
    end: int  # the one after the last that has a letter or a digit
    whole_end: int  # the one after the punctuation that follows, too


def find_words(pieces: Sequence[Piece]) -> list[Word]:
    """The words in a row of pieces. Punctuation before the first belongs to it."""
    words: list[Word] = []
    begin = 0  # of the punctuation that may belong to the next word
    is_apart = True
    for index, piece in enumerate(pieces):
        spelled = "".join(filter(_is_spelled, piece.text)).casefold()
        if piece.text[:1].isspace() and not is_apart:
            is_apart, begin = True, index
        if not spelled:
            if words and not is_apart:
                words[-1] = _longer(words[-1], whole_end=index + 1)
            continue
        if is_apart or begins_alone(piece.text):
            words.append(Word(spelled, begin if is_apart else index, index + 1, index + 1))
        else:
            words[-1] = _longer(words[-1], core=words[-1].core + spelled, end=index + 1, whole_end=index + 1)
        is_apart, begin = False, index + 1
    return words


def begins_alone(text: str) -> bool:
    """Whether a text begins with a character that is a word, or an end of one, without a space before it."""
    return _UNSPACED.match(text) is not None and unicodedata.category(text[0])[0] != "M"


def _is_spelled(character: str) -> bool:
    # Vowel signs and tone marks are no letters, but a word without them is cut in half.
    return character.isalnum() or unicodedata.category(character)[0] == "M"


def _longer(word: Word, *, core: str | None = None, end: int | None = None, whole_end: int) -> Word:
    return Word(word.core if core is None else core, word.begin, word.end if end is None else end, whole_end)
