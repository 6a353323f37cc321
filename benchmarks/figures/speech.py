"""Ten people who want to hear something at once."""

import asyncio
import statistics
import time
from collections.abc import Sequence

from tests.support.sentences import SENTENCES

from benchmarks.bench import REST_S, Bench, post, usable_peers
from benchmarks.clients import Client, Reply, Speaker
from benchmarks.figure import Figure
from benchmarks.results import Asked, Raw, Row, paired_row
from benchmarks.watch import health_of
from benchmarks.wire import Target

LISTENERS = 10
TEXT_SENTENCES = 5
FORMATS = ("pcm", "mp3")
OURS = "ours"


class ConcurrentSpeech(Figure):
    """Time to the first byte of ten concurrent requests."""

    name = "speech"
    method = (
        f"{LISTENERS} requests of {TEXT_SENTENCES} sentences each, sent at the same moment, each another text; "
        "against the same request alone, taken in turn. The whole, too, against Piper's own loop "
        "(`PiperVoice.synthesize`) over the same fifty sentences, which makes neither another sample rate nor "
        "MP3."
    )

    def measure(self, bench: Bench) -> Raw:
        listeners = bench.pick(LISTENERS, 3)
        texts = [
            " ".join(SENTENCES[(2 * listener + number) % len(SENTENCES)] for number in range(TEXT_SENTENCES))
            for listener in range(listeners)
        ]
        taken: dict[str, dict[str, dict[str, list[float]]]] = {}
        piper_s = []
        with bench.tts() as service, bench.piper(service) as piper, health_of(service) as answers:
            peers, notes = usable_peers(bench.peers, lambda target: Speaker(target, texts))
            targets = {OURS: Target.parse(service.base_url), **{name: bench.peers[name] for name in peers}}
            for name, target in targets.items():
                taken[name] = {}
                for audio_format in FORMATS:
                    client = Speaker(target, texts, audio_format)
                    post(client)
                    taken[name][audio_format] = _pairs(client, listeners, bench.rounds(5))
        # After the probe has ended: Piper's loop has the machine for itself.
        with bench.tts() as service, bench.piper(service) as piper:
            piper.speak(texts[:1])
            for _ in range(bench.rounds(5)):
                time.sleep(REST_S)
                piper_s.append(piper.speak(texts).seconds)
        health = {f"{listeners} speech requests": answers}
        return {"taken": taken, "piper_s": piper_s, "listeners": listeners, "health": health, "notes": notes}

    def rows(self, raw: Raw) -> Sequence[Row]:
        rows = []
        count = raw["listeners"]
        for name, formats in raw["taken"].items():
            label = "" if name == OURS else f"{name}: "
            for audio_format, taken in formats.items():
                first = [1000 * value for value in taken["together_first_s"]]
                alone = [1000 * value for value in taken["alone_first_s"]]
                title = f"{label}{count} concurrent speech requests, median time to first byte ({audio_format})"
                asked = Asked("at most", 4.0) if name == OURS else None
                rows.append(paired_row(title, first, "one alone", alone, unit="ms", asked=asked))
        for audio_format, taken in raw["taken"][OURS].items():
            title = f"{count} concurrent speech requests, all of it ({audio_format})"
            rows.append(paired_row(title, taken["together_total_s"], "Piper's own loop", raw["piper_s"]))
        return rows


def _pairs(client: Client, listeners: int, runs: int) -> dict[str, list[float]]:
    taken: dict[str, list[float]] = {"alone_first_s": [], "together_first_s": [], "together_total_s": []}
    for run in range(runs):
        time.sleep(REST_S)
        taken["alone_first_s"].append(_first_byte_s(post(client, run)))
        time.sleep(REST_S)
        replies = asyncio.run(_together(client, listeners))
        taken["together_first_s"].append(statistics.median(_first_byte_s(reply) for reply in replies))
        taken["together_total_s"].append(max(reply.total_s for reply in replies))
    return taken


async def _together(client: Client, listeners: int) -> Sequence[Reply]:
    return await asyncio.gather(*(client.request(number) for number in range(listeners)))


def _first_byte_s(reply: Reply) -> float:
    if reply.status != 200 or reply.first_byte_s is None:
        raise RuntimeError(f"answered {reply.status}: {reply.body[:500]!r}")
    return reply.first_byte_s
