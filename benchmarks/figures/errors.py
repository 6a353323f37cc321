"""What is heard in the recordings of nine languages."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mean

from tests.support.speech import Sample

from benchmarks.bench import Bench, post, usable_peers
from benchmarks.clients import Upload, text_of
from benchmarks.figure import Figure
from benchmarks.figures.clip import LANGUAGES
from benchmarks.figures.film import error_row
from benchmarks.material import SPEECH, error_rate, recordings, spelled
from benchmarks.results import Raw, Row
from benchmarks.wire import Target

Hear = Callable[[Sample, str | None], str]


class ClipErrors(Figure):
    """Word error rate of the recorded clips."""

    name = "errors"
    method = (
        "The 27 recordings in nine languages, one by one; errors for each language (words; characters in Chinese and "
        "Japanese) after Whisper's normalisers, then the mean of the languages. Nine of them are numbers counted "
        "aloud, which Whisper writes as digits and the transcripts as words: with them the rates are high and say "
        "little, so both are shown."
    )

    def measure(self, bench: Bench) -> Raw:
        samples = recordings()[:: bench.pick(1, 5)]
        with bench.asr() as service, bench.faster_whisper(service) as reference:
            peers, notes = usable_peers(bench.peers, lambda target: Upload(target, [samples[0].path.read_bytes()]))
            sides: dict[str, Hear] = {
                "ours": _over_http(Target.parse(service.base_url)),
                "faster-whisper": lambda sample, language: reference.transcribe([sample.path], language=language).text,
            }
            sides |= {name: _over_http(bench.peers[name]) for name in peers}
            heard = {
                condition: {
                    side: [hear(sample, sample.language if code else None) for sample in samples]
                    for side, hear in sides.items()
                }
                for condition, code in LANGUAGES.items()
            }
        clips = [(sample.language, str(sample.path.relative_to(SPEECH)), sample.transcript) for sample in samples]
        return {"clips": clips, "heard": heard, "notes": notes}

    def rows(self, raw: Raw) -> Sequence[Row]:
        everything = [Sample(language, Path(name), transcript) for language, name, transcript in raw["clips"]]
        rows = []
        for samples, what in ((spelled(everything), "nothing counted"), (everything, "with numbers counted")):
            for condition, heard in raw["heard"].items():
                rates = {
                    side: _rate(samples, dict(zip(everything, texts, strict=True))) for side, texts in heard.items()
                }
                title = f"{len(samples)} clips, {what} ({condition})"
                rows += [error_row(title, rates, side) for side in rates if side != "ours"]
        return rows


def _over_http(target: Target) -> Hear:
    def hear(sample: Sample, language: str | None) -> str:
        fields = {"language": language} if language else {}
        return text_of(post(Upload(target, [sample.path.read_bytes()], fields)))

    return hear


def _rate(samples: Sequence[Sample], heard: Mapping[Sample, str]) -> float:
    """The mean of the languages' error rates."""
    languages = sorted({sample.language for sample in samples})
    groups = [[sample for sample in samples if sample.language == language] for language in languages]
    return mean(error_rate(group, [heard[sample] for sample in group]) for group in groups)
