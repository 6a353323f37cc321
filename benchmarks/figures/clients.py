"""Many clients with short clips."""

import asyncio
from collections.abc import Callable, Sequence

from benchmarks.bench import Bench, in_turn, usable_peers
from benchmarks.clients import Client, Upload
from benchmarks.figure import Figure
from benchmarks.material import clips_of_three_seconds
from benchmarks.plots import Chart, Series
from benchmarks.results import Asked, Raw, Row, paired_row
from benchmarks.traffic import Closed, Share, run_load
from benchmarks.watch import health_of
from benchmarks.wire import Target

CLIENTS = 16
STEPS = (1, 2, 4, 8, 16, 32, 64)


class ManyClients(Figure):
    """Clips a second with 16 clients."""

    name = "clients"
    method = (
        f"{CLIENTS} clients, each sending a 3 s clip (language not given) when it has the answer to the last; "
        "clips by the time until the last answer. faster-whisper transcribes the same clips one after the other."
    )

    def measure(self, bench: Bench) -> Raw:
        seconds = bench.pick(20.0, 3.0)
        paths = clips_of_three_seconds()
        data = [path.read_bytes() for path in paths]
        health = []
        with bench.asr() as service, bench.faster_whisper(service) as reference:
            own = Upload(Target.parse(service.base_url), data)
            peers, notes = usable_peers(bench.peers, lambda target: Upload(target, data))

            def ours() -> float:
                with health_of(service) as answers:
                    rate = clips_per_s(own, CLIENTS, seconds)
                health.append(answers)
                return rate

            repeats = max(1, round(seconds / 2))

            def one_after_the_other() -> float:
                return repeats * len(paths) / reference.transcribe(paths * repeats).seconds

            sides = {"ours": ours, "faster-whisper": one_after_the_other}
            sides |= {name: _rate_of(client, CLIENTS, seconds) for name, client in peers.items()}
            rates = in_turn(sides, bench.rounds(3))
        return {"per_s": rates, "health": {f"{CLIENTS} clients with clips": _worst(health)}, "notes": notes}

    def rows(self, raw: Raw) -> Sequence[Row]:
        title = f"{CLIENTS} clients with 3 s clips, clips a second"
        names = {"faster-whisper": "faster-whisper, one after the other"}
        asked = {"faster-whisper": Asked("at least", 4.0)}
        return [
            paired_row(title, raw["per_s"]["ours"], names.get(side, side), values, unit="/s", asked=asked.get(side))
            for side, values in raw["per_s"].items()
            if side != "ours"
        ]


class Scaling(Figure):
    """Clips a second by how many clients there are."""

    name = "scaling"
    method = f"The same closed loop with {STEPS[0]} to {STEPS[-1]} clients: what batches gain."

    def measure(self, bench: Bench) -> Raw:
        data = [path.read_bytes() for path in clips_of_three_seconds()]
        with bench.asr() as service, health_of(service) as answers:
            client = Upload(Target.parse(service.base_url), data)
            clips_per_s(client, 1, 1.0)
            steps = bench.pick(STEPS, (1, 8))
            rates = {str(clients): clips_per_s(client, clients, bench.pick(15.0, 3.0)) for clients in steps}
        return {"per_s": rates, "health": {f"{steps[0]} to {steps[-1]} clients": answers}}

    def rows(self, raw: Raw) -> Sequence[Row]:
        alone = raw["per_s"]["1"]
        most = max(raw["per_s"], key=lambda clients: float(raw["per_s"][clients]))
        best = raw["per_s"][most]
        return [Row(f"{most} clients with 3 s clips, clips a second", best, "/s", "one client", alone, best / alone)]

    def charts(self, raw: Raw) -> Sequence[Chart]:
        points = [(float(clients), rate) for clients, rate in raw["per_s"].items()]
        series = [Series("Voice Stack", points)]
        return [Chart("scaling", "3 s clips a second", "clients", "clips a second", series, log_x=True)]


def clips_per_s(client: Client, clients: int, seconds: float) -> float:
    """Requests served by the time that all of them took.

    Raises:
        RuntimeError: one was not served.
    """
    load = asyncio.run(run_load([Share("clip", client, Closed(clients))], seconds))
    served = load.served_s("clip")
    if len(served) < len(load.outcomes):
        raise RuntimeError(f"{len(load.outcomes) - len(served)} requests were not served: {load.summary()}")
    return len(served) / load.elapsed_s


def _rate_of(client: Client, clients: int, seconds: float) -> Callable[[], float]:
    return lambda: clips_per_s(client, clients, seconds)


def _worst(results: Sequence[dict[str, float]]) -> dict[str, float]:
    return max(results, key=lambda result: result["worst"])
