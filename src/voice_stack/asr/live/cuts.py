"""Where to cut speech that goes on without a pause."""

from collections.abc import Sequence
from itertools import pairwise

from voice_stack.asr.engine.base import Piece, Word
from voice_stack.asr.engine.word_times import snap_to_sound
from voice_stack.asr.live.stretch import Stretch
from voice_stack.asr.live.words import find_words
from voice_stack.utils.sentence_ends import CLOSERS, ENDS

LEAST_BEFORE_S = 4.0
"""A shorter part has too little to be understood by."""
LEAST_AFTER_S = 1.0
"""The words after the cut will be heard again, better: those at the end of the audio are uncertain."""
_SLACK_S = 0.02
# In probability of speech: a sentence's end is worth as much as silence.
_SENTENCE, _PHRASE = 0.5, 0.2


def find_cut(pieces: Sequence[Piece], stretch: Stretch, seconds: float) -> tuple[int, float] | None:
    """The best place between two words, not too near to either end.

    Args:
        pieces: the text of the beginning of ``stretch``, with times.
        seconds: how long that beginning is.

    Returns:
        How many pieces are before the cut, and its time in the stretch in seconds; None where there is no such place.
    """
    words = find_words(pieces)
    times = [Word(pieces[word.begin].span_s[0], pieces[word.end - 1].span_s[1], word.core, 1.0) for word in words]
    best: tuple[float, int, float] | None = None
    timed = snap_to_sound(times, stretch.beginning(seconds))
    for word, (before, after) in zip(words, pairwise(timed), strict=False):
        if not LEAST_BEFORE_S <= before.end_s <= seconds - LEAST_AFTER_S or after.start_s < before.end_s - _SLACK_S:
            continue
        at_s, probability = stretch.quietest_s(before.end_s - _SLACK_S, after.start_s + _SLACK_S)
        written = "".join(piece.text for piece in pieces[word.begin : word.whole_end]).rstrip(CLOSERS)
        bonus = _SENTENCE if written.endswith(tuple(ENDS)) else 0.0 if written[-1:].isalnum() else _PHRASE
        if best is None or probability - bonus <= best[0]:
            best = probability - bonus, word.whole_end, at_s
    return best and best[1:]
