"""Shapes of OpenAI's transcription and model objects (``openai`` SDK, ``types/audio`` and ``types/model.py``)."""

import math
from typing import Literal

from pydantic import BaseModel

from voice_stack.asr.engine.base import Segment, Word
from voice_stack.asr.transcript import Transcript
from voice_stack.utils.language.whisper import LANGUAGE_NAMES


class UsageDuration(BaseModel):
    """What OpenAI bills: whole seconds of audio, rounded up."""

    type: Literal["duration"] = "duration"
    seconds: int


class TranscriptionJson(BaseModel):
    """``response_format=json``."""

    text: str
    usage: UsageDuration

    @classmethod
    def of(cls, transcript: Transcript) -> "TranscriptionJson":
        """Convert from the engine's terms."""
        return cls(text=transcript.text, usage=_usage(transcript))


class TranscriptionWord(BaseModel):
    """One word; times in seconds."""

    word: str
    start: float
    end: float

    @classmethod
    def of(cls, word: Word) -> "TranscriptionWord":
        """Convert from the engine's terms."""
        return cls(word=word.text.strip(), start=_seconds(word.start_s), end=_seconds(word.end_s))


class TranscriptionSegment(BaseModel):
    """One segment; times in seconds."""

    id: int
    seek: int
    start: float
    end: float
    text: str
    tokens: list[int]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float

    @classmethod
    def of(cls, id_: int, segment: Segment) -> "TranscriptionSegment":
        """Convert from the engine's terms."""
        return cls(
            id=id_,
            seek=segment.seek,
            start=_seconds(segment.start_s),
            end=_seconds(segment.end_s),
            text=segment.text,
            tokens=list(segment.tokens),
            temperature=segment.temperature,
            avg_logprob=segment.avg_logprob,
            compression_ratio=segment.compression_ratio,
            no_speech_prob=segment.no_speech_prob,
        )


class TranscriptionVerbose(BaseModel):
    """``response_format=verbose_json``; ``language`` is Whisper's English name, as OpenAI gives it."""

    task: Literal["transcribe", "translate"] = "transcribe"
    language: str
    duration: float
    text: str
    segments: list[TranscriptionSegment] | None = None
    words: list[TranscriptionWord] | None = None
    usage: UsageDuration

    @classmethod
    def of(cls, transcript: Transcript, *, segments: bool, words: bool) -> "TranscriptionVerbose":
        """Convert from the engine's terms, with segments, words or both."""
        return cls(
            language=LANGUAGE_NAMES[transcript.info.language],
            duration=_seconds(transcript.info.duration_s),
            text=transcript.text,
            segments=(
                [TranscriptionSegment.of(number, segment) for number, segment in enumerate(transcript.segments)]
                if segments
                else None
            ),
            words=(
                [TranscriptionWord.of(word) for segment in transcript.segments for word in segment.words]
                if words
                else None
            ),
            usage=_usage(transcript),
        )


def _usage(transcript: Transcript) -> UsageDuration:
    return UsageDuration(seconds=math.ceil(transcript.info.duration_s))


def _seconds(value: float) -> float:
    return round(value, 3)
