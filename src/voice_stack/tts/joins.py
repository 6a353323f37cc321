"""One flow of speech from the pieces that an engine makes."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from voice_stack.utils.text import Boundary

PAUSES_S: Mapping[Boundary, float] = MappingProxyType(
    {Boundary.WORD: 0.04, Boundary.CLAUSE: 0.12, Boundary.SENTENCE: 0.3, Boundary.PARAGRAPH: 0.65}
)
"""Silence between the last sound of a chunk and the first of the next, in seconds, by what ended the chunk."""

START_S = 0.04
"""Silence before the first sound: what encoders and players need to get going (see ``AudioEncoder``)."""

END_S = 0.2
"""At most this much of what the engine gave after the last sound is kept."""

LEAST_END_S = 0.01
"""Silence after the last sound where the engine gave less."""

_FRAME_S = 0.005
# Sound is what is less than so much below the loudest frame until now, and above the noise of any engine at rest.
_SOUND_DB = -50.0
_FLOOR_DB = -75.0
# What may still belong to a sound before and after it.
_GUARD_S = 0.025
_FADE_S = 0.004


_NOTHING: NDArray[np.float32] = np.zeros(0, np.float32)


class Joiner:
    """Joins the chunks of a text, each spoken in one or more pieces of mono float32 samples, without clicks.

    The silence that the engine left at the end of one chunk and at the start of the next is shortened or lengthened to
    the pause that is asked for; the 25 ms beside a sound are never cut. What may be the silent end of a chunk is held
    back until more comes; everything else goes out at once.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        self._rate_hz = sample_rate_hz
        self._frame = max(1, round(_FRAME_S * sample_rate_hz))
        self._guard = round(_GUARD_S * sample_rate_hz)
        self._fade = max(1, round(_FADE_S * sample_rate_hz))
        self._loudest = 0.0
        self._is_first = True
        self._pause: int | None = 0  # None: this chunk has sounded already
        self._lead = _NOTHING  # the silent start of this chunk
        self._held = _NOTHING  # the newest samples that have not gone out
        self._quiet = 0  # samples since the last sound, those that went out included

    def begin(self, pause_s: float) -> None:
        """A new chunk begins, ``pause_s`` seconds after the last sound of the one before, if there is one."""
        # A chunk without a sound leaves the longer of the pauses beside it.
        self._pause = max(round(pause_s * self._rate_hz), self._pause or 0)
        self._lead = _NOTHING

    def process(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take the next piece of the chunk, of shape (samples,); return what is ready, maybe nothing."""
        sound = self._sound(samples)
        if self._pause is not None:
            samples = np.concatenate([self._lead, samples])
            if sound is None:
                self._lead = samples
                return _NOTHING
            before, after = sound[0] + self._lead.size, sound[1]
            self._held, samples = self._join(before, samples)
            self._pause, self._lead, self._is_first = None, _NOTHING, False
            sound = (0, after)
        self._quiet = self._quiet + samples.size if sound is None else sound[1]
        flow = np.concatenate([self._held, samples])
        # The last moment of the guard stays, to be faded.
        ready = max(0, flow.size - max(0, self._quiet - self._guard) - self._fade)
        self._held = flow[ready:]
        return flow[:ready]

    def end(self) -> NDArray[np.float32]:
        """The end of the last chunk."""
        if self._is_first:
            return self._lead
        surplus = max(0, self._quiet - round(END_S * self._rate_hz))
        missing = max(0, round(LEAST_END_S * self._rate_hz) - self._quiet)
        tail = self._faded_out(self._held[: self._held.size - surplus])
        return np.concatenate([tail, np.zeros(missing, np.float32)])

    def _join(self, before: int, samples: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What goes before a chunk whose first sound comes ``before`` samples in, and the chunk from there on."""
        pause = round(START_S * self._rate_hz) if self._is_first else (self._pause or 0)
        least = min(before, self._guard)
        after = min(self._quiet, max(self._guard, pause - least))
        kept = min(before, max(least, pause - after))
        tail = self._faded_out(self._held[: self._held.size - (self._quiet - after)])
        between = np.zeros(max(0, pause - after - kept), np.float32)
        return np.concatenate([tail, between]), self._faded_in(samples[before - kept :])

    def _sound(self, samples: NDArray[np.float32]) -> tuple[int, int] | None:
        """How many samples there are before the first sound and after the last one; None: there is no sound."""
        if not samples.size:
            return None
        starts = np.arange(0, samples.size, self._frame)
        sizes = np.diff(starts, append=samples.size)
        levels = np.sqrt(np.add.reduceat(np.square(samples, dtype=np.float64), starts) / sizes)
        self._loudest = max(self._loudest, float(levels.max()))
        least = max(10 ** (_FLOOR_DB / 20), self._loudest * 10 ** (_SOUND_DB / 20))
        sounding = np.flatnonzero(levels >= least)
        if not sounding.size:
            return None
        last = int(sounding[-1])
        return int(starts[sounding[0]]), samples.size - int(starts[last] + sizes[last])

    def _faded_in(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        faded: NDArray[np.float32] = self._faded_out(samples[::-1])[::-1]
        return faded

    def _faded_out(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        faded: NDArray[np.float32] = samples.copy()
        count = min(self._fade, samples.size)
        if count:
            faded[-count:] *= np.linspace(1, 0, count, dtype=np.float32)
        return faded
