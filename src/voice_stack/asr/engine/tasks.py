"""What a model is asked about one window of speech, and what it answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from voice_stack.asr.engine.base import AudioBlock, Segment, TranscribeOptions

WHOLE_S = 30.0
"""The window that Whisper was trained with, in seconds."""


@dataclass(frozen=True)
class WindowTask:
    """Speech to decode."""

    samples: AudioBlock
    options: TranscribeOptions  # a language of None: the most probable one of this window
    window_s: float = WHOLE_S  # the model's window; what the samples do not fill is silence
    fall_back: bool = False  # whether a text that cannot be right is tried again at higher temperatures
    sure_above: float = 0.0  # a language that is less probable than this is told, and nothing is decoded


@dataclass(frozen=True)
class WindowResult:
    """What was said; times are seconds in the window."""

    segments: Sequence[Segment] | None  # None: the language was not clear
    languages: Mapping[str, float] = field(default_factory=dict)  # by Whisper's code; empty where it was given
    rest_s: float | None = None  # where speech begins that the model has cut off: it wants to be decoded anew
