"""How much of a text that is still being written its markup is settled for."""

# ruff: noqa: RUF001 - quotation marks

import re
from bisect import bisect_right
from collections.abc import Sequence

from voice_stack.utils.normalise.markup import BLOCK_TAGS, INLINE_TAGS

MOST_UNSETTLED = 4000
"""The most characters that wait for what follows them."""

_WORD_BEFORE = re.compile(r"\s\S*\Z")
_LINE_END = re.compile("\r\n|\r(?!\\Z)|[\n\v\f\x1c-\x1e\x85\u2028\u2029]")
# As long as `plain_text` takes them for.
_TAG = re.compile(rf"</?(?:{BLOCK_TAGS}|{INLINE_TAGS})\s[^<>]{{0,500}}|<!--[^<>]{{0,2000}}", re.IGNORECASE)
_FIRST_LETTER = re.compile(r"[^\W_]")
# Headings, tables, definitions, fences: their whole line tells what they are.
_WHOLE_LINE = re.compile(r"[#|\[:<&]|`{3}|~{3}")
# What may make the rest of its line look like the start of one.
_NEW_LINE_INSIDE = re.compile(r"<[A-Za-z/!]|&#?\w{1,31};")
# A place between words, where the next one would be the same at the start of a line.
_PLACE = re.compile(r"(?P<bracket>[\[\]()])|\s+(?P<word>(?:[*_]{1,3}|`{1,2}|~~|[+-])?[\"'(“„‘«¿¡]*[^\W_])?")


def settled(text: str) -> int:
    """How many characters at the start of ``text`` are made the same of by `plain_text`, whatever follows.

    They end with a line or, before a word, inside of one. What goes before and after may be given to `plain_text` one
    after the other, and the words are those of the whole. A comment inside of a tag is not seen, and nothing is waited
    for that is longer than `MOST_UNSETTLED`.
    """
    late = _WORD_BEFORE.search(text, 0, max(0, len(text) - MOST_UNSETTLED))
    least = 0 if late is None else late.start() + 1
    line_ends = [least, *(match.end() for match in _LINE_END.finditer(text, least))]
    place = _place(text, line_ends, len(text))
    # A tag may hold anything, line ends too, and the line in which it ends is the one in which it began.
    for tag in reversed(list(_TAG.finditer(text, least))):
        line_start = line_ends[bisect_right(line_ends, place) - 1]
        if any(tag.start() < at <= tag.end() for at in (line_start, place)):
            place = _place(text, line_ends, max(least, tag.start()))
    return place


def _place(text: str, line_ends: Sequence[int], limit: int) -> int:
    start = line_ends[bisect_right(line_ends, limit) - 1]
    line = text[start:limit]
    first = _first_letter(line)
    return start if first is None else start + _last_place(line, first)


def _first_letter(line: str) -> int | None:
    """Where the words of a line begin, if parts of it mean the same without the rest."""
    letter = _FIRST_LETTER.search(line)
    return None if letter is None or _WHOLE_LINE.search(line, 0, letter.start()) else letter.start()


def _last_place(line: str, first: int) -> int:
    """The start of the last word of a line that is in no link, from ``first`` on; 0: there is none."""
    last = depth = target = 0
    closed = False  # the brackets, in this word
    opens_line = _NEW_LINE_INSIDE.search(line)
    end = len(line) if opens_line is None else opens_line.start()
    for match in _PLACE.finditer(line, first, end):
        bracket = match["bracket"]
        if bracket is None:
            if target:
                return last  # the title of a link may hold anything
            closed = False
            if match["word"] is not None and not depth:
                last = match.start("word")
        elif bracket == "[":
            depth += 1
        elif bracket == "]":
            depth = max(0, depth - 1)
            closed = not depth
        elif bracket == "(":
            target += bool(target or closed)
        else:
            target = max(0, target - 1)
    return last
