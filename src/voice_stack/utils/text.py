"""Text cut into chunks for speech synthesis."""

import math
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, pairwise

from voice_stack.utils.glyphs import belong_together
from voice_stack.utils.normalise import normalise, plain_text
from voice_stack.utils.sentence_ends import (
    TIGHT,
    UNSPACED,
    Boundary,
    break_after,
    inner_ends,
    stays_with_previous,
)
from voice_stack.utils.speakable import has_speech, strip_unspeakable

__all__ = ["Boundary", "TextChunk", "has_speech", "split_text", "spoken_chunks", "strip_unspeakable"]

LONGEST_WORD = 4
"""A word of up to this many times ``max_chars`` stays whole; a longer one is cut between its characters."""
SHORT_CHARS = 10
"""Sentences below this length join a neighbour: engines speak a word on its own badly."""
_AT_ONCE_CHARS = 1000
"""The most characters whose language is told, and which are normalised, at once."""
_TAIL_CHARS = 40
"""How much of a word is kept to judge closing punctuation set apart from it."""

_GLYPH = -1
"""A cut between two characters, where nothing better is left."""

_LIST_MARK = re.compile(r"[-*+]|[•‣◦▪●]\S*|\(?\d{1,3}[.)]|\(?[a-z]\)")
_HEADING = re.compile(r"#{1,6}")
_UNSPACED_CHAR = re.compile(f"[{UNSPACED}]")
_UNSPACED_EDGE = re.compile(rf"(?<=[{UNSPACED}])(?=\w)|(?<=\w)(?=[{UNSPACED}])")


@dataclass(frozen=True)
class TextChunk:
    """A piece of text to synthesise at once."""

    text: str
    """Not empty, without white space at its ends; white space inside is single spaces."""
    boundary: Boundary
    """What ended the chunk; the end of the whole text is the end of a paragraph."""
    language: str | None = None
    """What the text is in, as in ``en`` (ISO 639-1); None: unknown."""


@dataclass(frozen=True)
class _Sentence:
    text: str  # ends with a space where one follows in the source
    breaks: list[tuple[int, int]]  # (index at which the text may end, how good a place that is), in order
    boundary: Boundary
    language: str | None = None


def split_text(text: str, max_chars: int) -> Iterator[TextChunk]:
    """Cut text into chunks of at most ``max_chars`` characters, lazily and in linear time.

    A chunk is a sentence, so that the first audio comes early. Very short sentences join a neighbour of the same
    paragraph; long ones are cut in parts of like length at the ends of clauses, else between words, else (in scripts
    without spaces) between characters. One word longer than ``max_chars`` is a chunk of its own up to
    `LONGEST_WORD` times ``max_chars``, and is cut beyond that.

    What would be a chunk with nothing to say (``* * *``, ``---``, see `has_speech`) is dropped. Every other word comes
    out whole and in order: the words of all chunks that have something to say are those of the text, and no letter or
    digit is ever lost.

    Raises:
        ValueError: ``max_chars`` is less than 1.
    """
    return _split(text, _at_least_one(max_chars))


def spoken_chunks(
    text: str,
    *,
    max_chars: Callable[[str | None], int],
    language_of: Callable[[str, str | None], str | None] | None = None,
    default_language: str | None = None,
    normalised: bool = True,
) -> Iterator[TextChunk]:
    """Cut text into chunks as they are to be spoken: without markup, in words, each in one language.

    The chunks are those of `split_text`, but for this: sentences of different languages do not share one, and
    ``max_chars`` (for a language, the most characters of a chunk) counts what is spoken, which is longer than what was
    written ("$5" is "five dollars"). Lazy, and linear in the length of the text.

    ``language_of`` (see `LanguageDetector.detect`) tells the language of a sentence, given the one to be expected:
    that of the sentence before it. A first sentence that tells none has that of the second. ``default_language`` is
    what is left where neither does, and the language of everything where ``language_of`` is None. Without
    ``normalised`` the figures, signs and abbreviations stay as they are.

    Raises:
        ValueError: ``max_chars`` gave less than 1.
    """

    def longest(piece: _Sentence) -> int:
        return _at_least_one(max_chars(piece.language))

    # A text without any stop would otherwise be one sentence, and its first chunk as late as its last.
    whole = _sentences(plain_text(text))
    sentences: Iterator[_Sentence] = (part for sentence in whole for part in _cut(sentence, _AT_ONCE_CHARS))
    sentences = _with_languages(sentences, language_of, default_language)
    if normalised:
        sentences = (spoken for sentence in sentences for spoken in _normalised(sentence))
    return _pieces(sentences, longest)


def _at_least_one(max_chars: int) -> int:
    if max_chars < 1:
        raise ValueError(f"max_chars must be at least 1, not {max_chars}")
    return max_chars


def _with_languages(
    sentences: Iterator[_Sentence],
    language_of: Callable[[str, str | None], str | None] | None,
    default: str | None,
) -> Iterator[_Sentence]:
    if language_of is None:
        yield from (replace(sentence, language=default) for sentence in sentences)
        return
    language: str | None = None
    for sentence in sentences:
        language_before, language = language, language_of(sentence.text, language)
        if language is None and language_before is None:
            after = next(sentences, None)
            language = (language_of(after.text, None) if after is not None else None) or default
            yield replace(sentence, language=language)
            if after is not None:
                yield replace(after, language=language)
        else:
            yield replace(sentence, language=language)


def _normalised(sentence: _Sentence) -> Iterator[_Sentence]:
    """What is spoken of a sentence; where that is several, its own end is that of the last."""
    written = sentence.text.strip()
    spoken = normalise(written, sentence.language)
    if sentence.boundary is Boundary.SENTENCE and spoken[-1:].isalnum():
        spoken += "."  # the item of a list, which nothing else may set apart from the next
    if spoken == written:
        yield sentence
        return
    held: _Sentence | None = None
    for piece in _sentences(spoken):
        if held is not None:
            yield held
        held = replace(piece, language=sentence.language)
    if held is not None:
        space = " " if sentence.text.endswith(" ") else ""
        yield replace(held, text=held.text.rstrip() + space, boundary=sentence.boundary)


def _split(text: str, max_chars: int) -> Iterator[TextChunk]:
    return _pieces(_sentences(text), lambda _: max_chars)


def _pieces(sentences: Iterator[_Sentence], longest: Callable[[_Sentence], int]) -> Iterator[TextChunk]:
    pieces = (piece for sentence in sentences for piece in _cut(sentence, longest(sentence)))
    for piece in _merge_short(_drop_unspeakable(pieces), longest):
        yield TextChunk(piece.text.strip(), piece.boundary, piece.language)


def _words(text: str) -> Iterator[tuple[str, Boundary]]:
    """Each word with the gap before it: WORD a space, CLAUSE a line end, SENTENCE a list item, PARAGRAPH."""
    gap = Boundary.PARAGRAPH
    in_heading = False
    for line in text.splitlines():
        if not has_speech(line):
            gap = Boundary.PARAGRAPH
            continue
        words = line.split()
        heading = _HEADING.fullmatch(words[0]) is not None
        if heading or in_heading:
            gap = Boundary.PARAGRAPH
        elif len(words) > 1 and _LIST_MARK.fullmatch(words[0]):
            gap = max(gap, Boundary.SENTENCE)
        in_heading = heading
        for word in words:
            yield word, gap
            gap = Boundary.WORD
        gap = Boundary.CLAUSE


def _sentences(text: str) -> Iterator[_Sentence]:
    parts: list[str] = []
    breaks: list[tuple[int, int]] = []
    length = 0
    before = tail = ""
    for (word, _), (after, gap) in pairwise(chain(_words(text), [("", Boundary.PARAGRAPH)])):
        begin = 0
        for end, kind in inner_ends(word):
            parts.append(word[begin:end])
            length += end - begin
            begin = end
            if kind is Boundary.SENTENCE:
                yield _Sentence("".join(parts), breaks, kind)
                parts, breaks, length = [], [], 0
            else:
                breaks.append((length, kind))
        last = word[begin:] if begin else tail + word
        level: int = gap
        if gap < Boundary.SENTENCE:
            line_end = gap is Boundary.CLAUSE
            level = break_after(last, before=before, after=after, line_end=line_end, first=not parts)
        tail = last[-_TAIL_CHARS:] if stays_with_previous(after) else ""
        before = word
        parts.append(word[begin:])
        length += len(word) - begin
        breaks.append((length, level))
        parts.append(" ")
        length += 1
        if level >= Boundary.SENTENCE:
            yield _Sentence("".join(parts), breaks, Boundary(level))
            parts, breaks, length = [], [], 0


def _cut(sentence: _Sentence, max_chars: int) -> Iterator[_Sentence]:
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
        yield _Sentence(text[start:following], [], Boundary(max(level, Boundary.WORD)), sentence.language)
        start, first = following, chosen + 1
    if start < end:
        yield _Sentence(text[start:], [], sentence.boundary, sentence.language)


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


def _all_breaks(sentence: _Sentence, end: int, max_chars: int) -> list[tuple[int, int]]:
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


def _drop_unspeakable(pieces: Iterator[_Sentence]) -> Iterator[_Sentence]:
    held: _Sentence | None = None
    for piece in pieces:
        if has_speech(piece.text):
            if held is not None:
                yield held
            held = piece
        elif held is not None:
            # The pause is that of the text: "The end. ***" at the end of a paragraph still ends it.
            held = replace(held, text=held.text.rstrip() + " ", breaks=[], boundary=max(held.boundary, piece.boundary))
    if held is not None:
        yield held


def _merge_short(pieces: Iterator[_Sentence], longest: Callable[[_Sentence], int]) -> Iterator[_Sentence]:
    held, piece = next(pieces, None), next(pieces, None)
    while held is not None and piece is not None:
        after = next(pieces, None)
        joins = _is_short(held) or (_is_short(piece) and not _fit(piece, after, longest))
        if joins and _fit(held, piece, longest):
            held = replace(piece, text=held.text + piece.text, breaks=[])
        else:
            yield held
            held = piece
        piece = after
    if held is not None:
        yield held


def _fit(one: _Sentence, other: _Sentence | None, longest: Callable[[_Sentence], int]) -> bool:
    if other is None or one.boundary is Boundary.PARAGRAPH or one.language != other.language:
        return False
    return len(one.text) + len(other.text.rstrip()) <= longest(one)


def _is_short(piece: _Sentence) -> bool:
    text = piece.text.rstrip()
    # A Chinese character takes about as long to say as three letters.
    return len(text) < SHORT_CHARS and len(text) + 2 * len(_UNSPACED_CHAR.findall(text)) < SHORT_CHARS
