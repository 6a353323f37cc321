"""Ten minutes of speech, and what the service adds to its engine."""

from collections.abc import Callable, Sequence
from pathlib import Path

from tests.support.wer import english_word_error_rate

from benchmarks.bench import Bench, in_turn, post, usable_peers
from benchmarks.clients import Client, Upload, text_of
from benchmarks.figure import Figure
from benchmarks.material import film
from benchmarks.reference import Reference
from benchmarks.results import Asked, Raw, Row, paired_row
from benchmarks.wire import Target

FULL_S, QUICK_S = 600.0, 20.0
BATCH = 8
BATCHED = f"faster-whisper, batches of {BATCH}"
MOST_POINTS = 0.3

Texts = dict[str, str]


class Film(Figure):
    """The time and the errors of ten minutes over HTTP."""

    name = "film"
    method = (
        "Ten minutes of English (recordings and the packaged Piper voice, pauses of 0.15 to 6 s) as a WAV file, "
        "language not given. Against `WhisperModel.transcribe` with a beam of 5 and `BatchedInferencePipeline` "
        f"with batches of {BATCH}, each alone on the machine in its turn. Errors: words, after Whisper's English "
        "normaliser."
    )

    def measure(self, bench: Bench) -> Raw:
        long = film(bench.pick(FULL_S, QUICK_S))
        data = [long.path.read_bytes()]
        texts: Texts = {}
        with bench.asr() as service, bench.faster_whisper(service) as reference:
            peers, notes = usable_peers(bench.peers, lambda target: Upload(target, data))
            sides = {
                "ours": _over_http("ours", Upload(Target.parse(service.base_url), data), texts),
                "faster-whisper": _in_process("faster-whisper", reference, long.path, texts),
                BATCHED: _in_process(BATCHED, reference, long.path, texts, batch=BATCH),
            }
            sides |= {name: _over_http(name, client, texts) for name, client in peers.items()}
            seconds = in_turn(sides, bench.rounds(3))
        errors = {side: english_word_error_rate([long.transcript], [text]) for side, text in texts.items()}
        return {"seconds": seconds, "error_rates": errors, "minutes": long.duration_s / 60, "notes": notes}

    def rows(self, raw: Raw) -> Sequence[Row]:
        asked = {"faster-whisper": Asked("at most", 0.6), BATCHED: Asked("at most", 1.0)}
        ours = raw["seconds"]["ours"]
        others = [side for side in raw["seconds"] if side != "ours"]
        title = f"{raw['minutes']:.1f} minutes of speech"
        times = [
            paired_row(f"{title}, HTTP wall time", ours, side, raw["seconds"][side], asked=asked.get(side))
            for side in others
        ]
        return [*times, *(error_row(title, raw["error_rates"], side) for side in others)]


class Overhead(Figure):
    """The service against its own engine."""

    name = "overhead"
    method = (
        "The same ten minutes over HTTP, against the same engine with the same settings called in a process of "
        "its own: `engine.transcribe(decode_audio(file))`, both decoding the file. The difference is HTTP, the "
        "upload, the queue and JSON."
    )

    def measure(self, bench: Bench) -> Raw:
        long = film(bench.pick(FULL_S, QUICK_S))
        texts: Texts = {}
        with bench.asr() as service, bench.own_engine() as engine:
            client = Upload(Target.parse(service.base_url), [long.path.read_bytes()])
            sides = {
                "ours": _over_http("ours", client, texts),
                "engine": _in_process("engine", engine, long.path, texts),
            }
            seconds = in_turn(sides, bench.rounds(5))
        return {"seconds": seconds, "minutes": long.duration_s / 60}

    def rows(self, raw: Raw) -> Sequence[Row]:
        title = f"service overhead: {raw['minutes']:.1f} minutes of speech over HTTP"
        sides = raw["seconds"]
        asked = Asked("at most", 1.03)
        return [paired_row(title, sides["ours"], "the engine's own time", sides["engine"], asked=asked)]


def error_row(title: str, rates: dict[str, float], side: str) -> Row:
    """Our word error rate beside that of another."""
    asked = Asked("at most", MOST_POINTS, of="difference", unit="points") if side == "faster-whisper" else None
    return Row(f"{title}, word error rate", 100 * rates["ours"], "%", side, 100 * rates[side], asked=asked)


def _over_http(name: str, client: Client, texts: Texts) -> Callable[[], float]:
    def measure() -> float:
        reply = post(client)
        texts[name] = text_of(reply)
        return reply.total_s

    return measure


def _in_process(
    name: str, reference: Reference, path: Path, texts: Texts, *, batch: int | None = None
) -> Callable[[], float]:
    def measure() -> float:
        done = reference.transcribe([path], batch=batch)
        texts[name] = done.text
        return done.seconds

    return measure
