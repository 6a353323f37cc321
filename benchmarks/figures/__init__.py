"""The benchmarks, in the order in which they run and stand on the page."""

from collections.abc import Sequence

from benchmarks.figure import Figure
from benchmarks.figures.clients import ManyClients, Scaling
from benchmarks.figures.clip import ClipLatency
from benchmarks.figures.errors import ClipErrors
from benchmarks.figures.film import Film, Overhead
from benchmarks.figures.health import Health
from benchmarks.figures.live import Live
from benchmarks.figures.memory import IdleMemory
from benchmarks.figures.mixed import Mixed
from benchmarks.figures.overload import Overload
from benchmarks.figures.speech import ConcurrentSpeech

FIGURES: Sequence[Figure] = (
    ClipLatency(),
    Film(),
    ClipErrors(),
    ManyClients(),
    Scaling(),
    Mixed(),
    Live(),
    Overhead(),
    ConcurrentSpeech(),
    Health(),
    Overload(),
    IdleMemory(),
)
