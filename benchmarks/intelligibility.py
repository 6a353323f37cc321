"""How much of what the text to speech service says is understood: 240 sentences of twelve kinds, in each format.

The real service speaks each sentence with the packaged Piper voice, and Whisper ``base`` writes down what it hears.
Both are compared after Whisper's English text normaliser; the reference is the written sentence, or, where that cannot
be heard as it is written, what a person would read (``tests/support/spoken_sentences.txt``).
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx
import numpy as np
from faster_whisper import WhisperModel
from numpy.typing import NDArray
from tests.support.serving import service_process
from tests.support.spoken import (
    FORMATS,
    Hearing,
    SpokenSentence,
    decode_speech,
    hear,
    load_sentences,
    word_error_rate,
)

from voice_stack.utils.models.store import ModelStore

ROOT = Path(__file__).parents[1]
MODEL_DIR = ROOT / ".cache" / "models"
MOST_ERRORS = 0.06
"""The word error rate that the project holds itself to."""

Listener = Callable[[NDArray[np.float32]], str]


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--formats", default=",".join(FORMATS), help="comma-separated (default: all)")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only each Nth sentence of each kind")
    parser.add_argument("--worst", type=int, default=15, help="sentences with errors to list (default: 15)")
    arguments = parser.parse_args()
    formats = arguments.formats.split(",")
    if unknown := set(formats) - set(FORMATS):
        parser.error(f"unknown formats: {', '.join(sorted(unknown))}")
    sentences = load_sentences()[:: arguments.every]
    listen = _listener()
    env = {"TTS_ENGINE": "piper", "MODEL_DIR": str(MODEL_DIR)}
    with (
        tempfile.TemporaryDirectory() as folder,
        service_process("tts", Path(folder), env=env) as service,
        httpx.Client(base_url=service.base_url, timeout=120) as client,
    ):
        for audio_format in formats:
            started_at = time.perf_counter()
            hearings = [_heard(client, sentence, audio_format, listen) for sentence in sentences]
            _report(audio_format, hearings, time.perf_counter() - started_at, arguments.worst)
    print(f"wanted: word error rate at most {MOST_ERRORS:.0%}, no first or last word missing")


def _listener() -> Listener:
    folder = ModelStore(MODEL_DIR, offline=True).find_whisper("base")
    model = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=2, local_files_only=True)

    def listen(samples: NDArray[np.float32]) -> str:
        segments, _ = model.transcribe(samples, language="en", beam_size=5, temperature=0.0)
        return "".join(segment.text for segment in segments)

    return listen


def _heard(client: httpx.Client, sentence: SpokenSentence, audio_format: str, listen: Listener) -> Hearing:
    body = {"model": "tts-1", "voice": "alloy", "input": sentence.text, "response_format": audio_format}
    answer = client.post("/v1/audio/speech", json=body)
    answer.raise_for_status()
    return hear(sentence, listen(decode_speech(answer.content, audio_format)))


def _report(audio_format: str, hearings: Sequence[Hearing], seconds: float, worst: int) -> None:
    print(f"{audio_format}: {len(hearings)} sentences in {seconds:.0f} s")
    print(f"  {'kind':27} sentences  words  errors  word error rate  edge words missing")
    kinds = list(dict.fromkeys(hearing.sentence.kind for hearing in hearings))
    for kind in kinds:
        _row(kind, [hearing for hearing in hearings if hearing.sentence.kind == kind])
    _row("all", hearings)
    flawed = sorted(hearings, key=lambda hearing: hearing.errors / hearing.words, reverse=True)
    shown = [hearing for hearing in flawed if hearing.missing]
    shown += [hearing for hearing in flawed if hearing.errors and not hearing.missing][:worst]
    for hearing in shown:
        missing = f" {' and '.join(hearing.missing)} word missing" if hearing.missing else ""
        print(f"  {hearing.errors:2} of {hearing.words:2}{missing}  {hearing.sentence.text!r} -> {hearing.text!r}")
    print(flush=True)


def _row(name: str, hearings: Sequence[Hearing]) -> None:
    words = sum(hearing.words for hearing in hearings)
    errors = sum(hearing.errors for hearing in hearings)
    missing = sum(len(hearing.missing) for hearing in hearings)
    print(f"  {name:27} {len(hearings):9}  {words:5}  {errors:6}  {word_error_rate(hearings):15.2%}  {missing:18}")


if __name__ == "__main__":
    main()
