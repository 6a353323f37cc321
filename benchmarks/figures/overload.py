"""Ten times more requests than can be served."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from tests.support.serving import ServiceProcess

from benchmarks.bench import Bench
from benchmarks.clients import HangUp, StreamingUpload, Upload
from benchmarks.figure import Figure
from benchmarks.figures.clients import CLIENTS, clips_per_s
from benchmarks.material import clips_of_three_seconds, film
from benchmarks.plots import Chart, Series
from benchmarks.results import Asked, Raw, Row
from benchmarks.traffic import Load, Poisson, Share, run_load
from benchmarks.watch import health_of, memory_of
from benchmarks.wire import Target

TIMES = 10
REFUSED_WITHIN_S = 1.0
MIX = {"clip": 0.7, "stream": 0.15, "hangup": 0.149, "film": 0.001}
"""Parts of the arrivals when they are mixed."""


class Overload(Figure):
    """What becomes of requests, and of the service, when far too many come."""

    name = "overload"
    method = (
        f"First the best rate: {CLIENTS} clients with clips in a closed loop. Then clips arrive at random moments "
        f"(Poisson) at {TIMES} times that rate for two minutes; then the same with several kinds of client: clips "
        f"({MIX['clip']:.0%}), streamed clips ({MIX['stream']:.0%}), clients that hang up within two seconds "
        f"({MIX['hangup']:.0%}), files of a minute ({MIX['film']:.1%}). Served a second counts the answers that "
        f"came within the two minutes. *At once* is taken as {REFUSED_WITHIN_S:g} s at the 99th percentile, from "
        "the moment a request was due. The generator shares the cores with the service. Memory is flat when the "
        "last quarter's mean is that of the second quarter, give or take 5 %."
    )

    def measure(self, bench: Bench) -> Raw:
        seconds = bench.pick(120.0, 6.0)
        clips = [path.read_bytes() for path in clips_of_three_seconds()]
        minute = [film(60).path.read_bytes()]
        with bench.asr() as service:
            target = Target.parse(service.base_url)
            client = Upload(target, clips)
            clips_per_s(client, CLIENTS, 2.0)
            best_per_s = max(clips_per_s(client, CLIENTS, bench.pick(20.0, 4.0)) for _ in range(bench.rounds(3)))
            rate = TIMES * best_per_s
            kinds = {
                "clip": client,
                "stream": StreamingUpload(target, clips),
                "hangup": HangUp(target, clips),
                "film": Upload(target, minute),
            }
            mixed = [Share(kind, kinds[kind], Poisson(part * rate)) for kind, part in MIX.items()]
            phases = {
                "clips": _flood(service, [Share("clip", client, Poisson(rate))], seconds),
                "several kinds": _flood(service, mixed, seconds),
            }
        health = {f"overload, {name}": phase.pop("health") for name, phase in phases.items()}
        return {"best_per_s": best_per_s, "phases": phases, "health": health}

    def rows(self, raw: Raw) -> Sequence[Row]:
        rows = []
        for name, phase in raw["phases"].items():
            kinds = phase["kinds"].values()
            title = f"overload ({name})"
            failed, sent = (sum(kind[count] for kind in kinds) for count in ("failed", "sent"))
            none = Asked("at most", 0, of="ours", unit="")
            rows.append(Row(f"{title}, neither answered nor refused", failed, "", f"{sent} requests", asked=none))
            refusals = [1000 * kind["refusal_s"]["p99"] for kind in kinds if kind["refused"]]
            soon = Asked("at most", 1000 * REFUSED_WITHIN_S, of="ours", unit="ms")
            if refusals:
                rows.append(Row(f"{title}, time to a refusal, p99", max(refusals), "ms", asked=soon))
            early, late = _quarters(phase["memory_mb"])
            flat = Asked("at most", 1.05)
            rows.append(Row(f"{title}, memory in the last quarter", late, "MB", "second", early, late / early, flat))
        served = raw["phases"]["clips"]["kinds"]["clip"]["served_per_s"]
        best = raw["best_per_s"]
        asked = Asked("at least", 0.9)
        return [Row("overload (clips), served a second", served, "/s", "best rate", best, served / best, asked), *rows]

    def charts(self, raw: Raw) -> Sequence[Chart]:
        phases = raw["phases"]
        fates = [Series(fate, phases["clips"]["per_second"][fate]) for fate in ("served", "refused")]
        levels = [("best rate", raw["best_per_s"])]
        memory = [Series(name, phase["memory_mb"]) for name, phase in phases.items()]
        return [
            Chart("overload", f"{TIMES} times too many clips", "seconds", "requests a second", fates, levels),
            Chart("overload_memory", "Memory of the service under overload", "seconds", "resident MB", memory),
        ]

    def details(self, raw: Raw) -> str:
        lines = [
            "| arrivals | kind | sent | served | refused | left | failed | statuses | p50, p99 | refused within |",
            "|---|---|---|---|---|---|---|---|---|---|",
        ]
        generator = []
        for name, phase in raw["phases"].items():
            for kind, of in phase["kinds"].items():
                counts = " | ".join(str(of[count]) for count in ("sent", "served", "refused", "left", "failed"))
                statuses = ", ".join(f"{count} x {status}" for status, count in sorted(of["statuses"].items()))
                times = f"{_times(of['latency_s'])} | {_times(of['refusal_s'])}"
                lines.append(f"| {name} | {kind} | {counts} | {statuses} | {times} |")
            cost = phase["generator"]
            generator.append(
                f"{cost['cpu_ms_per_request']:.1f} ms of processor time a request with {name}, "
                f"and sent them {cost['late_ms_p99']:.0f} ms late (p99)"
            )
        return "\n".join([*lines, "", f"The generator itself took {'; '.join(generator)}."])


def _flood(service: ServiceProcess, shares: Sequence[Share], seconds: float) -> dict[str, Any]:
    with health_of(service) as answers, memory_of(service) as memory:
        load = asyncio.run(run_load(shares, seconds))
    per_second = {fate: _per_second(load, fate) for fate in ("served", "refused")}
    return {**load.summary(), "per_second": per_second, "memory_mb": memory, "health": answers}


def _per_second(load: Load, fate: str) -> list[tuple[float, int]]:
    counts = [0] * (int(load.elapsed_s) + 1)
    for outcome in load.outcomes:
        if outcome.fate == fate:
            counts[int(outcome.at_s + outcome.total_s)] += 1
    return [(second + 0.5, count) for second, count in enumerate(counts)]


def _quarters(samples: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The mean of the second quarter and of the last one."""
    values = [value for _, value in samples]
    quarter = max(1, len(values) // 4)
    second, last = values[quarter : 2 * quarter] or values, values[-quarter:]
    return sum(second) / len(second), sum(last) / len(last)


def _times(spread: Mapping[str, float]) -> str:
    return f"{spread['p50']:.2f}, {spread['p99']:.2f} s" if spread["count"] else ""
