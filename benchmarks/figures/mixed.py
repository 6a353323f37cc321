"""Short clips while long files are transcribed, and the long files meanwhile."""

import asyncio
import statistics
from collections.abc import Mapping, Sequence

from benchmarks.bench import Bench, post
from benchmarks.clients import Client, Upload, text_of
from benchmarks.figure import Figure
from benchmarks.material import clips_of_three_seconds, film
from benchmarks.percentiles import percentile
from benchmarks.plots import Chart, Series
from benchmarks.results import Asked, Raw, Row
from benchmarks.traffic import Every, Load, Share, run_load
from benchmarks.watch import health_of
from benchmarks.wire import Target

EVERY_S = 1.0
LONGEST_S = 3600.0
SLACK = 1.1
"""A file may finish this much later than its fair share says: machines are noisy."""


class Mixed(Figure):
    """Clips and films at the same time."""

    name = "mixed"
    method = (
        "A clip each second (sent whatever became of the last) on an idle service; then a ten-minute and two "
        "five-minute files, each alone; the three together; the three together with a clip each second until the "
        "last has finished. *Fair share*: where all three get the same part of the machine, a five-minute file "
        "takes three times what it takes alone, and the ten-minute one what all three take; with the clips, what "
        "it took without, and the time of the clips that were answered meanwhile, each counted as long as it "
        f"takes on an idle service. {SLACK} times that is asked for."
    )

    def measure(self, bench: Bench) -> Raw:
        minute_s = bench.pick(60.0, 2.0)
        films = {
            "10 minutes": film(10 * minute_s),
            "5 minutes": film(5 * minute_s),
            "other 5 minutes": film(5 * minute_s, start_s=5 * minute_s),
        }
        rounds = []
        health = {}
        with bench.asr() as service:
            target = Target.parse(service.base_url)
            clips = Upload(target, [path.read_bytes() for path in clips_of_three_seconds()])
            uploads = {name: Upload(target, [long.path.read_bytes()]) for name, long in films.items()}
            text_of(post(clips))
            for _ in range(bench.rounds(2)):
                with health_of(service) as answers:
                    idle = asyncio.run(_clips(clips, bench.pick(30.0, 4.0)))
                health["clips only"] = answers
                alone = {name: post(upload).total_s for name, upload in uploads.items()}
                together, _ = asyncio.run(_together(uploads, None))
                with health_of(service) as answers:
                    with_clips, loaded = asyncio.run(_together(uploads, clips))
                assert loaded is not None
                health["three long files and clips"] = answers
                rounds.append(
                    {
                        "idle_s": _served(idle),
                        "loaded_s": _served(loaded),
                        "loaded_at_s": [outcome.at_s for outcome in loaded.outcomes],
                        "alone_s": alone,
                        "together_s": together,
                        "with_clips_s": with_clips,
                    }
                )
        return {"rounds": rounds, "health": health}

    def rows(self, raw: Raw) -> Sequence[Row]:
        rounds = raw["rounds"]
        most = Asked("at most", 3.0)
        loaded = [value for each in rounds for value in each["loaded_s"]]
        idle = [value for each in rounds for value in each["idle_s"]]
        title = "3 s clip while three long files are transcribed"
        rows = [
            _clip_row(f"{title}, p{share}", loaded, share, idle, other, most if share == 95 else None)
            for share, other in ((50, 50), (95, 95), (95, 50))
        ]
        for name in rounds[0]["alone_s"]:
            together = _median(rounds, "together_s", name)
            with_clips = _median(rounds, "with_clips_s", name)
            alone = {other: _median(rounds, "alone_s", other) for other in rounds[0]["alone_s"]}
            share_s = fair_share_s(alone, name)
            answered = statistics.median(
                sum(
                    at_s + took_s <= each["with_clips_s"][name]
                    for at_s, took_s in zip(each["loaded_at_s"], each["loaded_s"], strict=True)
                )
                for each in rounds
            )
            with_share_s = together + answered * percentile(idle, 0.5)
            asked = Asked("at most", SLACK)
            runs = len(rounds)
            rows += [
                Row(
                    f"{name}, three files together",
                    together,
                    "s",
                    "fair share",
                    share_s,
                    together / share_s,
                    asked,
                    runs,
                ),
                Row(
                    f"{name}, three files and clips",
                    with_clips,
                    "s",
                    f"without, and {answered:.0f} clips",
                    with_share_s,
                    with_clips / with_share_s,
                    asked,
                    runs,
                ),
            ]
        return rows

    def charts(self, raw: Raw) -> Sequence[Chart]:
        last = raw["rounds"][-1]
        loaded = list(zip(last["loaded_at_s"], last["loaded_s"], strict=True))
        idle = [(EVERY_S * number, value) for number, value in enumerate(last["idle_s"])]
        series = [Series("while three long files are transcribed", loaded, "dots"), Series("idle", idle, "dots")]
        levels = [("3 x the idle p95", 3 * percentile(last["idle_s"], 0.95))]
        return [Chart("mixed", "Latency of a 3 s clip", "sent at, s", "seconds", series, levels)]


def fair_share_s(alone_s: Mapping[str, float], name: str) -> float:
    """When one of several jobs begun together ends where all that are left always get the same part of the machine."""
    return sum(min(other, alone_s[name]) for other in alone_s.values())


def _clip_row(
    title: str, loaded: Sequence[float], share: int, idle: Sequence[float], other: int, asked: Asked | None
) -> Row:
    ours, reference = 1000 * percentile(loaded, share / 100), 1000 * percentile(idle, other / 100)
    against = f"the same clip idle, p{other}"
    return Row(title, ours, "ms", against, reference, ours / reference, asked, len(loaded))


def _median(rounds: Sequence[Raw], part: str, name: str) -> float:
    values: list[float] = [each[part][name] for each in rounds]
    return statistics.median(values)


def _served(load: Load) -> list[float]:
    served = [outcome.total_s for outcome in load.outcomes if outcome.fate == "served"]
    if len(served) < len(load.outcomes):
        raise RuntimeError(f"clips were not served: {load.summary()}")
    return served


async def _clips(clips: Client, seconds: float, until: asyncio.Event | None = None) -> Load:
    return await run_load([Share("clip", clips, Every(EVERY_S))], seconds, until=until)


async def _together(uploads: Mapping[str, Client], clips: Client | None) -> tuple[dict[str, float], Load | None]:
    """How long each file took, and the clips that were sent until the last one ended."""
    ended = asyncio.Event()
    sending = asyncio.create_task(_clips(clips, LONGEST_S, ended)) if clips else None
    replies = await asyncio.gather(*(upload.request(0) for upload in uploads.values()))
    ended.set()
    for reply in replies:
        text_of(reply)
    times = {name: reply.total_s for name, reply in zip(uploads, replies, strict=True)}
    return times, await sending if sending else None
