"""What an idle service gives back."""

import time
from collections.abc import Sequence

import httpx
from tests.support.serving import ServiceProcess, wait_until

from benchmarks.bench import Bench, post
from benchmarks.clients import Upload, text_of
from benchmarks.figure import Figure
from benchmarks.material import clips_of_three_seconds, film
from benchmarks.plots import Chart, Series
from benchmarks.results import Asked, Raw, Row
from benchmarks.watch import memory_of
from benchmarks.wire import Target

TTL_S = 5
PATIENCE_S = 20.0


class IdleMemory(Figure):
    """Resident memory before the first load, with the model, and after it has been unloaded."""

    name = "memory"
    method = (
        f"A service with `MODEL_TTL_S={TTL_S}`. *Before the first load*: its resident memory (VmRSS) when "
        "`/health` first answers, with 503: the port is open and the load has only just begun, so what is "
        "imported for the load is not counted in, which is the strictest reading. Then clips and a minute of "
        "speech, and a wait until `/healthz` says that no model is loaded; three times over, and the largest "
        "counts. The first clip after an unload waits for the model: its time is shown."
    )

    def measure(self, bench: Bench) -> Raw:
        data = [path.read_bytes() for path in clips_of_three_seconds()]
        notes, loaded_mb, unloaded_mb, reload_s = [], [], [], []
        with (
            bench.asr_starting(MODEL_TTL_S=str(TTL_S)) as service,
            memory_of(service, every_s=0.1) as memory,
        ):
            status = _first_status(service)
            before_mb = service.memory_mb()
            if status != 503:
                notes.append(f"the first answer of /health was {status}: the model was loaded before it")
            wait_until(lambda: bool(service.health()["loaded"]), 120)
            clips = Upload(Target.parse(service.base_url), data)
            long = Upload(Target.parse(service.base_url), [film(60).path.read_bytes()])
            for _ in range(bench.pick(3, 1)):
                first = post(clips)
                text_of(first)
                reload_s.append(first.total_s)
                text_of(post(long))
                loaded_mb.append(service.memory_mb())
                if not _unloaded(service):
                    notes.append(f"the model was still loaded {PATIENCE_S:g} s after MODEL_TTL_S")
                    break
                time.sleep(0.5)
                unloaded_mb.append(service.memory_mb())
        return {
            "before_mb": before_mb,
            "loaded_mb": loaded_mb,
            "unloaded_mb": unloaded_mb,
            "first_clip_s": reload_s,
            "trace": memory,
            "notes": notes,
        }

    def rows(self, raw: Raw) -> Sequence[Row]:
        before = raw["before_mb"]
        against = "before the first load"
        rows = [Row("resident memory with the model", max(raw["loaded_mb"]), "MB", against, before)]
        if raw["unloaded_mb"]:
            after = max(raw["unloaded_mb"])
            asked = Asked("at most", 60, of="difference", unit="MB")
            title = "resident memory after idle unload"
            rows.append(Row(title, after, "MB", against, before, asked=asked, runs=len(raw["unloaded_mb"])))
        if raw["first_clip_s"][1:]:
            again, first = 1000 * max(raw["first_clip_s"][1:]), 1000 * raw["first_clip_s"][0]
            rows.append(Row("first clip after an unload", again, "ms", "with the model loaded", first, again / first))
        return rows

    def charts(self, raw: Raw) -> Sequence[Chart]:
        levels = [("before the first load + 60 MB", raw["before_mb"] + 60)]
        series = [Series("service", raw["trace"])]
        title = f"Memory of a service that unloads its model after {TTL_S} s"
        return [Chart("memory", title, "seconds since its start", "resident MB", series, levels)]


def _first_status(service: ServiceProcess) -> int:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and service.process.poll() is None:
        try:
            return httpx.get(f"{service.base_url}/health", timeout=60).status_code
        except httpx.TransportError:
            time.sleep(0.005)
    raise RuntimeError(f"the service never answered:\n{service.log}")


def _unloaded(service: ServiceProcess) -> bool:
    deadline = time.monotonic() + TTL_S + PATIENCE_S
    while service.health()["loaded"]:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
