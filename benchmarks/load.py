"""The load generator as a command: several kinds of client at once, on any server with OpenAI's audio API.

    python -m benchmarks.load --url http://localhost:5001 --kind clip=5/s --kind film=2 --seconds 60

``clip=5/s`` sends five requests a second on average, at random moments (Poisson), whatever becomes of those before;
``clip=every2s`` sends one each two seconds; ``film=2`` is two clients that each send the next when they have an answer.
The time of an open request counts from the moment at which it was due.
"""

import argparse
import asyncio
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.support.sentences import SENTENCES

from benchmarks.clients import Client, HangUp, SlowReader, Speaker, StreamingUpload, Upload
from benchmarks.material import clips_of_three_seconds, film
from benchmarks.traffic import Arrivals, Closed, Every, Poisson, Share, run_load
from benchmarks.wire import Target

FILM_S = 600.0
TEXTS = [" ".join(SENTENCES[start : start + 5]) for start in range(0, len(SENTENCES) - 4, 5)]
_ARRIVALS = re.compile(r"(?P<rate>[\d.]+)/s|every(?P<each>[\d.]+)s|(?P<clients>\d+)")


def main() -> None:
    """Run a load and print what became of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True, help="http://host:port, with #model=...&voice=...&key=... if need be")
    parser.add_argument("--speech-url", help="where speech is made (default: --url)")
    parser.add_argument("--kind", action="append", required=True, metavar="KIND=ARRIVALS", help=", ".join(KINDS))
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clip", type=Path, help="send this short file (default: recordings of three seconds)")
    parser.add_argument("--film", type=Path, help="send this long file (default: ten minutes of English)")
    parser.add_argument("--json", action="store_true", help="print everything, as JSON")
    arguments = parser.parse_args()
    try:
        target = Target.parse(arguments.url)
        speech = Target.parse(arguments.speech_url) if arguments.speech_url else target
        asked = [parse_kind(kind) for kind in arguments.kind]
    except ValueError as error:
        parser.error(str(error))
    short = (
        [arguments.clip.read_bytes()] if arguments.clip else [clip.read_bytes() for clip in clips_of_three_seconds()]
    )

    def long() -> list[bytes]:
        return [(arguments.film or film(FILM_S).path).read_bytes()]

    shares = [
        Share(kind, KINDS[kind](speech if kind in SPOKEN else target, long() if kind == "film" else short), arrivals)
        for kind, arrivals in asked
    ]
    summary = asyncio.run(run_load(shares, arguments.seconds, seed=arguments.seed)).summary()
    print(json.dumps(summary, indent=1) if arguments.json else table(summary))


KINDS: Mapping[str, Callable[[Target, list[bytes]], Client]] = {
    "clip": Upload,
    "film": Upload,
    "stream": StreamingUpload,
    "hangup": HangUp,
    "speech": lambda target, _: Speaker(target, TEXTS),
    "slow": lambda target, _: SlowReader(target, TEXTS),
}
SPOKEN = ("speech", "slow")


def parse_kind(text: str) -> tuple[str, Arrivals]:
    """``clip=5/s``, ``clip=every2s`` or ``clip=3``.

    Raises:
        ValueError: it is none of these.
    """
    kind, _, arrivals = text.partition("=")
    found = _ARRIVALS.fullmatch(arrivals)
    if kind not in KINDS or not found:
        raise ValueError(f"{text}: use KIND=5/s, KIND=every2s or KIND=3, where KIND is one of {', '.join(KINDS)}")
    if found["rate"]:
        return kind, Poisson(float(found["rate"]))
    return kind, Every(float(found["each"])) if found["each"] else Closed(int(found["clients"]))


def table(summary: Mapping[str, Any]) -> str:
    """A summary as lines for people."""
    lines = [
        "kind       sent served refused left failed   served/s    p50 s    p95 s    p99 s  first byte p50 s  statuses"
    ]
    for kind, of in summary["kinds"].items():
        times = [of["latency_s"].get(name) for name in ("p50", "p95", "p99")] + [of["first_byte_s"].get("p50")]
        shown = [f"{'-':>8}" if value is None else f"{value:8.3f}" for value in times]
        lines.append(
            f"{kind:9} {of['sent']:5} {of['served']:6} {of['refused']:7} {of['left']:4} {of['failed']:6} "
            f"{of['served_per_s']:10.2f} {' '.join(shown[:3])} {shown[3]:>17}  "
            + _counts({**of["statuses"], **of["errors"]})
        )
        if of["refused"]:
            lines.append(
                f"          refused within p50 {of['refusal_s']['p50']:.3f} s, p99 {of['refusal_s']['p99']:.3f} s"
            )
    generator = summary["generator"]
    lines.append(
        f"generator: {generator['cpu_ms_per_request']:.2f} ms of processor time a request, "
        f"{generator['late_ms_p99']:.1f} ms late (p99)"
    )
    return "\n".join(lines)


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} x {what}" for what, count in counts.items())


if __name__ == "__main__":
    main()
