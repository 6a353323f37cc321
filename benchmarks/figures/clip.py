"""One short clip on an idle service."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.bench import Bench, in_turn, post, usable_peers
from benchmarks.clients import Upload, text_of
from benchmarks.figure import Figure
from benchmarks.material import clips_of_three_seconds
from benchmarks.reference import Reference
from benchmarks.results import Asked, Raw, Row, paired_row
from benchmarks.wire import Target

LANGUAGES: Mapping[str, str | None] = {"language not given": None, "language given": "en"}


class ClipLatency(Figure):
    """The time of one clip over HTTP."""

    name = "clip"
    method = (
        "Two recordings of 2.9 and 3.0 s; a run is the mean of both. Ours: from before the connection is made to "
        "the last byte of the JSON, on a new connection. faster-whisper: `WhisperModel.transcribe(path, "
        "beam_size=5)` in a process that does nothing else, with as many threads as there are cores. Neither "
        "works while the other does; half a second of rest before each."
    )

    def measure(self, bench: Bench) -> Raw:
        paths = clips_of_three_seconds()
        data = [path.read_bytes() for path in paths]
        taken = {}
        with bench.asr() as service, contextlib.ExitStack() as stack:
            reference = stack.enter_context(bench.faster_whisper(service))
            other = bench.openai_whisper(service)
            whisper = None if other is None else stack.enter_context(other)
            peers, notes = usable_peers(bench.peers, lambda target: Upload(target, data))
            for name, language in LANGUAGES.items():
                fields = {"language": language} if language else {}
                sides = {
                    "ours": over_http(Target.parse(service.base_url), data, fields),
                    "faster-whisper": in_process(reference, paths, language),
                }
                sides |= {peer: over_http(bench.peers[peer], data, fields) for peer in peers}
                if whisper is not None:
                    sides["openai-whisper"] = in_process(whisper, paths, language)
                taken[name] = in_turn(sides, bench.rounds(10))
        if whisper is None:
            notes.append(
                "openai-whisper was left out: it needs the environment of `scripts/test.sh` (.venv-torch) and the "
                "checkpoint that its tests make"
            )
        return {"seconds": taken, "notes": notes}

    def rows(self, raw: Raw) -> Sequence[Row]:
        rows = []
        for condition, taken in raw["seconds"].items():
            ours = [1000 * value for value in taken["ours"]]
            for side, values in taken.items():
                if side != "ours":
                    asked = Asked("at most", 0.45) if side == "faster-whisper" else None
                    theirs = [1000 * value for value in values]
                    title = f"one 3 s clip, HTTP latency ({condition})"
                    rows.append(paired_row(title, ours, side, theirs, unit="ms", asked=asked))
        return rows


def over_http(target: Target, data: Sequence[bytes], fields: Mapping[str, str]) -> Callable[[], float]:
    """Measures the mean time of these uploads."""
    client = Upload(target, data, fields)

    def measure() -> float:
        replies = [post(client, number) for number in range(len(data))]
        for reply in replies:
            text_of(reply)
        return sum(reply.total_s for reply in replies) / len(replies)

    return measure


def in_process(reference: Reference, paths: Sequence[Path], language: str | None) -> Callable[[], float]:
    """Measures the mean time of these files."""
    return lambda: reference.transcribe(paths, language=language).seconds / len(paths)
