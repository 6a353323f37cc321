"""From words to cues."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, pairwise

from voice_stack.asr.engine.base import Word
from voice_stack.asr.subtitles.cues import Cue, LayoutOptions
from voice_stack.asr.subtitles.pieces import Piece, cut_pieces
from voice_stack.asr.subtitles.split import cue_ends, line_texts
from voice_stack.asr.subtitles.timing import mend
from voice_stack.utils.glyphs import columns
from voice_stack.utils.sentence_ends import Boundary

_WINDOW_CUES = 3
"""Where nobody pauses, pieces are held back until they may fill so many cues; the first half is final then."""


def lay_out(words: Iterable[Word], duration_s: float, options: LayoutOptions | None = None) -> Iterator[Cue]:
    """Turn words into cues, lazily and in constant memory; no words give no cues.

    Words carry their leading space where their language has spaces, and their punctuation; their times may be broken.
    Cues come in order, do not overlap and lie inside of ``[0, duration_s]``. Their lines hold all that was said, and
    are at most ``max_line_chars`` columns long, unless that is less than one full-width character.
    """
    options = options or LayoutOptions()
    duration_ms = max(0, int(duration_s * 1000))
    pause_ms = round(options.pause_s * 1000)
    pieces = cut_pieces(mend(words, duration_ms), options.max_line_chars, pause_ms)
    return _timed(_drafts(pieces, options, pause_ms), duration_ms, options)


@dataclass
class _Draft:
    start_ms: int
    end_ms: int  # of the last word
    lines: tuple[str, ...]


def _drafts(pieces: Iterable[Piece], options: LayoutOptions, pause_ms: int) -> Iterator[_Draft]:
    window = _WINDOW_CUES * options.max_lines * options.max_line_chars
    held: list[Piece] = []
    inside_sentence = False
    for piece in pieces:
        paused = bool(held) and piece.start_ms - held[-1].end_ms >= pause_ms
        if paused or len(held) >= window:
            done = 0
            for end in cue_ends(held, options, inside_sentence=inside_sentence):
                if paused or end <= window // 2:
                    yield _draft(held[done:end], options)
                    done = end
            inside_sentence = not paused and held[done - 1].level != Boundary.SENTENCE
            held = held[done:]
        held.append(piece)
    ends = cue_ends(held, options, inside_sentence=inside_sentence)
    for begin, end in pairwise([0, *ends]):
        yield _draft(held[begin:end], options)


def _draft(pieces: list[Piece], options: LayoutOptions) -> _Draft:
    return _Draft(pieces[0].start_ms, pieces[-1].end_ms, line_texts(pieces, options))


def _timed(drafts: Iterable[_Draft], duration_ms: int, options: LayoutOptions) -> Iterator[Cue]:
    """Give each cue the time that reading needs, as far as its neighbours leave any."""
    least_ms = round(options.min_cue_s * 1000)
    held: _Draft | None = None
    for draft, following in pairwise(chain(drafts, [None])):
        if draft is None:
            break
        limit_ms = following.start_ms if following else duration_ms
        previous_ms = held.start_ms if held else 0
        if limit_ms - draft.start_ms < least_ms:
            # Too little time before the next cue: this one comes early, but leaves half of it to the one before.
            share_ms = min(least_ms, max(limit_ms - previous_ms, 0) // 2) if held else 0
            draft.start_ms = min(draft.start_ms, max(previous_ms + share_ms, limit_ms - least_ms))
        if held:
            # What is still too short goes on into the time of the next, without ever using up the audio.
            draft.start_ms = max(draft.start_ms, previous_ms + min(least_ms, (duration_ms - previous_ms) // 4))
            yield _cue(held, draft.start_ms, True, options)
        held = draft
    if held:
        yield _cue(held, duration_ms, False, options)


def _cue(draft: _Draft, limit_ms: int, followed: bool, options: LayoutOptions) -> Cue:
    gap_ms, chain_ms = round(options.gap_s * 1000), round(options.chain_s * 1000)
    reading_ms = round(1000 * sum(map(columns, draft.lines)) / options.max_chars_per_s)
    needed_ms = draft.start_ms + max(round(options.min_cue_s * 1000), reading_ms)
    latest_ms = min(draft.start_ms + round(options.max_cue_s * 1000), limit_ms)
    end_ms = min(max(draft.end_ms, needed_ms), latest_ms)
    if followed and limit_ms - end_ms < chain_ms:
        apart_ms = max(limit_ms - gap_ms, draft.start_ms)
        # Closing the gap altogether is for cues that need the time.
        end_ms = min(apart_ms, latest_ms) if needed_ms <= apart_ms else latest_ms
        if limit_ms - end_ms < gap_ms and end_ms < limit_ms:
            end_ms = apart_ms
    return Cue(draft.start_ms / 1000, end_ms / 1000, draft.lines)
