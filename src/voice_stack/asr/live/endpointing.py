"""Where speech begins and ends in audio that arrives in blocks of any length."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from voice_stack.asr.engine.base import SAMPLE_RATE_HZ, AudioBlock
from voice_stack.asr.live.options import TurnDetection
from voice_stack.utils.audio.vad import WINDOW, SpeechProbabilities

HYSTERESIS = 0.15
"""Speech ends where its probability is below the threshold by so much, as in Silero's own segmentation."""

MIN_SPEECH = 3
"""Windows of 32 ms that must sound like speech, close together, before it counts as such: fewer are a click."""
_MOST_APART = 6


@dataclass(frozen=True)
class SpeechBegan:
    """Somebody speaks."""

    at: int  # sample of the session, the padding before the speech included


@dataclass(frozen=True)
class SpeechGoesOn:
    """More audio of the stretch, silence included; the first has the padding."""

    samples: AudioBlock
    probabilities: NDArray[np.float32]  # of speech, one for each 512 samples, of which the last may be fewer


@dataclass(frozen=True)
class SpeechEnded:
    """Nobody has spoken for long enough."""

    at: int  # sample of the session, the silence included


Sound: TypeAlias = SpeechBegan | SpeechGoesOn | SpeechEnded


class Endpointer:
    """Cuts the audio of a session into stretches of speech.

    What comes out depends on the audio only, not on the blocks in which it came. Costs a thread some milliseconds for
    a second of audio; nothing else may call it meanwhile.
    """

    def __init__(self, turns: TurnDetection) -> None:
        self._judge = SpeechProbabilities()
        self._left = np.zeros(0, np.float32)  # less than a window
        self.at = 0  # sample of the session up to which everything was judged
        self._before: list[tuple[AudioBlock, float]] = []  # windows that may belong to the next stretch
        self._speaking = False
        self._voiced: list[int] = []  # of the windows before, those that sound like speech
        self._quiet = 0  # windows since somebody spoke
        self._take(turns)

    def configure(self, turns: TurnDetection) -> None:
        """Change what counts as speech from the next stretch on. May be called meanwhile."""
        self._next_turns = turns

    def _take(self, turns: TurnDetection) -> None:
        self._turns = self._next_turns = turns
        self._release = max(0.01, turns.threshold - HYSTERESIS)
        self._padding = round(turns.prefix_padding_s * SAMPLE_RATE_HZ / WINDOW)
        self._silence = max(1, round(turns.silence_s * SAMPLE_RATE_HZ / WINDOW))

    def hear(self, samples: AudioBlock) -> list[Sound]:
        """Listen to more audio."""
        heard = np.concatenate([self._left, samples])
        whole = heard.size - heard.size % WINDOW
        self._left = heard[whole:]
        return self._look(heard[:whole], self._judge(heard[:whole])) if whole else []

    def end(self) -> list[Sound]:
        """The audio ends here for now: so does the stretch, and what comes next is nothing to do with it."""
        sounds: list[Sound] = []
        if self._left.size:
            padded = np.concatenate([self._left, np.zeros(WINDOW - self._left.size, np.float32)])
            left, self._left = self._left, np.zeros(0, np.float32)
            sounds += self._look(left, self._judge(padded))
        if self._speaking:
            sounds.append(SpeechEnded(self.at))
        self._begin_anew()
        return sounds

    def _begin_anew(self) -> None:
        self._speaking = False
        self._before, self._voiced = [], []

    def _look(self, samples: AudioBlock, probabilities: NDArray[np.float32]) -> list[Sound]:
        sounds: list[Sound] = []
        first = 0  # window from which on the stretch's audio was not given yet
        for number, probability in enumerate(probabilities.tolist()):
            window = samples[number * WINDOW : (number + 1) * WINDOW]
            self.at += window.size
            if self._speaking:
                self._quiet = 0 if probability >= self._release else self._quiet + 1
                if self._quiet >= self._silence:
                    sounds += self._goes_on(samples, probabilities, first, number + 1)
                    sounds.append(SpeechEnded(self.at))
                    self._begin_anew()
                continue
            began = self._wait(window, probability)
            if began:
                sounds += began
                first = number + 1
        if self._speaking:
            sounds += self._goes_on(samples, probabilities, first, len(probabilities))
        return sounds

    def _wait(self, window: AudioBlock, probability: float) -> list[Sound]:
        """One more window in which nobody has spoken yet."""
        if self._next_turns != self._turns:
            self._take(self._next_turns)
        # A copy: a view would keep the whole block that it is a part of.
        self._before.append((window.copy(), probability))
        self._voiced = [age + 1 for age in self._voiced if age + 1 < _MOST_APART * MIN_SPEECH]
        if probability >= self._turns.threshold:
            self._voiced.append(0)
        if self._voiced and len(self._voiced) >= MIN_SPEECH:
            kept = self._before[-(self._voiced[0] + 1 + self._padding) :]
            self._speaking, self._quiet = True, 0
            self._before, self._voiced = [], []
            audio = np.concatenate([samples for samples, _ in kept])
            return [
                SpeechBegan(self.at - audio.size),
                SpeechGoesOn(audio, np.array([probability for _, probability in kept], np.float32)),
            ]
        del self._before[: -(self._padding + _MOST_APART * MIN_SPEECH)]
        return []

    def _goes_on(self, samples: AudioBlock, probabilities: NDArray[np.float32], first: int, last: int) -> list[Sound]:
        if first >= last:
            return []
        return [SpeechGoesOn(samples[first * WINDOW : last * WINDOW].copy(), probabilities[first:last])]
