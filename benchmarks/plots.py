"""Line charts as SVG, whose text stays text."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

WIDTH, HEIGHT = 760, 360
LEFT, RIGHT, TOP, BOTTOM = 64, 20, 58, 46
COLORS = ("#2563eb", "#dc2626", "#059669", "#b45309", "#7c3aed", "#475569")


@dataclass(frozen=True)
class Series:
    """Points that belong together."""

    name: str
    points: Sequence[tuple[float, float]]
    style: Literal["line", "dots"] = "line"


@dataclass(frozen=True)
class Chart:
    """A picture: ``name`` is that of its file, without the ending."""

    name: str
    title: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    levels: Sequence[tuple[str, float]] = ()  # horizontal lines: a name, and where
    log_x: bool = False  # in steps of two


def svg(chart: Chart) -> str:
    """Draw a chart; the vertical axis begins at 0."""
    return "\n".join(_lines(chart)) + "\n"


def _lines(chart: Chart) -> Iterator[str]:
    points = [point for series in chart.series for point in series.points]
    x_ticks = _doublings([x for x, _ in points]) if chart.log_x else _ticks(max((x for x, _ in points), default=1))
    y_ticks = _ticks(max([y for _, y in points] + [y for _, y in chart.levels], default=1))

    def across(x: float) -> float:
        first, last = x_ticks[0], x_ticks[-1]
        share = (
            math.log2(x / first) / max(1.0, math.log2(last / first)) if chart.log_x else (x - first) / (last - first)
        )
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def down(y: float) -> float:
        return round(HEIGHT - BOTTOM - y / y_ticks[-1] * (HEIGHT - TOP - BOTTOM), 1)

    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="system-ui, sans-serif" font-size="12" fill="#334155">'
    )
    yield f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>'
    yield f'<text x="{LEFT}" y="20" font-size="14" font-weight="600">{escape(chart.title)}</text>'
    for tick in y_ticks:
        yield f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{down(tick)}" y2="{down(tick)}" stroke="#e2e8f0"/>'
        yield f'<text x="{LEFT - 8}" y="{down(tick) + 4}" text-anchor="end">{tick:g}</text>'
    for tick in x_ticks:
        yield f'<text x="{across(tick)}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{tick:g}</text>'
    yield f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(chart.x_label)}</text>'
    yield (
        f'<text transform="translate(16 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">'
        f"{escape(chart.y_label)}</text>"
    )
    for name, y in chart.levels:
        yield (
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{down(y)}" y2="{down(y)}" stroke="#64748b" '
            'stroke-dasharray="6 4"/>'
        )
        yield f'<text x="{WIDTH - RIGHT}" y="{down(y) - 5}" text-anchor="end" fill="#64748b">{escape(name)}</text>'
    for number, series in enumerate(chart.series):
        color = COLORS[number % len(COLORS)]
        places = [(across(x), down(y)) for x, y in series.points]
        if series.style == "line":
            path = " ".join(f"{x},{y}" for x, y in places)
            yield f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>'
        else:
            yield from (f'<circle cx="{x}" cy="{y}" r="2.5" fill="{color}" fill-opacity="0.7"/>' for x, y in places)
        at = LEFT + number * (WIDTH - LEFT - RIGHT) / len(chart.series)
        yield f'<rect x="{at:.0f}" y="34" width="12" height="4" fill="{color}"/>'
        yield f'<text x="{at + 18:.0f}" y="40">{escape(series.name)}</text>'
    yield "</svg>"


def _ticks(largest: float) -> list[float]:
    """From 0 to at least ``largest``, in four to ten steps of 1, 2 or 5 times a power of ten."""
    if largest <= 0:
        return [0.0, 1.0]
    power = 10 ** math.floor(math.log10(largest / 4))
    step = next(power * times for times in (1, 2, 5, 10) if largest / (power * times) <= 8)
    return [round(step * number, 10) for number in range(math.ceil(largest / step - 1e-9) + 1)]


def _doublings(values: Sequence[float]) -> list[float]:
    first, last = (math.floor(math.log2(min(values))), math.ceil(math.log2(max(values)))) if values else (0, 1)
    return [2.0**power for power in range(first, max(last, first + 1) + 1)]
