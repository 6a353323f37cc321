"""What the audio modules share of PyAV, the binding to FFmpeg's libraries."""

import av
import numpy as np
from av.filter import Graph
from numpy.typing import NDArray

# FFmpeg's own errors, and what PyAV and numpy raise by themselves on input that nobody foresaw.
AV_ERRORS: tuple[type[Exception], ...] = (
    av.error.FFmpegError,
    ArithmeticError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


class MonoFilter:
    """A chain of FFmpeg filters from frames of one rate, sample format and channel layout to mono float32.

    ``filters`` are pairs of name and arguments; the last must put out mono ``fltp``. Raises one of ``AV_ERRORS``
    where FFmpeg refuses the chain.
    """

    def __init__(
        self, *filters: tuple[str, str], sample_rate_hz: int, sample_format: str = "fltp", layout: str = "mono"
    ) -> None:
        self._graph = Graph()
        # None of these filters shares out its work, and a session has one for hours. Old PyAV cannot be told.
        if hasattr(self._graph, "threads"):
            self._graph.threads = 1
        source = self._graph.add(
            "abuffer",
            sample_rate=str(sample_rate_hz),
            sample_fmt=sample_format,
            channel_layout=layout,
            time_base=f"1/{sample_rate_hz}",
        )
        chain = [self._graph.add(name, arguments) for name, arguments in filters]
        self._graph.link_nodes(source, *chain, self._graph.add("abuffersink"))
        self._graph.configure()

    def push(self, frame: av.AudioFrame) -> NDArray[np.float32]:
        """Filter one frame; return every mono float32 sample that is ready."""
        # Without timestamps no filter can try to mend gaps in them.
        frame.pts = None
        self._graph.push(frame)
        ready: list[NDArray[np.float32]] = []
        while True:
            try:
                filtered = self._graph.pull()
            except (BlockingIOError, EOFError):
                break
            if not isinstance(filtered, av.AudioFrame):
                raise TypeError("the filters put out something that is not audio")
            ready.append(np.asarray(filtered.to_ndarray(), np.float32)[0])
        return np.concatenate(ready) if ready else np.zeros(0, np.float32)
