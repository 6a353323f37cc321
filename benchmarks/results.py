"""What a benchmark hands over: rows of the table, and the raw results that they are made of, kept as JSON."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from benchmarks.machine import machine
from benchmarks.percentiles import paired_ratio

Raw = dict[str, Any]
"""What was measured: only what JSON holds."""


@dataclass(frozen=True)
class Asked:
    """What the project holds itself to."""

    direction: Literal["at most", "at least"]
    value: float
    of: Literal["ratio", "ours", "difference"] = "ratio"
    unit: str = "x"

    def __str__(self) -> str:
        sign = "+" if self.of == "difference" else ""
        return f"{self.direction} {sign}{self.value:g} {self.unit}".rstrip()


@dataclass(frozen=True)
class Row:
    """A line of the table: a figure of ours beside what it is held against."""

    figure: str
    ours: float
    unit: str
    against: str = ""
    reference: float | None = None
    ratio: float | None = None
    asked: Asked | None = None
    runs: int = 1

    @property
    def difference(self) -> float | None:
        """Ours less the reference."""
        return None if self.reference is None else self.ours - self.reference

    @property
    def reached(self) -> bool | None:
        """Whether it is what was asked for; None where nothing was."""
        if self.asked is None:
            return None
        value = {"ratio": self.ratio, "ours": self.ours, "difference": self.difference}[self.asked.of]
        if value is None:
            return False
        return value <= self.asked.value if self.asked.direction == "at most" else value >= self.asked.value


def paired_row(
    figure: str,
    ours: Sequence[float],
    against: str,
    theirs: Sequence[float],
    *,
    unit: str = "s",
    asked: Asked | None = None,
) -> Row:
    """Medians of both sides and of the ratios of the pairs."""
    return Row(
        figure,
        statistics.median(ours),
        unit,
        against,
        statistics.median(theirs),
        paired_ratio(ours, theirs),
        asked,
        len(ours),
    )


def keep(folder: Path, name: str, raw: Raw, *, quick: bool, settings: Sequence[str]) -> None:
    """Write the raw results of one benchmark, in place of those kept before."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = {
        "taken": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "quick": quick,
        "settings": list(settings),
        "machine": machine(),
        "raw": raw,
    }
    staged = folder / f".{name}.json"
    staged.write_text(json.dumps(kept, indent=1), encoding="utf-8")
    staged.replace(folder / f"{name}.json")


def kept(folder: Path) -> Mapping[str, Raw]:
    """What was kept, by the name of the benchmark."""
    paths = sorted(folder.glob("[!.]*.json"))
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in paths}
