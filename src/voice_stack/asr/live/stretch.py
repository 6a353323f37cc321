"""The audio of one stretch of speech, which may still go on."""

import numpy as np
from numpy.typing import NDArray

from voice_stack.asr.engine.base import SAMPLE_RATE_HZ, AudioBlock
from voice_stack.utils.audio.vad import WINDOW

WINDOW_S = WINDOW / SAMPLE_RATE_HZ
_VOICED = 0.35


class Stretch:
    """Audio with the probability of speech for each 32 ms of it.

    Args:
        start: the sample of the session at which it begins.
    """

    def __init__(self, start: int) -> None:
        self.start = start
        self._blocks: list[AudioBlock] = []
        self._probabilities = np.zeros(0, np.float32)
        self.size = 0  # samples
        self.voiced = 0  # windows of it that sounded like speech, those let go of included
        self.quiet_s = 0.0  # since somebody spoke
        self.ended = False

    @property
    def seconds(self) -> float:
        """Length of what is kept."""
        return self.size / SAMPLE_RATE_HZ

    def add(self, samples: AudioBlock, probabilities: NDArray[np.float32]) -> None:
        """It goes on."""
        self._blocks.append(samples)
        self._probabilities = np.concatenate([self._probabilities, probabilities])
        self.size += samples.size
        voiced = np.flatnonzero(probabilities >= _VOICED)
        self.voiced += voiced.size
        if voiced.size:
            self.quiet_s = (len(probabilities) - 1 - int(voiced[-1])) * WINDOW_S
        else:
            self.quiet_s += len(probabilities) * WINDOW_S

    def beginning(self, seconds: float) -> AudioBlock:
        """As much of it, or all."""
        samples = np.concatenate(self._blocks)
        self._blocks = [samples]
        return samples[: round(seconds * SAMPLE_RATE_HZ)]

    def quietest_s(self, from_s: float, to_s: float) -> tuple[float, float]:
        """The place between two times at which speech is least probable, in seconds, and that probability."""
        first = max(0, round(from_s / WINDOW_S - 0.5))
        # One window is a breath's length too short to tell.
        near = self._probabilities[first : max(first + 1, round(to_s / WINDOW_S + 0.5))]
        if not near.size:
            return min(to_s, self.seconds), 1.0
        at = int(np.argmin(near))
        return min((first + at + 0.5) * WINDOW_S, self.seconds), float(near[at])

    def voiced_s(self, from_s: float, to_s: float) -> float:
        """How much of the audio between two times sounds like speech, in seconds."""
        between = self._probabilities[round(from_s / WINDOW_S) : round(to_s / WINDOW_S)]
        return int(np.count_nonzero(between >= _VOICED)) * WINDOW_S

    def let_go(self, seconds: float) -> None:
        """Forget its beginning, to the next edge of 32 ms, or all."""
        windows = len(self._probabilities) if seconds >= self.seconds else round(seconds / WINDOW_S)
        samples = self.beginning(self.seconds)[windows * WINDOW :].copy()
        self._blocks = [samples]
        self._probabilities = self._probabilities[windows:]
        self.start += self.size - samples.size
        self.size = samples.size
