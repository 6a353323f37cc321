"""The page of figures: ``docs/BENCHMARKS.md`` and its pictures."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.figure import Figure
from benchmarks.plots import svg
from benchmarks.results import Raw, Row, kept

HEALTH_MS = 250.0
HEAD = """\
# Benchmarks

Made by `hatch run python -m benchmarks`; do not edit. Each figure is a ratio against something measured in the same run
on the same machine: ours and the reference are taken in turn, and the medians are shown; the ratio is the median of the
pairs' ratios. The service is a process of its own, reached over HTTP; faster-whisper, openai-whisper and Piper are
called in processes of their own, with the same weights, arithmetic and threads.
"""


def write_page(results: Path, docs: Path, figures: Sequence[Figure]) -> None:
    """Write the page and its pictures from what is kept: a section for each folder in ``results``."""
    pictures = docs / "benchmarks"
    pictures.mkdir(parents=True, exist_ok=True)
    for old in pictures.glob("*.svg"):
        old.unlink()
    shown = [
        _section(folder, by_name, figures, pictures)
        for folder in sorted(path for path in results.iterdir() if path.is_dir())
        if (by_name := kept(folder))
    ]
    methods = [f"**{figure.name}.** {figure.method}" for figure in figures]
    page = "\n".join([HEAD, *shown, "## How it is measured\n", "\n\n".join(methods)])
    (docs / "BENCHMARKS.md").write_text(page.rstrip() + "\n", encoding="utf-8")


def table(rows: Sequence[Row]) -> str:
    """The rows in Markdown."""
    lines = [
        "| figure | ours | against | reference | ratio | asked | reached | runs |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        reference = "" if row.reference is None else _amount(row.reference, row.unit)
        asked = "" if row.asked is None else str(row.asked)
        reached = {True: "yes", False: "**no**", None: ""}[row.reached]
        cells = [
            row.figure,
            _amount(row.ours, row.unit),
            row.against,
            reference,
            _comparison(row),
            asked,
            reached,
            row.runs,
        ]
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return "\n".join(lines)


def health_table(by_load: Mapping[str, Raw]) -> str:
    """What was running, and how soon health was answered meanwhile."""
    lines = [
        "| while | answers | p50 | p99 | slowest | asked | reached |",
        "|---|---|---|---|---|---|---|",
    ]
    for load, health in by_load.items():
        reached = "yes" if health["worst"] <= HEALTH_MS and not health["wrong"] else "**no**"
        wrong = f", {health['wrong']} not 200" if health["wrong"] else ""
        times = " | ".join(_amount(health[name], "ms") for name in ("p50", "p99", "worst"))
        lines.append(f"| {load} | {health['count']}{wrong} | {times} | at most {HEALTH_MS:g} ms | {reached} |")
    return "\n".join(lines)


def _section(folder: Path, by_name: Mapping[str, Raw], figures: Sequence[Figure], pictures: Path) -> str:
    taken = [figure for figure in figures if figure.name in by_name]
    raws = {figure.name: by_name[figure.name]["raw"] for figure in taken}
    rows = [row for figure in taken for row in figure.rows(raws[figure.name])]
    parts = [f"## On {folder.name}\n", _about(by_name, taken), "", table(rows), ""]
    health = {load: answers for raw in raws.values() for load, answers in raw.get("health", {}).items()}
    if health:
        parts += ["### Health meanwhile\n", health_table(health), ""]
    for figure in taken:
        parts += _charts(figure, raws[figure.name], folder.name, pictures)
        if details := figure.details(raws[figure.name]):
            parts += [details, ""]
    notes = dict.fromkeys(
        f"- {figure.name}: {note}." for figure in taken for note in raws[figure.name].get("notes", ())
    )
    if notes:
        parts += ["### Left out\n", *notes, ""]
    return "\n".join(parts)


def _about(by_name: Mapping[str, Raw], taken: Sequence[Figure]) -> str:
    """The machine; where results come from several runs that differ, each with what it was."""
    groups: dict[str, list[str]] = {}
    for figure in taken:
        entry = by_name[figure.name]
        facts = [f"{name} {value}" for name, value in entry["machine"].items()]
        facts += entry["settings"]
        quick = "\n**Taken with `--quick`: too short to tell anything.**" if entry["quick"] else ""
        groups.setdefault(f"{'; '.join(facts)}.{quick}", []).append(figure.name)
    dates = sorted(by_name[figure.name]["taken"] for figure in taken)
    when = dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
    whats = [text if len(groups) == 1 else f"{', '.join(names)}: {text}" for text, names in groups.items()]
    return f"Taken {when}.\n\n" + "\n\n".join(whats)


def _charts(figure: Figure, raw: Raw, where: str, pictures: Path) -> list[str]:
    parts = []
    for chart in figure.charts(raw):
        name = f"{re.sub('[^a-z0-9]+', '_', where.lower())}_{chart.name}.svg"
        (pictures / name).write_text(svg(chart), encoding="utf-8")
        parts += [f"![{chart.title}](benchmarks/{name})", ""]
    return parts


def _comparison(row: Row) -> str:
    if row.ratio is not None:
        return f"{row.ratio:.2f} x" if row.ratio >= 0.1 else f"{row.ratio:.3f} x"
    if row.difference is not None:
        return f"{row.difference:+.2f} {'points' if row.unit == '%' else row.unit}"
    return ""


def _amount(value: float, unit: str) -> str:
    digits = 0 if value >= 100 or value == int(value) else 1 if value >= 10 else 2
    return f"{value:,.{digits}f} {unit}".rstrip()
