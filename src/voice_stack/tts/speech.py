"""From text to encoded audio, a sentence at a time."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from voice_stack.core.errors import InvalidRequestError
from voice_stack.tts.engine.base import TtsEngine
from voice_stack.tts.joins import PAUSES_S, Joiner
from voice_stack.tts.voices.casting import Cast
from voice_stack.utils.audio.encode import AudioEncoder
from voice_stack.utils.audio.loudness import Leveller
from voice_stack.utils.audio.resample import Resampler
from voice_stack.utils.audio.tempo import TempoChanger
from voice_stack.utils.text import TextChunk, spoken_chunks

EARLY_S = 0.3
"""How much of the first sentence is encoded on its own."""

_SEED_STEP = 1_000_003
"""How far the seeds of two chunks are apart: a long one takes several in a row."""
_SEEDS = 2**63


@dataclass(frozen=True)
class Script:
    """A text and how to say it."""

    text: str
    cast: Cast
    language_of: Callable[[str, str | None], str | None] | None = None  # of a sentence; None: all is in one language
    speed: float = 1.0  # 2.0 is twice as fast, the pitch is kept
    seed: int | None = None  # the same seed gives the same speech; None: by chance
    max_chars: int = 180  # of a chunk, where the engine has no lower limit


@dataclass(frozen=True)
class EncodedChunk:
    """Bytes of the response body, and the audio they stand for."""

    data: bytes
    duration_s: float


def speech_steps(
    engine: TtsEngine, script: Script, *, audio_format: str, sample_rate_hz: int
) -> Iterator[EncodedChunk | None]:
    """Speak a text: each step is a sentence or a part of one, encoded; None where there is nothing to hand out yet.

    The bytes of all steps together are one file of ``audio_format``. An engine's failure ends the steps with its error,
    never with a file that only looks whole.

    Raises:
        EngineError: the engine or the encoder failed.
        InvalidRequestError: the voice can say nothing of this text.
    """
    spoken = 0
    with closing(AudioEncoder(audio_format, sample_rate_hz)) as encoder:
        tempo = TempoChanger(sample_rate_hz, script.speed)
        for samples in _flow(engine, script, sample_rate_hz):
            if not samples.size:
                yield None
                continue
            # The listener gets the beginning before the rest of the sentence is encoded.
            early = 0 if spoken else round(EARLY_S * sample_rate_hz)
            spoken += samples.size
            for part in np.split(tempo.process(samples), [early]):
                if part.size:
                    yield EncodedChunk(encoder.encode(part), part.size / sample_rate_hz)
        if not spoken:
            voice = script.cast.lead
            raise InvalidRequestError(
                f"The voice {voice.id!r} knows none of the characters of this text; it speaks {voice.language}.",
                param="input",
                code="nothing_to_say",
            )
        last = tempo.flush()
        yield EncodedChunk(encoder.encode(last) + encoder.flush(), last.size / sample_rate_hz)


def text_chunks(engine: TtsEngine, script: Script) -> Iterator[TextChunk]:
    """The pieces in which a text is spoken, each in one language."""

    def max_chars(language: str | None) -> int:
        limit = engine.max_chars(language or script.cast.own_language)
        return script.max_chars if limit is None else min(limit, script.max_chars)

    return spoken_chunks(
        script.text, max_chars=max_chars, language_of=script.language_of, default_language=script.cast.own_language
    )


def _flow(engine: TtsEngine, script: Script, sample_rate_hz: int) -> Iterator[NDArray[np.float32]]:
    """The speech with its pauses, at the output's sample rate and equally loud."""
    joiner = Joiner(sample_rate_hz)
    leveller = Leveller(sample_rate_hz)
    resampler: Resampler | None = None
    source_rate_hz = 0
    pause_s = 0.0
    for number, chunk in enumerate(text_chunks(engine, script)):
        joiner.begin(pause_s)
        leveller.begin()
        seed = None if script.seed is None else (script.seed + number * _SEED_STEP) % _SEEDS
        options = replace(script.cast.options(chunk.language), seed=seed)
        for audio in engine.synthesize(chunk.text, options):
            if resampler is None or audio.sample_rate_hz != source_rate_hz:
                source_rate_hz = audio.sample_rate_hz
                resampler = Resampler(source_rate_hz, sample_rate_hz)
            yield joiner.process(leveller.process(resampler.process(audio.samples)))
        if resampler is not None:
            # Each chunk ends before its pause: what the filter still holds belongs to it.
            yield joiner.process(leveller.process(resampler.flush()))
        pause_s = PAUSES_S[chunk.boundary]
    yield joiner.end()
