"""From text to encoded audio, a sentence at a time."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from voice_stack.core.errors import EngineError, InvalidRequestError
from voice_stack.tts.engine.base import TtsEngine
from voice_stack.tts.joins import PAUSES_S, Joiner
from voice_stack.tts.voices.casting import Cast
from voice_stack.utils.audio.encode import AudioEncoder
from voice_stack.utils.audio.loudness import Leveller
from voice_stack.utils.audio.resample import Resampler
from voice_stack.utils.audio.tempo import TempoChanger
from voice_stack.utils.text import Boundary, TextChunk, spoken_chunks

EARLY_S = 0.3
"""How much of the first sentence is encoded on its own, in seconds of the encoded speech."""

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
class SpeechPiece:
    """A piece of the speech, at the speed at which the engine speaks."""

    samples: NDArray[np.float32]
    """Mono, in [-1, 1], shape (samples,)."""
    duration_s: float


@dataclass(frozen=True)
class EncodedChunk:
    """Bytes of the response body, and the audio they stand for."""

    data: bytes
    duration_s: float


class SpeechEncoder:
    """Makes one file of the pieces of a speech, and sets its speed. Its methods block; it is opened at first use.

    They may be called from different threads. ``close`` waits for the others to end; after it they raise
    ``EngineError``, as they do where the encoder fails.
    """

    def __init__(self, audio_format: str, sample_rate_hz: int, *, speed: float = 1.0) -> None:
        self._format = audio_format
        self._rate_hz = sample_rate_hz
        self._speed = speed
        self._lock = threading.Lock()  # around all of the following
        self._closed = False
        self._opened: tuple[TempoChanger, AudioEncoder] | None = None

    def encode(self, piece: SpeechPiece) -> EncodedChunk:
        """The next piece; maybe no bytes of it yet."""
        with self._lock:
            tempo, encoder = self._open()
            samples = tempo.process(piece.samples)
            return EncodedChunk(encoder.encode(samples), samples.size / self._rate_hz)

    def finish(self) -> EncodedChunk:
        """What is left at the end."""
        with self._lock:
            tempo, encoder = self._open()
            samples = tempo.flush()
            return EncodedChunk(encoder.encode(samples) + encoder.flush(), samples.size / self._rate_hz)

    def close(self) -> None:
        """Release the encoder, whatever state it is in."""
        with self._lock:
            self._closed = True
            if self._opened is not None:
                self._opened[1].close()

    def _open(self) -> tuple[TempoChanger, AudioEncoder]:
        if self._closed:
            raise EngineError("The speech has ended already.")
        if self._opened is None:
            tempo = TempoChanger(self._rate_hz, self._speed)
            self._opened = tempo, AudioEncoder(self._format, self._rate_hz)
        return self._opened


def encoded_steps(
    engine: TtsEngine, script: Script, *, audio_format: str, sample_rate_hz: int
) -> Iterator[EncodedChunk | None]:
    """The steps of `speech_steps`, each encoded: the bytes of all together are one file of ``audio_format``."""
    with closing(SpeechEncoder(audio_format, sample_rate_hz, speed=script.speed)) as encoder:
        for piece in speech_steps(engine, script, sample_rate_hz=sample_rate_hz):
            yield None if piece is None else encoder.encode(piece)
        yield encoder.finish()


def speech_steps(engine: TtsEngine, script: Script, *, sample_rate_hz: int) -> Iterator[SpeechPiece | None]:
    """Speak a text: each step is a sentence or a part of one; None where there is nothing to hand out yet.

    An engine's failure ends the steps with its error, never as if all had been said.

    Raises:
        EngineError: the engine failed.
        InvalidRequestError: the voice can say nothing of this text.
    """
    flow = SpeechFlow(engine, script, sample_rate_hz)
    for chunk in text_chunks(engine, script):
        yield from flow.say(chunk)
    yield from flow.end()


def text_chunks(engine: TtsEngine, script: Script) -> Iterator[TextChunk]:
    """The pieces in which a text is spoken, each in one language."""
    return spoken_chunks(
        script.text,
        max_chars=partial(longest_chunk, engine, script),
        language_of=script.language_of,
        default_language=script.cast.own_language,
    )


def longest_chunk(engine: TtsEngine, script: Script, language: str | None) -> int:
    """The most characters of a chunk in a language."""
    limit = engine.max_chars(language or script.cast.own_language)
    return script.max_chars if limit is None else min(limit, script.max_chars)


class SpeechFlow:
    """One continuous speech of chunks of text: with its pauses, at the output's sample rate and equally loud.

    The chunks may come late, and their steps be taken on different threads, one after the other.
    """

    def __init__(self, engine: TtsEngine, script: Script, sample_rate_hz: int) -> None:
        self._engine = engine
        self._script = script
        self._rate_hz = sample_rate_hz
        self._joiner = Joiner(sample_rate_hz)
        self._leveller = Leveller(sample_rate_hz)
        self._resampler: Resampler | None = None
        self._source_rate_hz = 0
        self._pause_s = 0.0
        self._chunks = 0
        self._spoken = 0  # samples

    def say(
        self, chunk: TextChunk, *, gap: Boundary | None = None, early: bool = False
    ) -> Iterator[SpeechPiece | None]:
        """Say the next chunk; raises what the engine does.

        Args:
            gap: what lies between it and the one before; None: what that one said.
            early: somebody waits for it, as for the first chunk.
        """
        self._joiner.begin(self._pause_s if gap is None else PAUSES_S[gap])
        self._leveller.begin()
        seed = self._script.seed
        options = replace(
            self._script.cast.options(chunk.language),
            seed=None if seed is None else (seed + self._chunks * _SEED_STEP) % _SEEDS,
            early=early or not self._chunks,
        )
        self._chunks += 1
        for audio in self._engine.synthesize(chunk.text, options):
            if self._resampler is None or audio.sample_rate_hz != self._source_rate_hz:
                self._source_rate_hz = audio.sample_rate_hz
                self._resampler = Resampler(audio.sample_rate_hz, self._rate_hz)
            yield from self._pieces(self._joined(self._resampler.process(audio.samples)))
        if self._resampler is not None:
            # Each chunk ends before its pause: what the filter still holds belongs to it.
            yield from self._pieces(self._joined(self._resampler.flush()))
        self._pause_s = PAUSES_S[chunk.boundary]

    def end(self) -> Iterator[SpeechPiece | None]:
        """The end of the last chunk.

        Raises:
            InvalidRequestError: the voice could say nothing of any.
        """
        yield from self._pieces(self._joiner.end())
        if not self._spoken:
            voice = self._script.cast.lead
            raise InvalidRequestError(
                f"The voice {voice.id!r} knows none of the characters of this text; it speaks {voice.language}.",
                param="input",
                code="nothing_to_say",
            )

    def _joined(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._joiner.process(self._leveller.process(samples))

    def _pieces(self, samples: NDArray[np.float32]) -> Iterator[SpeechPiece | None]:
        if not samples.size:
            yield None
            return
        # The listener gets the beginning before the rest of the sentence is encoded.
        early = 0 if self._spoken else round(EARLY_S * self._script.speed * self._rate_hz)
        self._spoken += samples.size
        for part in np.split(samples, [early]):
            if part.size:
                yield SpeechPiece(part, part.size / self._rate_hz)
