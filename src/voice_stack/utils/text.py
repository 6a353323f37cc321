"""Text cut into chunks for speech synthesis."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from voice_stack.utils.normalise import normalise, plain_text
from voice_stack.utils.sentence_ends import UNSPACED, Boundary
from voice_stack.utils.sentences import LONGEST_WORD, Sentence, cut, sentences
from voice_stack.utils.speakable import has_speech, strip_unspeakable

__all__ = [
    "LONGEST_WORD",
    "Boundary",
    "ChunkMaker",
    "TextChunk",
    "has_speech",
    "is_short",
    "split_text",
    "spoken_chunks",
    "strip_unspeakable",
]

SHORT_CHARS = 10
"""Sentences below this length join a neighbour: engines speak a word on its own badly."""
_AT_ONCE_CHARS = 1000
"""The most characters whose language is told, and which are normalised, at once."""

_UNSPACED_CHAR = re.compile(f"[{UNSPACED}]")


@dataclass(frozen=True)
class TextChunk:
    """A piece of text to synthesise at once."""

    text: str
    """Not empty, without white space at its ends; white space inside is single spaces."""
    boundary: Boundary
    """What ended the chunk; the end of the whole text is the end of a paragraph."""
    language: str | None = None
    """What the text is in, as in ``en`` (ISO 639-1); None: unknown."""


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
    _check(max_chars)
    return _chunks(sentences(text), ChunkMaker(lambda _: max_chars, normalised=False))


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
    maker = ChunkMaker(max_chars, language_of, default_language, normalised=normalised)
    # A text without any stop would otherwise be one sentence, and its first chunk as late as its last.
    return _chunks((part for whole in sentences(plain_text(text)) for part in cut(whole, _AT_ONCE_CHARS)), maker)


def _chunks(cuts: Iterator[Sentence], maker: "ChunkMaker") -> Iterator[TextChunk]:
    for sentence in cuts:
        yield from maker.add(sentence)
    yield from maker.end()


class ChunkMaker:
    """Takes sentences one by one and gives the chunks that are complete; the arguments are those of `spoken_chunks`."""

    def __init__(
        self,
        max_chars: Callable[[str | None], int],
        language_of: Callable[[str, str | None], str | None] | None = None,
        default_language: str | None = None,
        *,
        normalised: bool = True,
    ) -> None:
        self._max_chars = max_chars
        self._language_of = language_of
        self._default = default_language
        self._normalised = normalised
        self._language: str | None = None  # of the sentence before
        self._first: Sentence | None = None  # waits for the second to tell its language
        self._held: Sentence | None = None  # may be joined by the next one
        self._short: Sentence | None = None  # joins that one or the next

    @property
    def is_empty(self) -> bool:
        """Whether nothing is held back."""
        return self._first is None and self._held is None

    @property
    def is_short(self) -> bool:
        """Whether what is held back is nothing, or too short to be spoken well by itself."""
        held = self._first or self._held
        return held is None or is_short(held.text)

    def add(self, sentence: Sentence) -> Iterator[TextChunk]:
        """The next sentence. What it completes is the chunk before it, as soon as the two are not to be joined."""
        for told in self._with_language(sentence):
            yield from self._spoken(told)

    def end(self) -> Iterator[TextChunk]:
        """Everything that was held back; more sentences may follow."""
        if self._first is not None:
            self._language = self._default
            first, self._first = replace(self._first, language=self._language), None
            yield from self._spoken(first)
        yield from self._all()

    def _all(self) -> Iterator[TextChunk]:
        if self._held is not None and self._short is not None:
            yield from self._join(joins=True)
        if self._held is not None:
            yield _chunk(self._held)
        self._held = self._short = None

    def _with_language(self, sentence: Sentence) -> Iterator[Sentence]:
        if self._language_of is None:
            yield replace(sentence, language=self._default)
        elif self._first is not None:
            first, self._first = self._first, None
            self._language = self._language_of(sentence.text, None) or self._default
            yield replace(first, language=self._language)
            yield replace(sentence, language=self._language)
        else:
            before, self._language = self._language, self._language_of(sentence.text, self._language)
            if self._language is None and before is None:
                self._first = sentence
            else:
                yield replace(sentence, language=self._language)

    def _spoken(self, sentence: Sentence) -> Iterator[TextChunk]:
        for spoken in _normalised(sentence) if self._normalised else [sentence]:
            for piece in cut(spoken, self._longest(spoken)):
                yield from self._take(piece)

    def _take(self, piece: Sentence) -> Iterator[TextChunk]:
        last = self._short or self._held
        if not has_speech(piece.text):
            if last is not None:
                # The pause is that of the text: "The end. ***" at the end of a paragraph still ends it.
                boundary = max(last.boundary, piece.boundary)
                last = replace(last, text=last.text.rstrip() + " ", breaks=[], boundary=boundary)
                if self._short is not None:
                    self._short = last
                else:
                    self._held = last
            return
        if self._short is not None:
            yield from self._join(joins=not self._fit(self._short, piece))
        if self._held is None:
            self._held = piece
        else:
            self._short = piece
            if is_short(self._held.text):
                yield from self._join(joins=True)
            elif not is_short(piece.text):
                yield from self._join(joins=False)
        if piece.boundary is Boundary.PARAGRAPH:
            yield from self._all()

    def _join(self, *, joins: bool) -> Iterator[TextChunk]:
        """Make one of the two that are held, where they fit together; else the first is complete."""
        held, short = self._held, self._short
        if held is None or short is None:
            return
        if joins and self._fit(held, short):
            self._held = replace(short, text=held.text + short.text, breaks=[])
        else:
            yield _chunk(held)
            self._held = short
        self._short = None

    def _fit(self, one: Sentence, other: Sentence) -> bool:
        if one.boundary is Boundary.PARAGRAPH or one.language != other.language:
            return False
        return len(one.text) + len(other.text.rstrip()) <= self._longest(one)

    def _longest(self, piece: Sentence) -> int:
        return _check(self._max_chars(piece.language))


def _check(max_chars: int) -> int:
    if max_chars < 1:
        raise ValueError(f"max_chars must be at least 1, not {max_chars}")
    return max_chars


def _normalised(sentence: Sentence) -> Iterator[Sentence]:
    """What is spoken of a sentence; where that is several, its own end is that of the last."""
    written = sentence.text.strip()
    spoken = normalise(written, sentence.language)
    if sentence.boundary is Boundary.SENTENCE and spoken[-1:].isalnum():
        spoken += "."  # the item of a list, which nothing else may set apart from the next
    if spoken == written:
        yield sentence
        return
    held: Sentence | None = None
    for piece in sentences(spoken):
        if held is not None:
            yield held
        held = replace(piece, language=sentence.language)
    if held is not None:
        space = " " if sentence.text.endswith(" ") else ""
        yield replace(held, text=held.text.rstrip() + space, boundary=sentence.boundary)


def _chunk(piece: Sentence) -> TextChunk:
    return TextChunk(piece.text.strip(), piece.boundary, piece.language)


def is_short(text: str) -> bool:
    """Whether a sentence is too short to be spoken well by itself."""
    text = text.rstrip()
    # A Chinese character takes about as long to say as three letters.
    return len(text) < SHORT_CHARS and len(text) + 2 * len(_UNSPACED_CHAR.findall(text)) < SHORT_CHARS
