"""Words cut and joined to pieces: what is never parted, and how good a place for a break is after each."""

# ruff: noqa: RUF001 - the punctuation of other scripts

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise, zip_longest

from voice_stack.asr.subtitles.timing import TimedText
from voice_stack.utils.glyphs import belong_together, columns
from voice_stack.utils.sentence_ends import (
    CLAUSE_ENDS,
    CLOSERS,
    DASHES,
    ENDS,
    TIGHT,
    UNSPACED,
    Boundary,
    break_after,
    inner_ends,
    stays_with_previous,
)
from voice_stack.utils.speakable import has_speech


def _table(words: str) -> frozenset[str]:
    return frozenset(words.split())


GLYPH = -1
"""A break inside of a word, where nothing better is left."""

_UNJUDGED = -2

_SHORT_WORD = 2
"""Words of up to this many letters are mostly articles, prepositions and conjunctions: they lean on what follows."""
# The commonest longer ones of the languages most heard; what is not here only costs a slightly worse break.
_LEANING_WORDS = _table(
    "the and but for with from into that than not are was has had his her its our your their this which who because "
    "der die das den dem des ein eine einen einem einer und oder aber mit von vom zum zur für auf aus bei nach dass "
    "weil wenn nicht les une aux par sur pour dans avec mais que qui dont los las del una con por para sin pero "
    "como gli dei della delle nel che per non uma das dos nos com mas het een van met voor niet naar над под для про "
    "или что как при без jest nie się pod dla przez ale oraz это"
)
_TAIL_CHARS = 8
"""How much of the neighbours is looked at to judge a place without a space."""

_INVISIBLE = re.compile("[\0-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff]")
_UNSPACED = re.compile(f"[{UNSPACED}]")
_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_HIRAGANA = re.compile("[\u3040-\u309f]")
_KATAKANA = re.compile("[\u30a1-\u30fa\u30fc-\u30ff]")
# Not the straight quotes and those that open in some language: they may begin a word.
_CLOSES = frozenset((set(ENDS) | set(CLAUSE_ENDS) | set(CLOSERS) | set("%‰％・°℃")) - set("\"'“‘«‹»›") - set(DASHES))
_URL_ENDS = frozenset("/-_.?&=#:,;@")


@dataclass(frozen=True)
class Piece:
    """Text without white space at its ends that stays on one line."""

    start_ms: int
    end_ms: int
    text: str
    spaced: bool  # a space parts it from the piece before
    level: int = _UNJUDGED  # of a break after it: GLYPH, TIGHT, or a Boundary

    @property
    def leans_on_next(self) -> bool:
        """Whether a break after it would probably part a phrase."""
        if not self.text[-1].isalpha():
            return False
        short = len(self.text) <= _SHORT_WORD or self.text.casefold() in _LEANING_WORDS
        return short or _HAN.match(self.text[-1]) is not None


def cut_pieces(words: Iterable[TimedText], max_columns: int, pause_ms: int) -> Iterator[Piece]:
    """Cut and join words to pieces of at most ``max_columns``, or of one character.

    A word longer than that is cut between its characters. Words without a space between them are joined, unless their
    script has none. All characters come out in order but white space, which becomes single spaces, and control
    characters, which are dropped.
    """
    held: Piece | None = None
    before = ""
    first = True
    for unit in _units(words, max_columns):
        if held is None:
            held = unit
            continue
        level = held.level if held.level != _UNJUDGED else _level(held, unit, before, first)
        if level is None:
            joined = _join(held, unit, pause_ms)
            if joined is not None and columns(joined.text) <= max_columns:
                held = joined
                continue
            level = TIGHT if unit.spaced else GLYPH
        yield replace(held, level=level)
        before, first = held.text, level == Boundary.SENTENCE
        held = unit
    if held is not None:
        yield replace(held, level=Boundary.SENTENCE)


def _units(words: Iterable[TimedText], max_columns: int) -> Iterator[Piece]:
    """What stands between white space or between two words, cut at the ends inside of it, and where it is too long."""
    spaced = False
    for word in words:
        text = _INVISIBLE.sub("", word.text)
        spaced = spaced or text[:1].isspace()
        parts = [part for token in text.split() for part in _cut(token, max_columns)]
        total = sum(columns(part) for part, _, _ in parts)
        done = 0
        start_ms = word.start_ms
        for number, (part, token_starts, level) in enumerate(parts):
            done += columns(part)
            end_ms = word.start_ms + (word.end_ms - word.start_ms) * done // total
            yield Piece(start_ms, end_ms, part, spaced if number == 0 else token_starts, level)
            start_ms = end_ms
        if text:
            spaced = text[-1].isspace()


def _cut(token: str, max_columns: int) -> Iterator[tuple[str, bool, int]]:
    """Parts of a token: (text, whether it begins the token, level of a break after it)."""
    places = [0, *(place for place, _ in inner_ends(token)), len(token)]
    for begin, end in pairwise(places):
        part = token[begin:end]
        if columns(part) <= max_columns:
            yield part, begin == 0, _UNJUDGED
            continue
        glyphs = list(_glyphs(part, max_columns))
        for number, (glyph, after) in enumerate(zip_longest(glyphs, glyphs[1:], fillvalue="")):
            level = _UNJUDGED
            if after and not _UNSPACED.match(glyph[-1]) and not _UNSPACED.match(after[0]):
                level = TIGHT if glyph in _URL_ENDS and after not in _URL_ENDS else GLYPH
            yield glyph, begin == number == 0, level


def _glyphs(text: str, max_columns: int) -> Iterator[str]:
    """What is read as one character each; more marks than a line can hold begin another."""
    begin = 0
    for place in range(1, len(text)):
        if not belong_together(text[place - 1], text[place]) or columns(text[begin : place + 1]) > max_columns:
            yield text[begin:place]
            begin = place
    yield text[begin:]


def _level(piece: Piece, unit: Piece, before: str, first: bool) -> int | None:
    """How good a break between two neighbours is; None where they belong together."""
    text, after = piece.text, unit.text
    if after[0] in _CLOSES and (not unit.spaced or stays_with_previous(after)):
        return None
    if unit.spaced:
        if text in DASHES and first:
            return TIGHT
        return break_after(text, before=before, after=after, line_end=False, first=first)
    if not _UNSPACED.match(text[-1]) and not _UNSPACED.match(after[0]) and not _ends_wide(text):
        return None
    if belong_together(text[-1], after[0]) or text[-1].isdigit():
        return None
    if _KATAKANA.match(text[-1]) and _KATAKANA.match(after[0]):
        return None
    tail = text[-_TAIL_CHARS:]
    level = dict(inner_ends(tail + after[0])).get(len(tail))
    if level is not None:
        return level
    # In Japanese a phrase ends in particles or endings, written in hiragana, and the next begins with what is not.
    return TIGHT if _HIRAGANA.match(after[0]) and not _ends_wide(text) else Boundary.WORD


def _ends_wide(text: str) -> bool:
    return columns(text[-1]) > 1 and not text[-1].isalnum()


def _join(piece: Piece, unit: Piece, pause_ms: int) -> Piece | None:
    """Both as one; None where a pause parts them. Punctuation takes no time of its own."""
    said = has_speech(unit.text)
    if said and unit.start_ms - piece.end_ms >= pause_ms:
        return None
    text = f"{piece.text} {unit.text}" if unit.spaced else piece.text + unit.text
    end_ms = unit.end_ms if said else piece.end_ms
    return Piece(piece.start_ms, end_ms, text, piece.spaced, unit.level)
