"""What every text to speech engine is to the service."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ANY_LANGUAGE = "mul"
"""ISO 639-2 for several languages: a voice that has none of its own."""


@dataclass(frozen=True)
class Capabilities:
    """What an engine can do."""

    cloning: bool = False  # speaks with the voice of a sample
    languages: tuple[str, ...] = ()  # what every voice speaks; empty: each its own language


@dataclass(frozen=True)
class VoiceSample:
    """A recording that a voice is cloned from."""

    path: Path
    sha256: str  # of the file's bytes


@dataclass(frozen=True)
class Voice:
    """A voice that an engine can speak with."""

    id: str
    name: str  # of the speaker
    language: str  # BCP 47, as in en-US; or ANY_LANGUAGE
    samples: tuple[VoiceSample, ...] = ()  # what it is cloned from; empty: it is the engine's own
    created_at: int = 0  # Unix time in seconds; 0: unknown


@dataclass(frozen=True)
class SynthesisOptions:
    """How to say one piece of text."""

    voice: Voice
    language: str | None = None  # to speak, as in en or zh; None: the voice's own
    seed: int | None = None  # the same seed gives the same speech, where chance plays a part; None: by chance
    early: bool = False  # somebody waits for the first sound: it may be given early at some cost to the whole


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

    max_steps: int = 1
    """How many steps, each of another iterator that ``synthesize`` gave, may run at the same time."""

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
    def unload(self) -> None:
        """Let go of all that ``load`` and the speech since then have loaded; no step is using it. Voices stay known."""

    @abstractmethod
    def voices(self) -> Sequence[Voice]:
        """The engine's own voices, in the order of preference; valid once loaded. May look at the disk."""

    def look_again(self) -> None:  # noqa: B027 - most have nothing to look at
        """Forget how the disk looked: ``voices`` is to see at once what has changed on it."""

    def max_chars(self, language: str) -> int | None:  # noqa: ARG002 - for engines that have a limit
        """The most characters that are spoken well at once in a language; None: any number."""
        return None

    @abstractmethod
    def synthesize(self, text: str, options: SynthesisOptions) -> Iterator[AudioChunk]:
        """Say one sentence or clause, in pieces as they are made.

        Closing the iterator ends the work. Several may be in progress at a time; their steps may come from different
        threads, and up to ``max_steps`` of them run at a time, never two of the same iterator.

        Raises:
            EngineError: the engine failed.
        """
