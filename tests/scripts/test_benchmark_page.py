"""What the benchmarks make of raw results: percentiles, rows, and the page with its pictures."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from benchmarks.figure import Figure
from benchmarks.figures import FIGURES
from benchmarks.figures.mixed import fair_share_s
from benchmarks.page import health_table, table, write_page
from benchmarks.percentiles import paired_ratio, percentile, spread
from benchmarks.plots import Chart, Series, svg
from benchmarks.results import Asked, Raw, Row, keep, paired_row


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = list(range(1, 101))
    assert [percentile(values, share) for share in (0, 0.5, 0.95, 0.99, 1)] == [1, 50, 95, 99, 100]
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([7.0], 0.99) == 7.0
    with pytest.raises(ValueError, match="no percentile"):
        percentile([], 0.5)


def test_the_spread_of_nothing_is_its_count() -> None:
    assert spread([]) == {"count": 0}
    assert spread([2.0, 1.0]) == {"count": 2, "p50": 1.0, "p95": 2.0, "p99": 2.0, "worst": 2.0}


def test_the_ratio_of_pairs_is_not_that_of_the_medians() -> None:
    """A machine that is slow for one pair slows both of its sides."""
    assert paired_ratio([1.0, 10.0, 2.0], [2.0, 20.0, 40.0]) == 0.5


@pytest.mark.parametrize(
    ("asked", "reached"),
    [
        (Asked("at most", 0.5), True),
        (Asked("at most", 0.49), False),
        (Asked("at least", 0.5), True),
        (Asked("at least", 0.6), False),
        (Asked("at most", 1.0, of="ours"), True),
        (Asked("at most", 0.9, of="ours"), False),
        (Asked("at most", -1.0, of="difference"), True),
        (Asked("at most", -1.1, of="difference"), False),
        (None, None),
    ],
)
def test_a_row_tells_whether_it_reaches_what_was_asked(asked: Asked | None, reached: bool | None) -> None:
    assert paired_row("latency", [1.0], "other", [2.0], asked=asked).reached is reached


def test_the_table_shows_rows_as_people_read_them() -> None:
    rows = [
        Row("latency", 123.456, "ms", "other", 300.0, 0.41152, Asked("at most", 0.45), 10),
        Row("errors", 5.25, "%", "other", 5.0, asked=Asked("at most", 0.3, of="difference", unit="points")),
        Row("lost", 3, "", "9 requests", asked=Asked("at most", 0, of="ours", unit="")),
    ]
    assert table(rows).splitlines()[2:] == [
        "| latency | 123 ms | other | 300 ms | 0.41 x | at most 0.45 x | yes | 10 |",
        "| errors | 5.25 % | other | 5 % | +0.25 points | at most +0.3 points | yes | 1 |",
        "| lost | 3 | 9 requests |  |  | at most 0 | **no** | 1 |",
    ]


def test_health_must_be_good_and_soon() -> None:
    good = {"count": 9, "p50": 1.0, "p95": 1.0, "p99": 2.0, "worst": 250.0, "wrong": 0}
    shown = health_table({"good": good, "slow": {**good, "worst": 250.1}, "wrong": {**good, "wrong": 1}}).splitlines()
    assert [line.split("|")[-2].strip() for line in shown[2:]] == ["yes", "**no**", "**no**"]


def test_fair_shares_of_jobs_begun_together() -> None:
    alone = {"long": 60.0, "short": 30.0, "other": 30.0}
    assert {name: fair_share_s(alone, name) for name in alone} == {"long": 120.0, "short": 90.0, "other": 90.0}


class Fixed(Figure):
    name = "fixed"
    method = "By heart."

    def rows(self, raw: Raw) -> Sequence[Row]:
        return [paired_row("a figure", raw["ours"], "other", raw["theirs"])]

    def charts(self, raw: Raw) -> Sequence[Chart]:
        points = [(1.0, raw["ours"][0]), (64.0, raw["ours"][1])]
        return [Chart("picture", "A <chart>", "x", "y", [Series("a & b", points)], [("most", 9.0)], log_x=True)]

    def measure(self, bench: object) -> Raw:
        raise AssertionError("rendering measures nothing")


@pytest.mark.parametrize("quick", [False, True])
def test_the_page_is_made_of_what_was_kept(tmp_path: Path, quick: bool) -> None:
    health = {"a load": {"count": 9, "p50": 1.0, "p95": 1.0, "p99": 2.0, "worst": 3.0, "wrong": 0}}
    raw = {"ours": [1.0, 2.0], "theirs": [2.0, 4.0], "health": health, "notes": ["nobody was there"]}
    keep(tmp_path / "results" / "A machine", "fixed", raw, quick=quick, settings=["ASR_MODEL=tiny"])
    (tmp_path / "docs" / "benchmarks").mkdir(parents=True)
    (tmp_path / "docs" / "benchmarks" / "old.svg").touch()
    for _ in range(2):
        write_page(tmp_path / "results", tmp_path / "docs", [Fixed()])
    page = (tmp_path / "docs" / "BENCHMARKS.md").read_text(encoding="utf-8")
    for part in (
        "On A machine",
        "| a figure | 1.50 s | other | 3 s | 0.50 x |",
        "| a load | 9 |",
        "nobody",
        "By heart",
    ):
        assert part in page
    assert "ASR_MODEL=tiny" in page
    assert ("--quick" in page) is quick
    pictures = re.findall(r"\]\((.*\.svg)\)", page)
    assert [path.name for path in (tmp_path / "docs" / "benchmarks").iterdir()] == [Path(pictures[0]).name]
    drawing = ET.fromstring((tmp_path / "docs" / pictures[0]).read_text(encoding="utf-8"))  # noqa: S314
    texts = [text.text for text in drawing.iter("{http://www.w3.org/2000/svg}text")]
    assert {"A <chart>", "a & b", "most", "1", "64"} <= set(texts)


@pytest.mark.parametrize("points", [[], [(0.0, 0.0)], [(0.0, 5.0), (3.0, 0.001)], [(1.0, 1e6)]])
def test_every_point_is_inside_the_picture(points: list[tuple[float, float]]) -> None:
    drawing = svg(Chart("name", "title", "x", "y", [Series("series", points, "dots")]))
    places = re.findall(r'cx="(.*?)" cy="(.*?)"', drawing)
    assert len(places) == len(points)
    assert all(64 <= float(x) <= 740 and 58 <= float(y) <= 314 for x, y in places)


def test_what_is_kept_is_all_that_a_row_is_made_of(tmp_path: Path) -> None:
    keep(tmp_path, "fixed", {"ours": [1.0], "theirs": [2.0]}, quick=False, settings=[])
    kept = json.loads((tmp_path / "fixed.json").read_text(encoding="utf-8"))
    assert kept["raw"] == {"ours": [1.0], "theirs": [2.0]}
    assert kept["machine"]["cores"].isdecimal()


def test_each_benchmark_has_a_name_of_its_own_and_says_how_it_measures() -> None:
    assert len({figure.name for figure in FIGURES}) == len(FIGURES) == 12
    assert all(len(figure.method) > 40 for figure in FIGURES)
