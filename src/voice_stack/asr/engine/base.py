"""What every speech to text engine is to the service."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 16_000
"""Sample rate of all audio that engines are given."""

AudioBlock: TypeAlias = NDArray[np.float32]
"""Mono samples in [-1, 1] at ``SAMPLE_RATE_HZ``, shape (samples,)."""


@dataclass(frozen=True)
class Capabilities:
    """What an engine with its loaded model can do."""

    languages: tuple[str, ...]  # Whisper's codes
    translate: bool = False  # to English
    word_timestamps: bool = False
    detect_language: bool = False


@dataclass(frozen=True)
class TranscribeOptions:
    """How to transcribe one piece of audio."""

    language: str | None = None  # Whisper's code; None detects it
    prompt: str | None = None  # text that came before, or words to expect
    temperature: float = 0.0  # 0 decodes with beam search and falls back to sampling where that goes wrong
    word_timestamps: bool = False
    vad: bool = True  # leave out what is not speech before decoding
    beam_size: int = 5


@dataclass(frozen=True)
class Word:
    """A word with the spaces and the punctuation that belong to it."""

    start_s: float
    end_s: float
    text: str
    probability: float


@dataclass(frozen=True)
class Segment:
    """A phrase as the model cut it; times are seconds from the start of the upload."""

    start_s: float
    end_s: float
    text: str
    tokens: tuple[int, ...]
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    temperature: float
    seek: int  # frame of 10 ms at which the window that holds the segment began
    words: tuple[Word, ...] = ()


@dataclass(frozen=True)
class AudioInfo:
    """What is known before the first segment."""

    duration_s: float
    language: str  # Whisper's code
    language_probability: float


Step: TypeAlias = AudioInfo | Segment | None
"""What one step of a transcription gives; None: nothing yet, but it could be abandoned here."""


class AsrEngine(ABC):
    """A speech to text engine with one model. Every method but ``transcribe`` blocks and returns; none needs a loop."""

    name: str
    """The engine as ``ASR_ENGINE`` calls it."""

    @property
    @abstractmethod
    def model(self) -> str:
        """The model as ``ASR_MODEL`` calls it."""

    @property
    @abstractmethod
    def device(self) -> str:
        """Where the model runs, or will run: ``cpu``, ``cuda:0`` ..."""

    @property
    @abstractmethod
    def capabilities(self) -> Capabilities:
        """What the loaded model can do; valid after ``load``."""

    @abstractmethod
    def load(self) -> None:
        """Load the model.

        Raises:
            ModelNotFoundError: it is not on this machine and may not be downloaded.
            ModelLoadError: it is there and cannot be used.
        """

    @abstractmethod
    def transcribe(self, audio: Iterable[AudioBlock], options: TranscribeOptions) -> Iterator[Step]:
        """Transcribe audio that arrives in blocks of any length.

        Gives one ``AudioInfo``, then the segments in order as they are decoded, with ``None`` between where the work
        can be abandoned. Closing the iterator ends the work and lets go of the audio. Several may be in progress at a
        time; their steps may come from different threads, but only one step runs at a time.

        Raises:
            InvalidAudioError: from ``audio``; passed on.
            EngineError: the engine failed.
        """
