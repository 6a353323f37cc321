"""What a live transcription tells, in the order of the audio; times are seconds of the session's audio.

Of an utterance come, in this order: ``SpeechStarted`` and ``SpeechStopped`` where turns are detected, ``Committed``,
and ``Completed`` or ``Failed``. Deltas and finished segments come from its start on.
"""

from dataclasses import dataclass
from typing import TypeAlias

from voice_stack.core.errors import VoiceStackError


@dataclass(frozen=True)
class SpeechStarted:
    """Somebody began to speak."""

    utterance: str  # "item_" and what no other utterance has
    at_s: float  # where the utterance begins: before the speech, by the prefix padding


@dataclass(frozen=True)
class SpeechStopped:
    """Nobody has spoken for long enough to end the utterance."""

    utterance: str
    at_s: float  # where the utterance ends, the silence that ended it included


@dataclass(frozen=True)
class Committed:
    """The audio of the utterance is complete."""

    utterance: str
    previous: str | None  # the utterance that was committed before


@dataclass(frozen=True)
class Delta:
    """More of the text, spaces included; what was given is never taken back."""

    utterance: str
    text: str


@dataclass(frozen=True)
class SegmentDone:
    """A part of the utterance will not change any more; its text was given in deltas."""

    utterance: str
    start_s: float
    end_s: float
    text: str


@dataclass(frozen=True)
class Completed:
    """The whole text: its deltas, joined. Empty where nobody said a word."""

    utterance: str
    text: str
    duration_s: float  # of the utterance's audio
    language: str | None  # Whisper's code; None where there was no speech


@dataclass(frozen=True)
class Failed:
    """The utterance could not be transcribed to its end; the session goes on with the next one."""

    utterance: str
    error: VoiceStackError


LiveEvent: TypeAlias = SpeechStarted | SpeechStopped | Committed | Delta | SegmentDone | Completed | Failed
"""What a live transcription gives."""
