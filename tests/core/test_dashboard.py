"""The Grafana dashboard asks for what the services export, and shows all of it."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import SettingsFactory
from tests.support.engines import FakeAsrEngine, FakeTtsEngine
from tests.support.serving import client_of
from voice_stack.asr.app import create_app as create_asr
from voice_stack.tts.app import create_app as create_tts

pytestmark = pytest.mark.anyio

DASHBOARD: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "deploy/grafana/voice-stack.json").read_text(encoding="utf-8")
)
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
TARGETS: list[dict[str, Any]] = [target for panel in PANELS for target in panel.get("targets", [])]
EXPRESSIONS: list[str] = [target["expr"] for target in TARGETS]

SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}
SCRAPED = {"instance", "job", "le"}  # labels that Prometheus adds, and that of buckets
ONLY_ON_LINUX = () if sys.platform == "linux" else ("process_",)

_LISTS = re.compile(r"\b(?:\w+\s+by|on|group_left)\s*\(([^)]*)\)")
_NO_METRICS = re.compile(rf"\{{[^}}]*\}}|\[[^\]]*\]|{_LISTS.pattern}|\w+\s*(?=\()")


def metrics_in(expression: str) -> set[str]:
    """The metrics that a PromQL expression names: what is left without functions, labels and ranges."""
    return set(re.findall(r"[a-z_]\w*", _NO_METRICS.sub(" ", expression)))


def labels_in(expression: str) -> Iterator[str]:
    """The labels that it matches or groups by."""
    for matchers in re.findall(r"\{([^}]*)\}", expression):
        yield from re.findall(r"(\w+)\s*[=!]", matchers)
    for names in _LISTS.findall(expression):
        yield from re.findall(r"\w+", names)


@pytest.fixture
async def families(make_settings: SettingsFactory) -> list[Metric]:
    """What both services export once something has happened."""
    found: list[Metric] = []
    for app in (create_asr(make_settings(), FakeAsrEngine()), create_tts(make_settings(), FakeTtsEngine())):
        async with client_of(app) as client:
            for path in ("/v1/models", "/nowhere"):
                await client.get(path)
            found += text_string_to_metric_families((await client.get("/metrics")).text)
    return found


def names_of(family: Metric) -> set[str]:
    return {family.name + suffix for suffix in SUFFIXES.get(family.type, ("",))}


async def test_every_metric_that_the_dashboard_names_is_exported(families: list[Metric]) -> None:
    exported = set().union(*map(names_of, families))
    named = set().union(*map(metrics_in, EXPRESSIONS))
    variables = re.findall(r"label_values\((\w+)", json.dumps(DASHBOARD["templating"]))
    assert variables
    missing = {name for name in {*named, *variables} - exported if not name.startswith(ONLY_ON_LINUX)}
    assert missing == set()
    assert len(named) > 20


async def test_every_label_that_the_dashboard_names_is_exported(families: list[Metric]) -> None:
    exported = {label for family in families for sample in family.samples for label in sample.labels} | SCRAPED
    assert {label for expression in EXPRESSIONS for label in labels_in(expression)} <= exported


async def test_every_metric_of_ours_is_on_the_dashboard(families: list[Metric]) -> None:
    named = set().union(*map(metrics_in, EXPRESSIONS))
    ours = [family for family in families if family.name.startswith("voice_stack_")]
    assert len(ours) > 30
    assert [family.name for family in ours if not names_of(family) & named] == []


def test_every_panel_has_its_own_id_and_place_and_asks_the_chosen_data_source() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in PANELS]
    assert len(set(places)) == len(places)
    assert {target["datasource"]["uid"] for target in TARGETS} == {"${datasource}"}
    assert [panel["title"] for panel in PANELS if panel["type"] == "row"] == [
        "Traffic",
        "Latency",
        "Queue and batches",
        "Audio and real-time factor",
        "Model and memory",
        "Sessions over WebSockets",
    ]


@pytest.mark.parametrize(
    ("expression", "metrics"),
    [
        ('sum by (a, b) (rate(x_total{c="d e"}[$__rate_interval]))', {"x_total"}),
        ("histogram_quantile(0.5, sum by (le) (rate(x_bucket[5m]))) / y", {"x_bucket", "y"}),
        ("x * on (job) group_left (service) group by (job, service) (y)", {"x", "y"}),
    ],
)
def test_metrics_are_found_in_expressions(expression: str, metrics: set[str]) -> None:
    assert metrics_in(expression) == metrics
