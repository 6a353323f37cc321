"""``voice-stack`` with an engine that hangs in native code, or loses its GPU, when the text asks for it."""

import ctypes
import sys
from collections.abc import Iterator

from tests.support.engines import FakeTtsEngine
from voice_stack import cli
from voice_stack.core import server
from voice_stack.core.errors import DeviceLostError
from voice_stack.core.settings import Settings
from voice_stack.tts import app
from voice_stack.tts.engine.base import AudioChunk, SynthesisOptions

HANG, LOSE_GPU = "Hang now.", "Lose it."


class BrokenEngine(FakeTtsEngine):
    """Speaks everything else."""

    def synthesize(self, text: str, options: SynthesisOptions) -> Iterator[AudioChunk]:
        if text == HANG:
            ctypes.CDLL(None).sleep(1000)
        if text == LOSE_GPU:
            raise DeviceLostError("CUDA error: an illegal memory access was encountered")
        yield from super().synthesize(text, options)


def _create_engine(settings: Settings) -> BrokenEngine:
    return BrokenEngine()


# Here and not below: a worker imports this file, too, under another name.
app.create_engine = _create_engine  # type: ignore[attr-defined]
server.LEAST_UPTIME_S = 0

if __name__ == "__main__":
    sys.exit(cli.main())
