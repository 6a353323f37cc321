"""Streaming change of sample rate with FFmpeg's swresample."""

import av
import numpy as np
from numpy.typing import NDArray

from voice_stack.utils.audio.ffmpeg import MonoFilter

# Twice swresample's default. What lies 10 % above the new Nyquist frequency then comes back 94 dB down
# instead of 43, and 0.9 of the Nyquist frequency loses 0.03 dB instead of 1.
_FILTER_SIZE = 64


class Resampler:
    """Change the sample rate of a mono stream that arrives in pieces.

    How the stream is cut into pieces makes no difference to the output. A whole stream of n samples becomes
    ``round(n * to_hz / from_hz)`` samples, without delay. Equal rates hand the samples through unchanged.
    Raises ``ValueError`` where a rate is not positive.
    """

    def __init__(self, from_hz: int, to_hz: int) -> None:
        if from_hz <= 0 or to_hz <= 0:
            raise ValueError(f"Sample rates must be positive, not {from_hz} and {to_hz} Hz.")
        self._from_hz = from_hz
        self._to_hz = to_hz
        self._samples_in = 0
        self._samples_out = 0
        self._filter: MonoFilter | None = None

    def process(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take mono float32 samples at ``from_hz``; return those that are ready at ``to_hz``, maybe none."""
        if self._from_hz == self._to_hz:
            return samples
        ready = self._push(samples)
        self._samples_in += len(samples)
        self._samples_out += len(ready)
        return ready

    def flush(self) -> NDArray[np.float32]:
        """End the stream: return its last samples at ``to_hz``. The next ``process`` begins a new stream."""
        if self._filter is None:
            return np.zeros(0, np.float32)
        # swresample gives nothing at all for a stream shorter than its filter, and its own flush mirrors the
        # end of a longer one. Silence behind the end serves both: the filter rings out, the rest is cut off.
        filter_length = _FILTER_SIZE * max(1, -(-self._from_hz // self._to_hz))
        tail = self._push(np.zeros(2 * filter_length, np.float32))
        wanted = (2 * self._samples_in * self._to_hz + self._from_hz) // (2 * self._from_hz)
        last = tail[: wanted - self._samples_out]
        self._filter = None
        self._samples_in = self._samples_out = 0
        return last

    def _push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        if not len(samples):
            return np.zeros(0, np.float32)
        if self._filter is None:
            arguments = f"{self._to_hz}:filter_size={_FILTER_SIZE}"
            self._filter = MonoFilter(("aresample", arguments), sample_rate_hz=self._from_hz)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples)[np.newaxis], "fltp", "mono")
        frame.sample_rate = self._from_hz
        return self._filter.push(frame)
