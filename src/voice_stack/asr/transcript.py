"""A finished transcription."""

from collections.abc import Sequence
from dataclasses import dataclass

from voice_stack.asr.engine.base import AudioInfo, Segment


@dataclass(frozen=True)
class Transcript:
    """What was said in one upload; no segments where nothing was."""

    info: AudioInfo
    segments: Sequence[Segment]

    @property
    def text(self) -> str:
        """The whole text. Whisper's segments begin with a space where the language has spaces."""
        return "".join(segment.text for segment in self.segments).strip()
