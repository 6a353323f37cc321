"""Chunks of a text that comes in pieces, each as soon as it is sure what it is, or as somebody waits for it."""

# ruff: noqa: RUF001 - punctuation of other scripts

import enum
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from voice_stack.tts.incremental.feed import Mark
from voice_stack.utils.normalise import plain_text
from voice_stack.utils.normalise.unfinished import settled
from voice_stack.utils.sentence_ends import CLOSERS, ENDS, OPENERS, STRONG_ENDS, Boundary, inner_ends
from voice_stack.utils.sentences import LINE_ENDS, SentenceMaker
from voice_stack.utils.text import ChunkMaker, TextChunk, is_short, strip_unspeakable


class Haste(enum.IntEnum):
    """How much may be guessed of what follows."""

    NONE = 0  # nothing: the chunks are those of the whole text
    LISTENER = 1  # somebody waits: what is surely a sentence is not kept to be joined with the next one
    PAUSE = 2  # the writer pauses, too: what may be a sentence is one


@dataclass(frozen=True)
class Cue:
    """A chunk, and what ended the one before it."""

    chunk: TextChunk
    gap: Boundary | None  # None: it is the first one


_EMPHASIS = "*_`~="
_MARKUP = re.compile(r"[<\[&|#]")
_OPEN = re.compile("[" + re.escape(OPENERS + '"' + _EMPHASIS) + "]")
_WIDE_ENDS = "。！？｡"
# "What?" and "2!", but not "x.com/?", behind which more may come.
_STRONG_END = re.compile(rf"[^\W_]+(?:['’-][^\W_]+)*[{re.escape(STRONG_ENDS)}]+")
_SHORT_NUMBER = re.compile(r"(?:^|\D)\d{1,3}\.$")
_HANGING = re.compile(f"[{re.escape(ENDS + CLOSERS + _EMPHASIS)}]*")
_MAY_END = re.compile(f"[{re.escape(ENDS + LINE_ENDS)}]")
# Words that may follow: a name, one in small letters, and one that often begins a sentence.
_ANY_WORD, _STARTER = ("Zz", "zz"), ("The",)


class StreamCutter:
    """Cuts a text as `spoken_chunks` does, without its end being known.

    With ``Haste.NONE`` the chunks are those of the whole text; with more, one that was begun early may be parted from
    a short sentence that would have been joined to it. No word is ever lost, said twice or out of order.

    Args:
        max_chars, language_of, default_language: as those of `spoken_chunks`.
    """

    def __init__(
        self,
        max_chars: Callable[[str | None], int],
        language_of: Callable[[str, str | None], str | None] | None = None,
        default_language: str | None = None,
    ) -> None:
        self._max_chars = max_chars(default_language)
        self._sentences = SentenceMaker()
        self._chunks = ChunkMaker(max_chars, language_of, default_language)
        self._text = ""  # of which the markup is not settled
        self._hangs = False  # what comes next without a space belongs to what was said
        self._making: Iterator[TextChunk] = iter(())
        self._last: Boundary | None = None

    @property
    def may_end(self) -> bool:
        """Whether there is something that the next characters may show to be the end of a sentence."""
        last_word = self._sentences.last_word or ""
        return len(self._text) > self._max_chars or _MAY_END.search(last_word + self._text) is not None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is held back."""
        return not self._text.strip() and not self._sentences.text and self._chunks.is_empty

    def add(self, piece: str | Mark) -> None:
        """The text goes on, after every chunk was taken that ``next`` gives without haste."""
        if isinstance(piece, Mark):
            self._making = self._flushed(piece)
        else:
            self._text += self._without_rest(piece) if self._hangs else piece
            self._making = self._settled()

    def next(self, haste: Haste) -> Cue | None:
        """The next chunk that can be told with so much haste; None where that takes more text."""
        chunk = next(self._making, None)
        if chunk is None and haste > Haste.NONE:
            self._making = self._hurried(haste)
            chunk = next(self._making, None)
        if chunk is None:
            return None
        gap, self._last = self._last, chunk.boundary
        # Where a sentence was ended early, only the next one told what lies between them.
        if gap is not None and self._sentences.opening is not None:
            gap = max(gap, self._sentences.opening)
        self._sentences.opening = None
        return Cue(chunk, gap)

    def _settled(self) -> Iterator[TextChunk]:
        yield from self._feed(settled(self._text))

    def _flushed(self, mark: Mark) -> Iterator[TextChunk]:
        yield from self._feed(len(self._text))
        if mark is Mark.COMMIT:
            for sentence in self._sentences.end():
                yield from self._chunks.add(sentence)
        else:
            yield from self._end_sentence(Boundary.CLAUSE)
        yield from self._chunks.end()

    def _hurried(self, haste: Haste) -> Iterator[TextChunk]:
        over = self._over(haste)
        if over is not None and (haste is Haste.PAUSE or not is_short(self._sentences.text + self._text[:over])):
            hangs = over == len(self._text) > 0 and not self._text[-1].isspace()
            yield from self._feed(over)
            yield from self._end_sentence(Boundary.SENTENCE)
            self._hangs = hangs
        else:
            for part in self._sentences.cut(self._max_chars):
                yield from self._chunks.add(part)
        if haste is Haste.PAUSE or not self._chunks.is_short:
            yield from self._chunks.end()

    def _feed(self, count: int) -> Iterator[TextChunk]:
        """Take so much of the text to be whole words and markup."""
        if not count:
            return
        piece, self._text = self._text[:count], self._text[count:]
        for sentence in self._sentences.add(plain_text(strip_unspeakable(piece))):
            yield from self._chunks.add(sentence)

    def _end_sentence(self, least: Boundary) -> Iterator[TextChunk]:
        boundary = Boundary(max(least, self._sentences.break_after_last(_STARTER[0])))
        for sentence in self._sentences.end_here(boundary):
            yield from self._chunks.add(sentence)

    def _without_rest(self, piece: str) -> str:
        match = _HANGING.match(piece)
        rest = match.end() if match else 0
        self._hangs = rest == len(piece)
        return piece[rest:]

    def _over(self, haste: Haste) -> int | None:
        """How much of the text belongs to a sentence that is over; None: it is not sure that one is."""
        words = self._text.split()
        if _MARKUP.search(self._text) or len(words) > 1:
            return self._over_by_pause(words) if haste is Haste.PAUSE else None
        line_end = any(end in self._text for end in LINE_ENDS)
        afters = _STARTER if haste is Haste.PAUSE else _ANY_WORD
        if not words:
            if haste is Haste.PAUSE and self._sentences.gap >= Boundary.CLAUSE:
                return 0 if self._sentences.text else None
            return 0 if self._ends(afters, line_end=line_end) else None
        word, is_whole = words[0], self._text[-1].isspace()
        if self._begins_anew(word, is_whole=is_whole or haste is Haste.PAUSE):
            return 0
        inner = [end for end, kind in inner_ends(word) if kind is Boundary.SENTENCE]
        if inner:
            return inner[-1] + len(self._text) - len(self._text.lstrip())
        if haste is Haste.PAUSE:
            return self._over_by_pause(words)
        if is_whole:
            return len(self._text) if self._ends(afters, word, line_end=line_end) else None
        is_strong = word[-1] in _WIDE_ENDS or _STRONG_END.fullmatch(word) is not None
        return len(self._text) if is_strong and not _OPEN.search(self._sentences.text + word) else None

    def _over_by_pause(self, words: list[str]) -> int | None:
        """As ``_over``, where nothing has come for a while: "3." may go on with "14", all else is over."""
        is_line = self._text[-1:] in LINE_ENDS
        if not words or "<" in self._text or "[" in self._text or _SHORT_NUMBER.search(words[-1]):
            return len(self._text) if words and is_line else None
        ends = is_line or self._ends(_STARTER, words[-1])
        return len(self._text) if ends else None

    def _begins_anew(self, word: str, *, is_whole: bool) -> bool:
        """Whether a word, of which more may come, shows that the sentence before it is over."""
        last = self._sentences.last_word
        if last is None or not any(character.isalnum() for character in word):
            return False
        if not is_whole and any(character.isdigit() for character in last):
            return False  # "3. Okt" may become "3. Oktober"
        return self._ends((word,) if is_whole else (word, f"{word}zz"))

    def _ends(self, afters: tuple[str, ...], word: str | None = None, *, line_end: bool = False) -> bool:
        levels = [self._sentences.break_after_last(after, word=word, line_end=line_end) for after in afters]
        return all(level >= Boundary.SENTENCE for level in levels)
