"""From text to encoded audio, a sentence at a time."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from voice_stack.core.errors import EngineError
from voice_stack.tts.engine.base import SynthesisOptions, TtsEngine
from voice_stack.utils.audio.encode import AudioEncoder
from voice_stack.utils.audio.resample import Resampler
from voice_stack.utils.text import Boundary, split_text

PAUSES_S = {Boundary.WORD: 0.0, Boundary.CLAUSE: 0.05, Boundary.SENTENCE: 0.2, Boundary.PARAGRAPH: 0.5}
"""Silence after a chunk that is not the last, in seconds, by what ended it."""


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
    sample_rate_hz: int,
    max_chars: int,
) -> Iterator[EncodedChunk | None]:
    """Speak a text: each step is one sentence or clause, encoded.

    The bytes of all steps together are one file of ``audio_format``. An engine's failure ends the steps with its error,
    never with a file that only looks whole.

    Raises:
        EngineError: the engine or the encoder failed, or said nothing.
    """
    resampler: Resampler | None = None
    source_rate_hz = 0
    pause_s = 0.0
    spoken = 0
    with closing(AudioEncoder(audio_format, sample_rate_hz)) as encoder:
        for chunk in split_text(text, max_chars):
            for audio in engine.synthesize(chunk.text, options):
                if resampler is None or audio.sample_rate_hz != source_rate_hz:
                    tail = resampler.flush() if resampler is not None else np.zeros(0, np.float32)
                    source_rate_hz = audio.sample_rate_hz
                    resampler = Resampler(source_rate_hz, sample_rate_hz)
                else:
                    tail = np.zeros(0, np.float32)
                silence = np.zeros(round(pause_s * source_rate_hz), np.float32)
                pause_s = 0.0
                samples = np.concatenate([tail, resampler.process(np.concatenate([silence, audio.samples]))])
                spoken += samples.size
                yield EncodedChunk(encoder.encode(samples), samples.size / sample_rate_hz)
            pause_s = max(pause_s, PAUSES_S[chunk.boundary])
        rest = resampler.flush() if resampler is not None else np.zeros(0, np.float32)
        if spoken + rest.size == 0:
            raise EngineError("The engine made no sound of this text.")
        yield EncodedChunk(encoder.encode(rest) + encoder.flush(), rest.size / sample_rate_hz)
