"""What subtitles are made of, and the rules for making them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Cue:
    """What is on the screen at a time. Times are whole milliseconds from the start of the audio."""

    start_s: float
    end_s: float
    lines: tuple[str, ...]  # at least one; none is empty


@dataclass(frozen=True)
class LayoutOptions:
    """What readers can follow. Numbers that clash give way in this order, the last one first:

    nothing lost, no overlap, inside the audio, lines, ``max_cue_s``, ``min_cue_s``, ``max_chars_per_s``.

    Raises:
        ValueError: a number is out of range.
    """

    max_line_chars: int = 42  # columns: a full-width character takes two, so that 21 Chinese ones fit
    max_lines: int = 2
    min_cue_s: float = 0.8
    max_cue_s: float = 7.0
    max_chars_per_s: float = 20.0  # columns again: ten full-width characters
    pause_s: float = 1.0  # silence from which a new cue begins, whatever was said
    gap_s: float = 0.084  # two cues are at least this far apart (two frames of film) or touch: less would flicker
    chain_s: float = 0.5  # a gap shorter than this is closed up to gap_s

    def __post_init__(self) -> None:
        if self.max_line_chars < 1 or self.max_lines < 1:
            raise ValueError("max_line_chars and max_lines must be at least 1")
        if not 0 < self.min_cue_s <= self.max_cue_s:
            raise ValueError("min_cue_s must be above 0 and no more than max_cue_s")
        if self.max_chars_per_s <= 0 or self.pause_s <= 0:
            raise ValueError("max_chars_per_s and pause_s must be above 0")
        if not 0 <= self.gap_s <= self.chain_s:
            raise ValueError("gap_s must be 0 or more, and no more than chain_s")
