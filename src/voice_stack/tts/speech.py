"""From text to encoded audio, a sentence at a time."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voice_stack.core.errors import InvalidRequestError
from voice_stack.tts.engine.base import SynthesisOptions, TtsEngine
from voice_stack.utils.audio.encode import AudioEncoder
from voice_stack.utils.audio.resample import Resampler
from voice_stack.utils.audio.tempo import TempoChanger
from voice_stack.utils.text import Boundary, split_text

PAUSES_S = {Boundary.WORD: 0.0, Boundary.CLAUSE: 0.05, Boundary.SENTENCE: 0.2, Boundary.PARAGRAPH: 0.5}
"""Silence after a chunk that is not the last, in seconds, by what ended it."""

EARLY_S = 0.5
"""How much of the first sentence is encoded on its own."""


@dataclass(frozen=True)
class EncodedChunk:
    """Bytes of the response body, and the audio they stand for."""

    data: bytes
    duration_s: float


def speech_steps(
    engine: TtsEngine,
    text: str,
    options: SynthesisOptions,
    *,
    audio_format: str,
    speed: float,
    sample_rate_hz: int,
    max_chars: int,
) -> Iterator[EncodedChunk | None]:
    """Speak a text: each step is one sentence or clause, encoded.

    The bytes of all steps together are one file of ``audio_format``. An engine's failure ends the steps with its error,
    never with a file that only looks whole.

    Raises:
        EngineError: the engine or the encoder failed.
        InvalidRequestError: the voice can say nothing of this text.
    """
    spoken = 0
    with closing(AudioEncoder(audio_format, sample_rate_hz)) as encoder:
        tempo = TempoChanger(sample_rate_hz, speed)
        for samples in _speak(engine, text, options, sample_rate_hz, max_chars):
            # The listener gets the beginning before the rest of the sentence is encoded.
            early = 0 if spoken else round(EARLY_S * sample_rate_hz)
            spoken += samples.size
            for part in np.split(tempo.process(samples), [early]):
                if part.size:
                    yield EncodedChunk(encoder.encode(part), part.size / sample_rate_hz)
        if not spoken:
            raise InvalidRequestError(
                f"The voice {options.voice.id!r} knows none of the characters of this text; it speaks "
                f"{options.voice.language}.",
                param="input",
                code="nothing_to_say",
            )
        last = tempo.flush()
        yield EncodedChunk(encoder.encode(last) + encoder.flush(), last.size / sample_rate_hz)


def _speak(
    engine: TtsEngine, text: str, options: SynthesisOptions, sample_rate_hz: int, max_chars: int
) -> Iterator[NDArray[np.float32]]:
    """The speech with its pauses, at the output's sample rate."""
    resampler: Resampler | None = None
    source_rate_hz = 0
    pause_s = 0.0
    for chunk in split_text(text, max_chars):
        for audio in engine.synthesize(chunk.text, options):
            if resampler is None or audio.sample_rate_hz != source_rate_hz:
                if resampler is not None:
                    yield resampler.flush()
                source_rate_hz = audio.sample_rate_hz
                resampler = Resampler(source_rate_hz, sample_rate_hz)
            pause = np.zeros(round(pause_s * source_rate_hz), np.float32)
            pause_s = 0.0
            yield resampler.process(np.concatenate([pause, audio.samples]))
        pause_s = max(pause_s, PAUSES_S[chunk.boundary])
    if resampler is not None:
        yield resampler.flush()
