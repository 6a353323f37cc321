"""Sentences out of plain text, which may come in pieces, and the parts of those that are too long."""

import math
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from voice_stack.utils.glyphs import belong_together
from voice_stack.utils.sentence_ends import (
    TIGHT,
    UNSPACED,
    Boundary,
    break_after,
    inner_ends,
    stays_with_previous,
)
from voice_stack.utils.speakable import has_speech

LONGEST_WORD = 4
"""A word of up to this many times ``max_chars`` stays whole; a longer one is cut between its characters."""
LINE_ENDS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
"""Where ``str.splitlines`` ends a line."""
_TAIL_CHARS = 40
"""How much of a word is kept to judge closing punctuation set apart from it."""

_GLYPH = -1
"""A cut between two characters, where nothing better is left."""

_LIST_MARK = re.compile(r"[-*+]|[•‣◦▪●]\S*|\(?\d{1,3}[.)]|\(?[a-z]\)")
_HEADING = re.compile(r"#{1,6}")
_UNSPACED_EDGE = re.compile(rf"(?<=[{UNSPACED}])(?=\w)|(?<=\w)(?=[{UNSPACED}])")


@dataclass(frozen=True)
class Sentence:
    """A sentence, or a part of one."""

    text: str  # ends with a space where one follows in the source
    breaks: list[tuple[int, int]]  # (index at which the text may end, how good a place that is), in order
    boundary: Boundary
    language: str | None = None


class SentenceMaker:
    """Takes plain text in pieces that end between words, and gives its sentences, each once the next word is known."""

    def __init__(self) -> None:
        self._words = _Words()
        self._word: str | None = None  # the last one, whose neighbour is not known yet
        self._before = self._last = self._tail = ""
        self._parts: list[str] = []  # of the sentence until that word
        self._breaks: list[tuple[int, int]] = []
        self._length = 0
        self._is_cut = False
        self.opening: Boundary | None = None
        """What was found before the first word after ``end_here``."""

    @property
    def gap(self) -> Boundary:
        """What is known to lie between the last word and the next."""
        return self._words.gap

    @property
    def last_word(self) -> str | None:
        """The last word of the sentence until now."""
        return self._word

    @property
    def text(self) -> str:
        """The sentence until now."""
        return "".join(self._parts) + (self._word or "")

    def add(self, text: str) -> Iterator[Sentence]:
        """The sentences that a piece completes. A line goes on in the next piece where this one does not end it."""
        for word, gap in self._words.add(text):
            yield from self._next(word, gap)
        if self.gap is Boundary.PARAGRAPH:
            yield from self._next(None, Boundary.PARAGRAPH)

    def end(self) -> Iterator[Sentence]:
        """The text is over: the last sentence ends as a paragraph does."""
        for word, gap in self._words.end():
            yield from self._next(word, gap)
        yield from self._next(None, Boundary.PARAGRAPH)

    def end_here(self, boundary: Boundary) -> Iterator[Sentence]:
        """The sentence ends with the last word, whatever follows."""
        for word, gap in self._words.so_far():
            yield from self._next(word, gap)
        yield from self._next(None, boundary)
        self._is_cut = True

    def break_after_last(self, after: str, *, word: str | None = None, line_end: bool = False) -> int:
        """The kind of break between the last word, or ``word`` behind it, and ``after``, if that comes next."""
        last = self._word
        if word is not None:
            tail = self._tail + (last or "") if stays_with_previous(word) else ""
            first = last is None and not self._parts
            return break_after(tail + word, before=last or self._before, after=after, line_end=line_end, first=first)
        if last is None or self.gap >= Boundary.SENTENCE:
            return TIGHT if last is None else self.gap
        line_end = line_end or self.gap is Boundary.CLAUSE
        first = not self._parts
        return break_after(self._tail + last, before=self._before, after=after, line_end=line_end, first=first)

    def cut(self, max_chars: int) -> Iterator[Sentence]:
        """What is longer than ``max_chars`` is cut as `cut` does; the last part stays the beginning of the sentence."""
        if self._word is None or self._length + len(self._word) <= max_chars:
            return
        end = self._length + len(self._word)
        whole = Sentence(self.text, [*self._breaks, (end, Boundary.WORD)], Boundary.WORD)
        *parts, last = cut(whole, max_chars)
        yield from parts
        # A word beyond all bounds is cut, too.
        kept = last.text[: max(0, len(last.text) - len(self._word))]
        moved = end - len(last.text)
        self._parts = [kept] if kept else []
        self._breaks = [(place - moved, level) for place, level in self._breaks if place > moved]
        self._length = len(kept)
        self._word = last.text[len(kept) :]

    def _next(self, after: str | None, gap: Boundary) -> Iterator[Sentence]:
        """The last word has a neighbour; None: it is the end."""
        word = self._word
        if word is None:
            if after is not None:
                self._word = after
                if self._is_cut:
                    self.opening, self._is_cut = gap, False
                self._tail = self._last if stays_with_previous(after) else ""
            return
        begin = 0
        for end, kind in inner_ends(word):
            self._parts.append(word[begin:end])
            self._length += end - begin
            begin = end
            if kind is Boundary.SENTENCE:
                yield self._made(kind)
            else:
                self._breaks.append((self._length, kind))
        last = word[begin:] if begin else self._tail + word
        level: int = gap
        if gap < Boundary.SENTENCE and after is not None:
            line_end = gap is Boundary.CLAUSE
            level = break_after(last, before=self._before, after=after, line_end=line_end, first=not self._parts)
        self._last = last[-_TAIL_CHARS:]
        self._tail = self._last if after is not None and stays_with_previous(after) else ""
        self._before = word
        self._parts.append(word[begin:])
        self._length += len(word) - begin
        self._breaks.append((self._length, level))
        self._parts.append(" ")
        self._length += 1
        self._word = after
        if level >= Boundary.SENTENCE or after is None:
            yield self._made(Boundary(level))

    def _made(self, boundary: Boundary) -> Sentence:
        made = Sentence("".join(self._parts), self._breaks, boundary)
        self._parts, self._breaks, self._length = [], [], 0
        return made


class _Words:
    """Each word with the gap before it: WORD a space, CLAUSE a line end, SENTENCE a list item, PARAGRAPH."""

    def __init__(self) -> None:
        self.gap = Boundary.PARAGRAPH  # before the next word
        self._in_heading = False
        self._held: list[str] = []  # of a line of which it is not clear yet what it is
        self._has_speech = self._is_begun = False

    def add(self, text: str) -> Iterator[tuple[str, Boundary]]:
        for line in text.splitlines(keepends=True):
            words = line.split()
            if not self._is_begun:
                self._held += words
                self._has_speech = self._has_speech or has_speech(line)
                words = []
                if self._has_speech and (len(self._held) > 1 or not _LIST_MARK.fullmatch(self._held[0])):
                    words = self._begin_line()
            yield from self._given(words)
            if line[-1] in LINE_ENDS:
                yield from self.end()

    def end(self) -> Iterator[tuple[str, Boundary]]:
        """The line is over."""
        yield from self.so_far()
        self.gap = Boundary.CLAUSE if self._is_begun else Boundary.PARAGRAPH
        self._held, self._has_speech, self._is_begun = [], False, False

    def so_far(self) -> Iterator[tuple[str, Boundary]]:
        """What was held back of a line that has something to say."""
        if not self._is_begun and self._has_speech:
            yield from self._given(self._begin_line())

    def _begin_line(self) -> list[str]:
        words, self._held, self._is_begun = self._held, [], True
        heading = _HEADING.fullmatch(words[0]) is not None
        if heading or self._in_heading:
            self.gap = Boundary.PARAGRAPH
        elif len(words) > 1 and _LIST_MARK.fullmatch(words[0]):
            self.gap = max(self.gap, Boundary.SENTENCE)
        self._in_heading = heading
        return words

    def _given(self, words: list[str]) -> Iterator[tuple[str, Boundary]]:
        for word in words:
            gap, self.gap = self.gap, Boundary.WORD
            yield word, gap


def sentences(text: str) -> Iterator[Sentence]:
    """The sentences of a whole plain text, lazily."""
    maker = SentenceMaker()
    for line in text.splitlines(keepends=True):
        yield from maker.add(line)
    yield from maker.end()


def cut(sentence: Sentence, max_chars: int) -> Iterator[Sentence]:
    """The parts of a sentence, of like length and at most ``max_chars`` characters each where its words allow it."""
    text = sentence.text
    end = len(text.rstrip())
    if end <= max_chars:
        yield sentence
        return
    breaks = _all_breaks(sentence, end, max_chars)
    places = [place for place, _ in breaks]
    start = first = 0
    while end - start > max_chars:
        window = range(first, bisect_right(places, start + max_chars, lo=first))
        chosen = _best_break(breaks, window, start, end, max_chars) if window else first
        place, level = breaks[chosen]
        following = place + (text[place : place + 1] == " ")
        yield Sentence(text[start:following], [], Boundary(max(level, Boundary.WORD)), sentence.language)
        start, first = following, chosen + 1
    if start < end:
        yield Sentence(text[start:], [], sentence.boundary, sentence.language)


def _best_break(breaks: list[tuple[int, int]], window: range, start: int, end: int, max_chars: int) -> int:
    """The index in ``window`` to cut at: the best kind of place, and of these the nearest to parts of like length."""
    part = (end - start) / math.ceil((end - start) / max_chars)
    margin = 0.4 * part
    inside = [i for i in window if start + margin <= breaks[i][0] <= end - margin]
    for least in (Boundary.CLAUSE, Boundary.WORD, TIGHT, _GLYPH):
        found = [i for i in inside if breaks[i][1] >= least]
        if found:
            return min(found, key=lambda i: abs(breaks[i][0] - start - part))
    return window[-1]


def _all_breaks(sentence: Sentence, end: int, max_chars: int) -> list[tuple[int, int]]:
    """The breaks of a sentence, and those between characters: of unspaced scripts and of words beyond all bounds."""
    text = sentence.text
    places = {
        match.start(): _GLYPH
        for match in _UNSPACED_EDGE.finditer(text)
        if not belong_together(text[match.start() - 1], text[match.start()])
        and not text[match.start() - 1].isdigit()
        and not text[match.start()].isdigit()
    }
    places.update(sentence.breaks)
    places[end] = sentence.boundary
    breaks: list[tuple[int, int]] = []
    start = 0
    for place in sorted(places):
        if place - start > LONGEST_WORD * max_chars:
            while place - start > max_chars:
                start = _glyph_end(text, start, start + max_chars)
                breaks.append((start, _GLYPH))
        breaks.append((place, places[place]))
        start = place + (text[place : place + 1] == " ")
    return breaks


def _glyph_end(text: str, start: int, limit: int) -> int:
    """The last index up to ``limit`` where no character is parted from its marks; ``limit`` where there is none."""
    return next((i for i in range(limit, start, -1) if not belong_together(text[i - 1], text[i])), limit)
