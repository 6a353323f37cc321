"""Measure everything that the project holds itself to, and write the page that shows it.

    python -m benchmarks                          everything; an hour or so
    python -m benchmarks --only clip film         some of it; the rest of the page stays
    python -m benchmarks --render                 the page again, from what is kept
    python -m benchmarks --peer NAME=http://host:port#model=...    with another server beside ours

Raw results are kept in ``.cache/benchmarks/results/<--name>``. Let nothing else run on the machine.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.bench import WHISPER_PYTHON, Bench
from benchmarks.figures import FIGURES
from benchmarks.material import CACHE, ROOT
from benchmarks.page import table, write_page
from benchmarks.results import keep
from benchmarks.wire import Target

NAMES = [figure.name for figure in FIGURES]


def main() -> None:
    """Measure what is asked for and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, metavar="FIGURE", help=", ".join(NAMES))
    parser.add_argument("--quick", action="store_true", help="small sizes, to see whether everything works")
    parser.add_argument("--runs", type=int, help="pairs of each figure, in place of its own number")
    parser.add_argument("--render", action="store_true", help="measure nothing")
    parser.add_argument("--name", default="two CPU cores", help="the machine, as the page calls it (%(default)s)")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=URL", help="a server to compare with")
    parser.add_argument("--asr-env", action="append", default=[], metavar="NAME=VALUE", help="a setting")
    parser.add_argument("--tts-env", action="append", default=[], metavar="NAME=VALUE", help="a setting")
    parser.add_argument("--whisper-python", type=Path, default=WHISPER_PYTHON, help="one that has openai-whisper")
    parser.add_argument("--results", type=Path, default=CACHE / "results", help="where raw results are kept")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="where the page goes")
    arguments = parser.parse_args()
    try:
        bench = Bench(
            quick=arguments.quick,
            runs=arguments.runs,
            asr_env=_pairs(arguments.asr_env),
            tts_env=_pairs(arguments.tts_env),
            peers={name: Target.parse(url) for name, url in _pairs(arguments.peer).items()},
            whisper_python=arguments.whisper_python,
        )
    except ValueError as error:
        parser.error(str(error))
    folder = arguments.results / arguments.name
    settings = [*arguments.asr_env, *arguments.tts_env]
    for figure in () if arguments.render else FIGURES:
        if figure.name in arguments.only:
            print(f"{figure.name} ...", flush=True)
            started_at = time.monotonic()
            raw = figure.measure(bench)
            keep(folder, figure.name, raw, quick=bench.quick, settings=settings)
            print(f"{table(figure.rows(raw))}\n{figure.name}: {time.monotonic() - started_at:.0f} s\n", flush=True)
    write_page(arguments.results, arguments.docs, FIGURES)


def _pairs(texts: Sequence[str]) -> dict[str, str]:
    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise ValueError(f"{text}: use NAME=VALUE")
        pairs[name] = value
    return pairs


if __name__ == "__main__":
    main()
