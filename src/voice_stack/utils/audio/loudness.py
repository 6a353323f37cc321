"""Speech whose sentences are equally loud."""

import numpy as np
from numpy.typing import NDArray

MOST_GAIN_DB = 6.0
"""No sentence is made louder or softer by more than this."""

_FRAME_S = 0.02
# What counts as speech: frames above this level, and no more than so much below the loudest of their piece.
_LEAST_DB = -50.0
_GATE_DB = 20.0
# A level is trusted fully from so much speech on.
_SURE_S = 1.5
# How fast the gain moves within a sentence: a change of loudness that nobody notices.
_RAMP_DB_PER_S = 3.0
# Samples that a gain has raised above the knee are bent to stay below the ceiling.
_KNEE = 0.9
_CEILING = 0.99


class Leveller:
    """Keeps the loudness steady from sentence to sentence, in a stream of mono float32 samples.

    The first sentence stays as it is. A later one gets a gain that brings its speech to the level of all the speech
    before it: one gain where the sentence comes in one piece, a slow ramp where later pieces change the picture. Levels
    are those of speech alone, so that silence counts for nothing. Raised samples are bent where they would clip.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        self._rate_hz = sample_rate_hz
        self._frame = max(1, round(_FRAME_S * sample_rate_hz))
        self._before = _Speech()  # of the earlier sentences, as they went out
        self._sentence = _Speech()  # of this one, as it came in
        self._gone_out = _Speech()  # of this one
        self._gain_db = 0.0
        self._is_new = True

    def begin(self) -> None:
        """A new sentence begins."""
        self._before.add(self._gone_out)
        self._sentence, self._gone_out = _Speech(), _Speech()
        self._is_new = True

    def process(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Level a sentence, or the next piece of one: samples of shape (samples,) in, as many out."""
        speech = self._speech(samples)
        self._sentence.add(speech)
        if not self._before.frames or not samples.size:
            self._gone_out.add(speech)
            return samples
        wanted_db = self._wanted_db()
        if self._is_new and self._sentence.frames:
            self._gain_db = wanted_db
            self._is_new = False
        most_db = _RAMP_DB_PER_S * samples.size / self._rate_hz
        change_db = float(np.clip(wanted_db - self._gain_db, -most_db, most_db)) if self._sentence.frames else 0.0
        gains_db = self._gain_db + change_db * np.arange(1, samples.size + 1, dtype=np.float32) / samples.size
        self._gain_db += change_db
        self._gone_out.add(_Speech(speech.power * 10 ** (self._gain_db / 10), speech.frames))
        return _limited(samples, np.power(np.float32(10), gains_db / 20, dtype=np.float32))

    def _wanted_db(self) -> float:
        if not self._sentence.frames:
            return self._gain_db
        trust = min(1.0, min(self._before.frames, self._sentence.frames) * _FRAME_S / _SURE_S)
        difference_db = trust * (self._before.level_db - self._sentence.level_db)
        return float(np.clip(difference_db, -MOST_GAIN_DB, MOST_GAIN_DB))

    def _speech(self, samples: NDArray[np.float32]) -> "_Speech":
        count = samples.size // self._frame
        if not count:
            return _Speech()
        frames = samples[: count * self._frame].reshape(count, self._frame)
        powers = np.mean(np.square(frames, dtype=np.float64), axis=1)
        least = max(10 ** (_LEAST_DB / 10), float(powers.max()) * 10 ** (-_GATE_DB / 10))
        spoken = powers[powers >= least]
        return _Speech(float(spoken.sum()), spoken.size)


class _Speech:
    """The power of the frames with speech in them."""

    def __init__(self, power: float = 0.0, frames: int = 0) -> None:
        self.power = power
        self.frames = frames

    def add(self, other: "_Speech") -> None:
        self.power += other.power
        self.frames += other.frames

    @property
    def level_db(self) -> float:
        return float(10 * np.log10(self.power / self.frames))


def _limited(samples: NDArray[np.float32], gains: NDArray[np.float32]) -> NDArray[np.float32]:
    levelled: NDArray[np.float32] = samples * gains
    high = np.flatnonzero((np.abs(levelled) > _KNEE) & (gains > 1))
    if high.size:
        room = _CEILING - _KNEE
        over = np.abs(levelled[high]) - _KNEE
        levelled[high] = np.copysign(_KNEE + room * np.tanh(over / room), levelled[high])
    return levelled
