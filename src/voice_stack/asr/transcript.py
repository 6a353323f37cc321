"""A finished transcription."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from voice_stack.asr.engine.base import Language, Position, Segment, Step


@dataclass(frozen=True)
class Transcript:
    """What was said in one upload; no segments where nothing was."""

    duration_s: float
    language: Language | None  # None: there was no speech to tell it by
    segments: Sequence[Segment]
    task: Literal["transcribe", "translate"] = "transcribe"

    @property
    def text(self) -> str:
        """The whole text. Whisper's segments begin with a space where the language has spaces."""
        return "".join(segment.text for segment in self.segments).strip()


class TranscriptBuilder:
    """Collects the steps of a transcription."""

    def __init__(self, task: Literal["transcribe", "translate"]) -> None:
        self._task = task
        self._language: Language | None = None
        self._duration_s = 0.0
        self._segments: list[Segment] = []
        self._text = ""

    def add(self, step: Step) -> None:
        """Take the next step."""
        match step:
            case Segment():
                self._segments.append(step)
                self._text += step.text
            case Language():
                self._language = step
            case Position():
                self._duration_s = step.upload_s

    @property
    def text(self) -> str:
        """The text so far; what follows is only ever added at its end."""
        return self._text.strip()

    def finish(self) -> Transcript:
        """What the steps come to."""
        return Transcript(self._duration_s, self._language, self._segments, self._task)
