"""Faster or slower speech with the pitch kept."""

from typing import Any

import av
import numpy as np
from av.filter import Graph
from numpy.typing import NDArray

from voice_stack.core.errors import EngineError

_TAIL_S = 0.02

_STEP_MIN = 0.5
"""One atempo filter goes no slower than this; slower tempos take several in a row."""


class TempoChanger:
    """Changes the tempo of a stream of mono audio by FFmpeg's ``atempo`` (WSOLA), which keeps the pitch.

    Args:
        tempo: 2.0 is twice as fast, and half as long.
    """

    def __init__(self, sample_rate_hz: int, tempo: float) -> None:
        self._rate_hz = sample_rate_hz
        self._graph: Graph | None = None if tempo == 1.0 else _graph(sample_rate_hz, tempo)
        self._pts = 0

    def process(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take samples of shape (samples,) and give those that are ready; some are held back until ``flush``.

        Raises:
            EngineError: FFmpeg refused them.
        """
        if self._graph is None or samples.size == 0:
            return samples
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None, :]), format="flt", layout="mono")
        frame.sample_rate = self._rate_hz
        frame.pts = self._pts
        self._pts += samples.size
        return self._pass(frame)

    def flush(self) -> NDArray[np.float32]:
        """The samples that were held back; nothing may be processed after it."""
        if self._graph is None or self._pts == 0:
            return np.zeros(0, np.float32)
        # The filter drops the last of its overlapping windows: let that be silence.
        tail = self.process(np.zeros(round(_TAIL_S * self._rate_hz), np.float32))
        return np.concatenate([tail, self._pass(None)])

    def _pass(self, frame: Any) -> NDArray[np.float32]:  # noqa: ANN401 - PyAV's stubs do not allow the end of stream
        assert self._graph is not None  # noqa: S101 - the callers have looked
        made = []
        try:
            self._graph.push(frame)
            while True:
                pulled = self._graph.pull()
                if isinstance(pulled, av.AudioFrame):
                    made.append(pulled.to_ndarray().reshape(-1))
        except (av.error.BlockingIOError, av.error.EOFError):
            pass
        except (av.error.FFmpegError, ValueError) as error:
            raise EngineError(f"The tempo of the speech could not be changed: {error}") from error
        return np.concatenate(made).astype(np.float32, copy=False) if made else np.zeros(0, np.float32)


def _graph(sample_rate_hz: int, tempo: float) -> Graph:
    steps = []
    while tempo < _STEP_MIN:
        steps.append(_STEP_MIN)
        tempo /= _STEP_MIN
    steps.append(tempo)
    graph = Graph()
    filters = [graph.add_abuffer(sample_rate=sample_rate_hz, format="flt", layout="mono")]
    filters += [graph.add("atempo", f"{step:.6f}") for step in steps]
    filters.append(graph.add("abuffersink"))
    graph.link_nodes(*filters).configure()
    return graph
