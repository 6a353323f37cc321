"""Where to end cues and lines: the cheapest split, by dynamic programming over the pieces.

The idea is that of Knuth and Plass ("Breaking paragraphs into lines", 1981), with costs for what viewers dislike: a
phrase that is parted, a word on its own, text that comes and goes too fast.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

from voice_stack.asr.subtitles.cues import LayoutOptions
from voice_stack.asr.subtitles.pieces import GLYPH, Piece
from voice_stack.utils.glyphs import columns
from voice_stack.utils.sentence_ends import TIGHT, Boundary

_CUE_BREAK = {
    Boundary.SENTENCE: 0.0,
    Boundary.CLAUSE: 0.7,
    Boundary.WORD: 2.0,
    TIGHT: 5.0,
    GLYPH: 9.0,
}
_LINE_BREAK = {
    Boundary.SENTENCE: 0.0,
    Boundary.CLAUSE: 0.2,
    Boundary.WORD: 0.7,
    TIGHT: 3.0,
    GLYPH: 6.0,
}
_LEANING = 0.5
"""A break after an article or the like costs this share more."""
_PAUSE_RELIEF = 0.7
_PHRASE_PAUSE_MS = 600
"""A speaker who pauses this long has ended a phrase, whatever the words say."""

_EACH_CUE = 0.6
_FULL_CUE = 1.8  # grows with the square: two cues of like length are better than a full one and a scrap
_TORN_SENTENCE = 1.0  # the end of one sentence and the beginning of another in one cue
_ORPHAN = 1.5
_ORPHAN_SHARE = 0.25  # of a line
_TOO_SHORT = 6.0
_TOO_FAST = 0.5  # a second missing

_UNEVEN_LINES = 2.0
_TOP_HEAVY = 0.1
_NUMBER_LINE = 20.0  # some readers of SubRip take a last line of digits for the number of the next cue


def cue_ends(pieces: Sequence[Piece], options: LayoutOptions, *, inside_sentence: bool = False) -> list[int]:
    """Split pieces into cues: the index after the last piece of each.

    A cue fits on its lines, and is said within ``max_cue_s``, or is a single piece. ``inside_sentence`` tells that the
    first piece does not begin one.
    """
    longest_ms = 1000 * options.max_cue_s
    widths = [columns(piece.text) for piece in pieces]
    breaks = [_break_cost(_CUE_BREAK, *neighbours) for neighbours in pairwise(pieces)] + [0.0]
    best = [0.0] + [math.inf] * len(pieces)
    came_from = [0] * (len(pieces) + 1)
    for begin in range(len(pieces)):
        starts_sentence = pieces[begin - 1].level == Boundary.SENTENCE if begin else not inside_sentence
        has_end = False
        lines = filled = width = 0
        for end in range(begin + 1, len(pieces) + 1):
            piece = pieces[end - 1]
            lines, filled = _fill(piece, widths[end - 1], lines, filled, options.max_line_chars)
            width += widths[end - 1] + (piece.spaced and end > begin + 1)
            too_long = piece.end_ms - pieces[begin].start_ms > longest_ms
            if end > begin + 1 and (lines > options.max_lines or too_long):
                break
            whole = starts_sentence and piece.level == Boundary.SENTENCE
            following_ms = pieces[end].start_ms if end < len(pieces) else math.inf
            room_s = (following_ms - pieces[begin].start_ms) / 1000
            cost = best[begin] + breaks[end - 1] + _cue_cost(width, room_s, options)
            if not whole:
                cost += _TORN_SENTENCE * has_end + _ORPHAN * (width < _ORPHAN_SHARE * options.max_line_chars)
            if cost < best[end]:
                best[end], came_from[end] = cost, begin
            has_end = has_end or piece.level == Boundary.SENTENCE
    ends = [len(pieces)] if pieces else []
    while ends and came_from[ends[-1]] > 0:
        ends.append(came_from[ends[-1]])
    return ends[::-1]


def _fill(piece: Piece, width: int, lines: int, filled: int, max_columns: int) -> tuple[int, int]:
    """Lines used, and columns used of the last, once a piece is added to as few lines as can be."""
    filled += piece.spaced + width
    return (lines + 1, width) if lines == 0 or filled > max_columns else (lines, filled)


def _cue_cost(width: int, room_s: float, options: LayoutOptions) -> float:
    fullness = width / (options.max_line_chars * options.max_lines)
    cost = _EACH_CUE + _FULL_CUE * fullness**2
    cost += _TOO_SHORT * max(0.0, 1 - room_s / options.min_cue_s)
    return cost + _TOO_FAST * max(0.0, width / options.max_chars_per_s - room_s)


def _break_cost(costs: dict[int, float], last: Piece, following: Piece) -> float:
    cost = costs[last.level]
    if last.leans_on_next and last.level <= Boundary.WORD:
        cost *= 1 + _LEANING
    pause_ms = min(max(following.start_ms - last.end_ms, 0), _PHRASE_PAUSE_MS)
    return cost * (1 - _PAUSE_RELIEF * pause_ms / _PHRASE_PAUSE_MS)


def line_texts(pieces: Sequence[Piece], options: LayoutOptions) -> tuple[str, ...]:
    """The lines of one cue: as few as hold it, broken at the best places, of like length, rather longer below."""
    widths = [columns(piece.text) for piece in pieces]
    count = filled = 0
    for piece, width in zip(pieces, widths, strict=True):
        count, filled = _fill(piece, width, count, filled, options.max_line_chars)
    even = (sum(widths) + sum(piece.spaced for piece in pieces[1:])) / count
    # The cheapest way to break before each piece with so many lines above it: (cost, the breaks).
    ways: dict[int, tuple[float, tuple[int, ...]]] = {0: (0.0, ())}
    for number in range(count):
        longer: dict[int, tuple[float, tuple[int, ...]]] = {}
        for begin, (cost, path) in ways.items():
            width = 0
            for end in range(begin + 1, len(pieces) + 1):
                width += widths[end - 1] + (pieces[end - 1].spaced and end > begin + 1)
                if end > begin + 1 and width > options.max_line_chars:
                    break
                way = cost + _line_cost(width, even, options)
                if end < len(pieces):
                    way += _break_cost(_LINE_BREAK, pieces[end - 1], pieces[end])
                    way += _TOP_HEAVY * (number < count - 1 and width > even)
                elif begin and _text(pieces[begin:]).isdecimal():
                    way += _NUMBER_LINE
                if end not in longer or way < longer[end][0]:
                    longer[end] = way, (*path, end)
        ways = longer
    _, ends = ways[len(pieces)]
    return tuple(_text(pieces[begin:end]) for begin, end in pairwise((0, *ends)))


def _line_cost(width: int, even: float, options: LayoutOptions) -> float:
    return _UNEVEN_LINES * ((width - even) / options.max_line_chars) ** 2


def _text(pieces: Sequence[Piece]) -> str:
    return "".join(f" {piece.text}" if piece.spaced else piece.text for piece in pieces).strip()
