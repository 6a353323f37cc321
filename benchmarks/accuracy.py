"""Word error rate and word times of the service's engine, against faster-whisper's own ``transcribe`` in the same run.

Both use the same weights and a beam of 5. Three sets: the recorded speech of `scripts/fetch_test_speech.py`, each file
on its own; more than ten minutes of English made from it and from the text to speech engine; and words spoken one by
one at known times. Prints a table; takes some minutes.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jiwer
import numpy as np
from faster_whisper import WhisperModel
from tests.support.sentences import SENTENCES
from tests.support.speech import decode
from tests.support.wer import english_word_error_rate
from whisper_normalizer.basic import BasicTextNormalizer

from benchmarks.material import MODEL_DIR, RATE_HZ, Samples, Voice, english, error_rate, recordings, spelled
from voice_stack.asr.engine.base import AsrEngine, Segment, TranscribeOptions, Word
from voice_stack.asr.engine_factory import create_engine
from voice_stack.core.settings import Settings
from voice_stack.utils.models.store import ModelStore


@dataclass
class Heard:
    """What one system made of one file."""

    text: str
    words: Sequence[Word]
    seconds: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="base")
    parser.add_argument("--only", choices=["recordings", "english", "times"], nargs="*")
    args = parser.parse_args()
    settings = Settings(_env_file=None, asr_model=args.model, hf_hub_offline=True, model_dir=MODEL_DIR)
    engine = create_engine(settings)
    engine.load()
    folder = ModelStore(settings.model_dir, offline=True).find_whisper(args.model)
    plain = WhisperModel(str(folder), device="cpu", compute_type="int8", local_files_only=True)
    for name, measure in (("recordings", _recordings), ("english", _english), ("times", _times)):
        if not args.only or name in args.only:
            measure(engine, plain)


def _recordings(engine: AsrEngine, plain: WhisperModel) -> None:
    samples = spelled(recordings())
    print(f"recorded speech, {len(samples)} files, language given: word error rate (zh, ja: character)")
    totals = [0.0, 0.0]
    for language in sorted({sample.language for sample in samples}):
        mine = [sample for sample in samples if sample.language == language]
        pairs = [_both(engine, plain, decode(sample.path.read_bytes()), language) for sample in mine]
        rates = [error_rate(mine, [pair[side].text for pair in pairs]) for side in (0, 1)]
        totals = [total + rate for total, rate in zip(totals, rates, strict=True)]
        print(f"  {language}   ours {rates[0]:6.1%}   faster-whisper {rates[1]:6.1%}")
    languages = len({sample.language for sample in samples})
    ours, theirs = (total / languages for total in totals)
    print(f"  mean ours {ours:6.2%}   faster-whisper {theirs:6.2%}   difference {100 * (ours - theirs):+.2f} points")


def _english(engine: AsrEngine, plain: WhisperModel) -> None:
    audio, sentences = english()
    reference = " ".join(text for text, _ in sentences)
    ours, theirs = _both(engine, plain, audio, "en")
    rates = [english_word_error_rate([reference], [heard.text]) for heard in (ours, theirs)]
    print(f"English, {audio.size / RATE_HZ / 60:.1f} minutes, {len(reference.split())} words")
    print(
        f"  ours {rates[0]:6.2%} in {ours.seconds:.0f} s   faster-whisper {rates[1]:6.2%} in {theirs.seconds:.0f} s"
        f"   difference {100 * (rates[0] - rates[1]):+.2f} points"
    )


def _times(engine: AsrEngine, plain: WhisperModel) -> None:
    """Each word is spoken on its own and put at a known time, a fifth of a second after the one before."""
    voice = Voice()
    words = " ".join(SENTENCES).translate(str.maketrans("", "", '.,!?:"')).split()
    truth: list[tuple[str, float]] = []
    parts = [np.zeros(RATE_HZ, np.float32)]
    at = RATE_HZ
    for number, word in enumerate(words):
        spoken = _trimmed(voice.say(word))
        truth.append((word, at / RATE_HZ))
        pause = np.zeros(int((1.5 if number % 10 == 9 else 0.2) * RATE_HZ), np.float32)
        parts += [spoken, pause]
        at += spoken.size + pause.size
    ours, theirs = _both(engine, plain, np.concatenate(parts), "en", words=True)
    print(f"word starts, {len(words)} words at known times")
    for name, heard in (("ours", ours), ("faster-whisper", theirs)):
        errors = _start_errors_s(truth, heard.words)
        late = sorted(abs(error) for error in errors)
        print(
            f"  {name:15} {len(errors):4} words matched   median |error| {1000 * statistics.median(late):4.0f} ms"
            f"   90th percentile {1000 * late[int(0.9 * len(late))]:4.0f} ms"
        )


def _both(
    engine: AsrEngine, plain: WhisperModel, audio: Samples, language: str, *, words: bool = False
) -> tuple[Heard, Heard]:
    started_at = time.perf_counter()
    segments = [
        step
        for step in engine.transcribe([audio], TranscribeOptions(language=language, word_timestamps=words))
        if isinstance(step, Segment)
    ]
    ours = Heard(
        "".join(segment.text for segment in segments),
        [word for segment in segments for word in segment.words],
        time.perf_counter() - started_at,
    )
    started_at = time.perf_counter()
    found, _ = plain.transcribe(audio, language=language, beam_size=5, word_timestamps=words)
    listed: list[Any] = list(found)
    theirs = Heard(
        "".join(segment.text for segment in listed),
        [Word(word.start, word.end, word.word, word.probability) for segment in listed for word in segment.words or ()],
        time.perf_counter() - started_at,
    )
    return ours, theirs


def _trimmed(samples: Samples) -> Samples:
    loud = np.flatnonzero(np.abs(samples) > 0.02 * np.abs(samples).max())
    return samples[loud[0] : loud[-1] + 1]


def _start_errors_s(truth: Sequence[tuple[str, float]], words: Sequence[Word]) -> list[float]:
    normalize = BasicTextNormalizer()
    spoken = [normalize(word).replace(" ", "") or "-" for word, _ in truth]
    heard = [normalize(word.text).replace(" ", "") or "-" for word in words]
    aligned = jiwer.process_words(" ".join(spoken), " ".join(heard))
    return [
        words[chunk.hyp_start_idx + offset].start_s - truth[chunk.ref_start_idx + offset][1]
        for chunk in aligned.alignments[0]
        if chunk.type == "equal"
        for offset in range(chunk.ref_end_idx - chunk.ref_start_idx)
    ]


if __name__ == "__main__":
    main()
