"""Shapes of OpenAI's transcription and model objects (``openai`` SDK, ``types/audio`` and ``types/model.py``)."""

import math
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel

from voice_stack.asr.engine.base import Segment, Word
from voice_stack.asr.transcript import Transcript
from voice_stack.utils.language.whisper import LANGUAGE_NAMES


class UsageDuration(BaseModel):
    """What OpenAI bills: whole seconds of audio, rounded up."""

    type: Literal["duration"] = "duration"
    seconds: int


class Logprob(BaseModel):
    """The log probability of a word: engines here give it for words, not for parts of words."""

    token: str
    bytes: list[int]
    logprob: float

    @classmethod
    def all_of(cls, segments: Sequence[Segment]) -> "list[Logprob]":
        """Convert from the engine's terms."""
        return [
            cls(token=word.text, bytes=list(word.text.encode()), logprob=math.log(max(word.probability, 1e-9)))
            for segment in segments
            for word in segment.words
        ]


class TranscriptionJson(BaseModel):
    """``response_format=json``."""

    text: str
    logprobs: list[Logprob] | None = None
    usage: UsageDuration

    @classmethod
    def of(cls, transcript: Transcript, *, logprobs: bool = False) -> "TranscriptionJson":
        """Convert from the engine's terms."""
        return cls(
            text=transcript.text,
            logprobs=Logprob.all_of(transcript.segments) if logprobs else None,
            usage=_usage(transcript),
        )


class UsageTokens(BaseModel):
    """What OpenAI bills for streams: tokens of text, and of audio at 10 a second."""

    type: Literal["tokens"] = "tokens"
    input_tokens: int
    output_tokens: int
    total_tokens: int


class TranscriptTextDelta(BaseModel):
    """``stream=true``: the text of one more segment."""

    type: Literal["transcript.text.delta"] = "transcript.text.delta"
    delta: str
    logprobs: list[Logprob] | None = None

    @classmethod
    def of(cls, delta: str, segment: Segment | None) -> "TranscriptTextDelta":
        """``segment`` is given where log probabilities are asked for."""
        return cls(delta=delta, logprobs=Logprob.all_of([segment]) if segment else None)


class TranscriptTextDone(BaseModel):
    """``stream=true``: the whole text."""

    type: Literal["transcript.text.done"] = "transcript.text.done"
    text: str
    logprobs: list[Logprob] | None = None
    usage: UsageTokens
    language: str | None = None  # ours, beyond OpenAI's, as is the duration in seconds: with verbose_json
    duration: float | None = None

    @classmethod
    def of(cls, transcript: Transcript, *, logprobs: bool, timed: bool = False) -> "TranscriptTextDone":
        """Convert from the engine's terms."""
        heard = math.ceil(transcript.duration_s * 10)
        written = sum(len(segment.tokens) for segment in transcript.segments)
        return cls(
            text=transcript.text,
            logprobs=Logprob.all_of(transcript.segments) if logprobs else None,
            usage=UsageTokens(input_tokens=heard, output_tokens=written, total_tokens=heard + written),
            language=_language_name(transcript) if timed else None,
            duration=_seconds(transcript.duration_s) if timed else None,
        )


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


class TranscriptTextSegment(TranscriptionSegment):
    """``stream=true`` with ``verbose_json``: one more segment and, where they were asked for, its words.

    OpenAI has an event of this name, with ``diarized_json``.
    """

    type: Literal["transcript.text.segment"] = "transcript.text.segment"
    words: list[TranscriptionWord] | None = None

    @classmethod
    def timed(cls, id_: int, segment: Segment, *, words: bool) -> "TranscriptTextSegment":
        """Convert from the engine's terms."""
        timed = [TranscriptionWord.of(word) for word in segment.words] if words else None
        return cls(words=timed, **TranscriptionSegment.of(id_, segment).model_dump())


class TranscriptionVerbose(BaseModel):
    """``response_format=verbose_json``; ``language`` is Whisper's English name, as OpenAI gives it."""

    task: Literal["transcribe", "translate"] = "transcribe"
    language: str
    language_probability: float | None = None  # ours, beyond OpenAI's; 1.0 where the request named the language
    duration: float
    text: str
    segments: list[TranscriptionSegment] | None = None
    words: list[TranscriptionWord] | None = None
    usage: UsageDuration

    @classmethod
    def of(cls, transcript: Transcript, *, segments: bool, words: bool) -> "TranscriptionVerbose":
        """Convert from the engine's terms, with segments, words or both."""
        return cls(
            task=transcript.task,
            language=_language_name(transcript),
            language_probability=round(transcript.language.probability, 4) if transcript.language else None,
            duration=_seconds(transcript.duration_s),
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
    return UsageDuration(seconds=math.ceil(transcript.duration_s))


def _language_name(transcript: Transcript) -> str:
    if transcript.task == "translate":
        return "english"
    return LANGUAGE_NAMES[transcript.language.code] if transcript.language else ""


def _seconds(value: float) -> float:
    return round(value, 3)
