"""What is sent: recorded clips, and ten minutes of English made of them and of the voice."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import jiwer
import numpy as np
from numpy.typing import NDArray
from tests.support.sentences import SENTENCES
from tests.support.speech import Sample, decode, load_samples, wav_bytes
from whisper_normalizer.basic import BasicTextNormalizer
from whisper_normalizer.english import EnglishTextNormalizer

from voice_stack.tts.engine.base import SynthesisOptions
from voice_stack.tts.engine.piper import PiperEngine
from voice_stack.utils.audio.resample import Resampler
from voice_stack.utils.models.store import ModelStore

ROOT = Path(__file__).parents[1]
SPEECH = ROOT / ".cache" / "speech"
MODEL_DIR = ROOT / ".cache" / "models"
CACHE = ROOT / ".cache" / "benchmarks"
RATE_HZ = 16_000
UNSPACED = {"zh", "ja"}

_PASSAGE = ROOT / "tests" / "support" / "passage.txt"
_COUNTING = {"counting", "conteo", "comptage", "ginti", "conteggio", "kazoeru", "liczenie", "contagem", "jishu"}
_PAUSES_S = [0.15, 0.3, 0.6, 1.2, 3.0, 6.0]

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Film:
    """A long WAV file and what is said in it."""

    path: Path
    transcript: str
    duration_s: float


class Voice:
    """The packaged Piper voice, for audio of 16 kHz."""

    def __init__(self) -> None:
        self._engine = PiperEngine(ModelStore(MODEL_DIR, offline=True), ROOT / "voices")
        self._engine.load()
        self._options = SynthesisOptions(self._engine.voices()[0])

    def say(self, text: str) -> Samples:
        """Speak a text."""
        pieces = []
        for chunk in self._engine.synthesize(text, self._options):
            resampler = Resampler(chunk.sample_rate_hz, RATE_HZ)
            pieces += [resampler.process(chunk.samples), resampler.flush()]
        return np.concatenate(pieces)


def recordings() -> list[Sample]:
    """All recorded speech, in nine languages (``scripts/fetch_test_speech.py``)."""
    return load_samples(SPEECH)


def spelled(samples: Sequence[Sample]) -> list[Sample]:
    """Without the recordings of counting: Whisper writes digits where the transcripts have words."""
    return [sample for sample in samples if sample.path.stem not in _COUNTING]


def clips_of_three_seconds() -> list[Path]:
    """Two recordings of 2.9 and 3.0 s."""
    return [SPEECH / "en" / "quick_brown_fox.wav", SPEECH / "en" / "counting.wav"]


def error_rate(samples: Sequence[Sample], texts: Sequence[str]) -> float:
    """Word error rate over recordings of one language; of characters where it has no spaces."""
    normalize = EnglishTextNormalizer() if samples[0].language == "en" else BasicTextNormalizer()
    references = [normalize(sample.transcript) for sample in samples]
    hypotheses = [normalize(text) for text in texts]
    if samples[0].language in UNSPACED:
        return float(jiwer.cer([r.replace(" ", "") for r in references], [h.replace(" ", "") for h in hypotheses]))
    return float(jiwer.wer(references, hypotheses))


def film(seconds: float, start_s: float = 0.0) -> Film:
    """English from about ``start_s`` on, cut where a sentence ends: ``seconds`` long, or what there is."""
    samples, sentences = english()
    ends = [end for _, end in sentences]
    first = next(number for number, end in enumerate([0, *ends]) if end >= start_s * RATE_HZ)
    begin = [0, *ends][first]
    last = next((n for n, end in enumerate(ends) if end - begin >= seconds * RATE_HZ), len(ends) - 1)
    cut = samples[begin : ends[last]]
    path = CACHE / f"english_{start_s:.0f}_{seconds:.0f}.wav"
    if not path.exists() or path.stat().st_mtime < _english_path().stat().st_mtime:
        path.write_bytes(wav_bytes(cut))
    return Film(path, " ".join(text for text, _ in sentences[first : last + 1]), cut.size / RATE_HZ)


def english() -> tuple[Samples, list[tuple[str, int]]]:
    """All of the English, and each sentence with the sample at which the pause after it ends. Made once."""
    path = _english_path()
    if not path.exists():
        rng = np.random.default_rng(7)
        parts, sentences, end = [], [], 0
        for text, spoken in _utterances():
            parts += [spoken, np.zeros(int(rng.choice(_PAUSES_S) * RATE_HZ), np.float32)]
            end += parts[-2].size + parts[-1].size
            sentences.append((text, end))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".json").write_text(json.dumps(sentences), encoding="utf-8")
        path.write_bytes(wav_bytes(np.concatenate(parts)))
    kept = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    return decode(path.read_bytes()), [(text, end) for text, end in kept]


def _english_path() -> Path:
    made_of = _PASSAGE.read_bytes() + "".join(SENTENCES).encode()
    return CACHE / f"english-{hashlib.sha256(made_of).hexdigest()[:8]}.wav"


def _utterances() -> Iterator[tuple[str, Samples]]:
    voice = Voice()
    recorded = [sample for sample in spelled(recordings()) if sample.language == "en"]
    paragraphs = _PASSAGE.read_text(encoding="utf-8").split("\n\n")
    for number, paragraph in enumerate(paragraphs):
        for sentence in paragraph.strip().replace(". ", ".\n").splitlines():
            yield sentence, voice.say(sentence)
        if number % 4 == 3:
            sample = recorded[number // 4 % len(recorded)]
            yield sample.transcript, decode(sample.path.read_bytes())
    for sentence in SENTENCES:
        yield sentence, voice.say(sentence)
