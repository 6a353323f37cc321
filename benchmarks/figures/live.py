"""How soon after a word a live transcription has it, and how right its text is."""

from collections.abc import Sequence

from benchmarks.bench import Bench
from benchmarks.figure import Figure
from benchmarks.live import measure, word_error_rate
from benchmarks.percentiles import percentile
from benchmarks.results import Asked, Raw, Row

SESSIONS = (1, 4)
MOST_WORD_S, MOST_FINAL_S, MOST_ERRORS = 1.0, 0.6, 0.02


class Live(Figure):
    """Live transcriptions fed in real time."""

    name = "live"
    method = (
        "Sessions in one process, each fed in real time in blocks of 0.1 s: sentences with pauses of 0.15 to 6 s, and "
        "a passage without. A word's delay is from its end, as the whole-file transcription in the same run times it, "
        "to the delta that has it; the text's from the end of speech and the 0.5 s of silence that end a turn. Errors "
        "are against the transcript, those of the whole-file transcription beside them."
    )

    def measure(self, bench: Bench) -> Raw:
        seconds = bench.pick(180.0, 20.0)
        return {"sessions": {str(count): measure(count, seconds, bench.asr_env) for count in SESSIONS}}

    def rows(self, raw: Raw) -> Sequence[Row]:
        rows = []
        for count, measured in raw["sessions"].items():
            heard = measured["heard"]
            words = [delay for one in heard for delay in one["delays"]]
            texts = [delay for one in heard for delay in one["final_delays"]]
            live, whole = (
                word_error_rate([one["transcript"] for one in heard], [one[side] for one in heard])
                for side in ("text", "whole_file")
            )
            is_one = count == "1"
            name = f"{count} live session{'' if is_one else 's'}"
            rows += [
                _delay(f"{name}, word to delta, median", words, 0.5, MOST_WORD_S if is_one else None),
                _delay(f"{name}, word to delta, 90 of 100", words, 0.9, None),
                _delay(
                    f"{name}, whole text after the turn's end, median", texts, 0.5, MOST_FINAL_S if is_one else None
                ),
                _delay(f"{name}, whole text after the turn's end, 90 of 100", texts, 0.9, None),
                Row(
                    f"{name}, word error rate",
                    100 * live,
                    "%",
                    "whole file",
                    100 * whole,
                    asked=Asked("at most", 100 * MOST_ERRORS, "difference", "points"),
                ),
                Row(f"{name}, engine calls a second", measured["calls"] / measured["wall_s"], "/s"),
                Row(f"{name}, processors used", measured["cpu_s"] / measured["wall_s"], "cores"),
            ]
        return rows


def _delay(figure: str, delays: Sequence[float], share: float, most: float | None) -> Row:
    asked = None if most is None else Asked("at most", most, "ours", "s")
    return Row(figure, percentile(delays, share), "s", asked=asked, runs=len(delays))
