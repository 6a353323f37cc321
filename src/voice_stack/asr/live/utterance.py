"""One utterance of a live session: its audio, and what of its text was told."""

import secrets
from collections import deque

from voice_stack.asr.engine.base import SAMPLE_RATE_HZ, TranscribeOptions
from voice_stack.asr.live.events import LiveEvent
from voice_stack.asr.live.stretch import Stretch
from voice_stack.asr.live.text import Text


class Utterance:
    """What is said between two commits.

    Args:
        start: the sample of the session at which it begins.
        options: how it is transcribed; a language of None detects it.
        has_turns: whether silence ends it; otherwise a commit does.
    """

    def __init__(self, start: int, options: TranscribeOptions, *, has_turns: bool) -> None:
        self.id = f"item_{secrets.token_urlsafe(16)}"
        self.start = start
        self.end: int | None = None  # the sample at which it was committed
        self.options = options
        self.has_turns = has_turns
        self.stretches: deque[Stretch] = deque()  # of speech, those that are not transcribed yet
        self.text = Text()
        self.language: str | None = None  # of what was given out
        self.held: list[LiveEvent] = []  # until the utterances before it are completed
        self.is_failed = False  # its audio is of no use any more
        self.is_over = False  # completed or failed, and told

    @property
    def duration_s(self) -> float:
        """Length of its audio, once it is committed."""
        return ((self.end or self.start) - self.start) / SAMPLE_RATE_HZ

    @property
    def waiting(self) -> int:
        """Samples that are still to be transcribed."""
        return sum(stretch.size for stretch in self.stretches)
