"""What every benchmark is to the command."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from benchmarks.bench import Bench
from benchmarks.plots import Chart
from benchmarks.results import Raw, Row


class Figure(ABC):
    """One benchmark. What it measures is kept; rows and charts are made of that, then or later.

    A raw result may have ``health``, from what was running to what ``watch.HealthProbe`` gave, and ``notes``.
    """

    name: str
    """As ``--only`` calls it."""

    method: str
    """How it is measured, for the page."""

    @abstractmethod
    def measure(self, bench: Bench) -> Raw:
        """Measure; blocks for minutes."""

    @abstractmethod
    def rows(self, raw: Raw) -> Sequence[Row]:
        """The lines of the table."""

    def charts(self, raw: Raw) -> Sequence[Chart]:  # noqa: ARG002 - most have none
        """What is worth a picture."""
        return ()

    def details(self, raw: Raw) -> str:  # noqa: ARG002 - most have none
        """More in Markdown, below the method."""
        return ""
