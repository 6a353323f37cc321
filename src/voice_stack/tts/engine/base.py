"""What every text to speech engine is to the service."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Capabilities:
    """What an engine can do."""

    cloning: bool = False  # speaks with the voice of a sample


@dataclass(frozen=True)
class Voice:
    """A voice that an engine can speak with."""

    id: str
    name: str  # of the speaker
    language: str  # BCP 47, as in en-US


@dataclass(frozen=True)
class SynthesisOptions:
    """How to say one piece of text."""

    voice: Voice


@dataclass(frozen=True)
class AudioChunk:
    """A piece of speech."""

    samples: NDArray[np.float32]
    """Mono, in [-1, 1], shape (samples,)."""

    sample_rate_hz: int


class TtsEngine(ABC):
    """A text to speech engine. Its methods block; none needs a loop."""

    name: str
    """The engine as ``TTS_ENGINE`` calls it."""

    capabilities: Capabilities

    @property
    @abstractmethod
    def model(self) -> str:
        """The model's name to clients."""

    @property
    @abstractmethod
    def device(self) -> str:
        """Where the model runs, or will run: ``cpu``, ``cuda:0`` ..."""

    @abstractmethod
    def load(self) -> None:
        """Load the model, and the default voice where voices are models of their own.

        Raises:
            ModelNotFoundError: there is no model, or no voice.
            ModelLoadError: it is there and cannot be used.
        """

    @abstractmethod
    def voices(self) -> Sequence[Voice]:
        """The voices, in the order of preference; valid after ``load``."""

    @abstractmethod
    def synthesize(self, text: str, options: SynthesisOptions) -> Iterator[AudioChunk]:
        """Say one sentence or clause, in pieces as they are made.

        Closing the iterator ends the work. Several may be in progress at a time; their steps may come from different
        threads, but only one step runs at a time.

        Raises:
            EngineError: the engine failed.
        """
