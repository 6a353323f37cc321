"""Sentences to be spoken, and how well each was heard."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jiwer
import numpy as np
from numpy.typing import NDArray
from whisper_normalizer.english import EnglishTextNormalizer

from tests.support.speech import decode
from voice_stack.utils.audio.resample import Resampler

FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")
WHISPER_RATE_HZ = 16_000
PCM_RATE_HZ = 24_000

_FILE = Path(__file__).with_name("spoken_sentences.txt")

_MONTHS = "january february march april may june july august september october november december"
_ALIKE = [
    (re.compile(r"\b([ap])\. ?m\b\.?"), r"\1m"),
    (re.compile(r"\b([0-9]{1,2})[:.]?([0-9]{2})(?= ?[ap]m\b)"), r"\1:\2"),
    (re.compile(r"(?<=[0-9]):00(?= ?[ap]m\b)"), ""),
    (re.compile(rf"\b({_MONTHS.replace(' ', '|')}) ([0-9]{{1,2}})(?:st|nd|rd|th)\b"), r"\1 \2"),
    (re.compile(r"(?<=[0-9])-(?=[0-9])"), ""),
    (re.compile(r"\bvs\b"), "versus"),
    (re.compile(r"\betc\b"), "et cetera"),
]
"""Spellings of the same words that Whisper's normaliser tells apart: 9.30 a.m. is 9:30 am, May 3 is May 3rd."""
_whisper_normalize = EnglishTextNormalizer()


@dataclass(frozen=True)
class SpokenSentence:
    """A sentence as it is written, and what a person might say or write down for it."""

    kind: str
    text: str
    readings: tuple[str, ...]


@dataclass(frozen=True)
class Hearing:
    """What was understood of a sentence."""

    sentence: SpokenSentence
    text: str
    words: int  # of the reading that it is nearest to
    errors: int
    missing: tuple[str, ...]  # "first", "last": the word at that edge was not heard, nor anything in its place


def load_sentences() -> list[SpokenSentence]:
    """The sentences of ``spoken_sentences.txt``.

    Each line is a sentence; below ``== name`` they are of that kind. What follows it after tabs are its readings, for
    those whose written form is not what is heard (an address, a telephone number); they take its place in comparisons.
    """
    sentences = []
    kind = ""
    for line in _FILE.read_text(encoding="utf-8").splitlines():
        if line.startswith("== "):
            kind = line.removeprefix("== ")
        elif line:
            text, *readings = line.split("\t")
            sentences.append(SpokenSentence(kind, text, tuple(readings) or (text,)))
    return sentences


def decode_speech(data: bytes, audio_format: str) -> NDArray[np.float32]:
    """The body of a speech answer as Whisper takes it: mono float32, 16 kHz."""
    if audio_format != "pcm":
        return decode(data, WHISPER_RATE_HZ)
    resampler = Resampler(PCM_RATE_HZ, WHISPER_RATE_HZ)
    samples = np.frombuffer(data, "<i2").astype(np.float32) / np.float32(2**15)
    return np.concatenate([resampler.process(samples), resampler.flush()])


def hear(sentence: SpokenSentence, text: str) -> Hearing:
    """Compare what was understood with the reading nearest to it, both normalised alike."""
    heard = _normalize(text)
    return min((_compare(sentence, _normalize(reading), heard, text) for reading in sentence.readings), key=_badness)


def word_error_rate(hearings: Sequence[Hearing]) -> float:
    """Errors per word over all of them together."""
    return sum(hearing.errors for hearing in hearings) / sum(hearing.words for hearing in hearings)


def _normalize(text: str) -> str:
    text = text.lower()
    for pattern, spelling in _ALIKE:
        text = pattern.sub(spelling, text)
    return str(_whisper_normalize(text))


def _badness(hearing: Hearing) -> tuple[int, int]:
    return len(hearing.missing), hearing.errors


def _compare(sentence: SpokenSentence, reading: str, heard: str, text: str) -> Hearing:
    aligned = jiwer.process_words(reading, heard)
    chunks = aligned.alignments[0]
    said, got = reading.split(), heard.split() or [""]
    # Written together with its neighbour ("amarathon") it was heard.
    edges = (
        ("first", chunks[0].type == "delete" and not got[0].startswith(said[0])),
        ("last", chunks[-1].type == "delete" and not got[-1].endswith(said[-1])),
    )
    return Hearing(
        sentence,
        text.strip(),
        words=len(reading.split()),
        errors=aligned.substitutions + aligned.deletions + aligned.insertions,
        missing=tuple(edge for edge, is_missing in edges if is_missing),
    )
