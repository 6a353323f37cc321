"""What Prometheus gets to read: state, numbers added up, and one answer for several processes."""

import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.conftest import SettingsFactory
from tests.support.counts import samples_in
from tests.support.engines import FakeTtsEngine
from tests.support.serving import client_of
from voice_stack.core.metrics import Metrics, Stopwatch
from voice_stack.tts.app import create_app

pytestmark = pytest.mark.anyio


async def test_metrics_need_a_key_where_keys_are_set(make_settings: SettingsFactory) -> None:
    async with client_of(create_app(make_settings(api_keys="key"), FakeTtsEngine())) as client:
        assert (await client.get("/metrics")).status_code == 401
        allowed = await client.get("/metrics", headers={"authorization": "Bearer key"})
        assert (allowed.status_code, allowed.headers["content-type"][:10]) == (200, "text/plain")


async def test_the_state_of_the_model_is_told_with_its_loads(make_settings: SettingsFactory) -> None:
    async with client_of(create_app(make_settings(), FakeTtsEngine())) as client:
        samples = samples_in((await client.get("/metrics")).text)
    states = {sample.labels["state"]: sample.value for sample in samples if sample.name == "voice_stack_model_state"}
    assert states.pop("ok") == 1
    assert {"loading", "failed", "stopping"} <= states.keys()
    assert set(states.values()) == {0}
    assert [sample.value for sample in samples if sample.name == "voice_stack_model_load_seconds_count"] == [1]


def test_what_queue_and_lifecycle_report_is_added_up() -> None:
    metrics = Metrics("asr")
    metrics.job_started("short", 0.25)
    metrics.job_refused("long")
    metrics.job_expired("urgent")
    metrics.batch_done(8, 24.0, 0.5)
    metrics.audio_done("in", 10.0, 2.0)
    metrics.audio_done("in", 0.0, 2.0)  # an empty upload has no real-time factor
    metrics.model_loaded(1.5)
    metrics.model_unloaded()
    changed = {
        (
            sample.name.removeprefix("voice_stack_"),
            *(sample.labels[key] for key in ("kind", "direction") if key in sample.labels),
        ): sample.value
        for sample in samples_in(metrics.exposition().decode())
        if sample.value and sample.name.startswith("voice_stack_") and not sample.name.endswith("_bucket")
    }
    assert changed == {
        ("queue_wait_seconds_count", "short"): 1,
        ("queue_wait_seconds_sum", "short"): 0.25,
        ("queue_refused_total", "long"): 1,
        ("queue_expired_total", "urgent"): 1,
        ("batch_size_count",): 1,
        ("batch_size_sum",): 8,
        ("batch_duration_seconds_count",): 1,
        ("batch_duration_seconds_sum",): 0.5,
        ("batch_audio_seconds_total",): 24,
        ("audio_seconds_total", "in"): 10,
        ("real_time_factor_count",): 1,
        ("real_time_factor_sum",): 0.2,
        ("model_load_seconds_count",): 1,
        ("model_load_seconds_sum",): 1.5,
        ("model_unloads_total",): 1,
    }


def test_the_time_that_a_reader_takes_is_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("time.perf_counter", lambda: now)

    def steps() -> Iterator[str | None]:
        nonlocal now
        for step in ("result", None, "result"):
            now += 1  # work
            yield step

    watch = Stopwatch()
    for step in watch.timed(steps):
        now += 10 if step is None else 100  # a pause of the job's own, or its reader's
    assert watch.seconds == 3 + 10


def test_steps_that_are_timed_end_when_they_are_abandoned() -> None:
    steps = (number for number in range(3))
    timed = Stopwatch().timed(lambda: steps)
    assert next(timed) == 0
    timed.close()
    assert list(steps) == []


def test_processes_on_one_port_answer_for_each_other_and_only_the_living_have_queues() -> None:
    program = """
import os, tempfile
with tempfile.TemporaryDirectory() as folder:
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    from voice_stack.core.lifecycle import State
    from voice_stack.core.metrics import Metrics
    metrics = Metrics("asr")
    done, hold = os.pipe(), os.pipe()
    for depth in (3, 5):
        child = os.fork()
        if not child:
            metrics.job_refused("short")
            metrics.take_stock(depth=depth, active=1, sessions=0, state=State.READY)
            os.write(done[1], b".")
            if depth == 3:
                os._exit(0)
            os.read(hold[0], 1)
            os._exit(0)
        os.read(done[0], 1)
        if depth == 3:
            os.waitpid(child, 0)
    metrics.take_stock(depth=0, active=0, sessions=0, state=State.LOADING)
    print(metrics.exposition().decode())
    os.write(hold[1], b".")
    os.waitpid(child, 0)
"""
    text = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    values = {
        (s.name.removeprefix("voice_stack_"), *re.findall(r"short|ok|loading", str(s.labels))): s.value
        for s in samples_in(text)
    }
    assert values["queue_refused_total", "short"] == 2
    assert values["queue_depth",] == 5
    assert (values["model_state", "ok"], values["model_state", "loading"]) == (1, 1)
    assert values["process_resident_memory_bytes",] > 2e6
    assert "pid=" not in text
