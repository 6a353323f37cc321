"""What every speech to text engine is to the service."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from voice_stack.core.errors import EngineError
from voice_stack.utils.audio.vad import VadOptions
from voice_stack.utils.scheduling import Work

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
    live: bool = False  # whether it has hypotheses of speech that goes on


@dataclass(frozen=True)
class TranscribeOptions:
    """How to transcribe one piece of audio."""

    task: Literal["transcribe", "translate"] = "transcribe"  # translate: to English
    language: str | None = None  # Whisper's code; None detects it
    prompt: str | None = None  # text that came before
    hotwords: str | None = None  # words to expect, in each window
    temperature: float = 0.0  # 0 decodes with beam search and falls back to sampling where that goes wrong
    word_timestamps: bool = False
    segment_times: bool = True  # whether anybody looks at them; to find them can cost time
    vad: VadOptions | None = None  # what counts as speech; what does not is never decoded. None: the defaults
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
class Language:
    """What is spoken: known before the first segment, and never where there is no speech."""

    code: str  # Whisper's
    probability: float  # 1.0 where the request said it


@dataclass(frozen=True)
class Position:
    """How much of the upload has been worked through; the last one is its duration."""

    upload_s: float


Step: TypeAlias = Language | Segment | Position
"""What a transcription gives as it goes on."""


@dataclass(frozen=True)
class LiveWindow:
    """Speech that may go on, and what was given out of its text."""

    samples: AudioBlock  # no more than 25 s
    options: TranscribeOptions  # language, prompt, hotwords and beam size count
    prefix: tuple[int, ...] = ()  # tokens that the text begins with
    final: bool = False  # decode with all care, not as fast as can be
    timed: bool = False  # tell when each word was spoken
    whole: bool = False  # in the model's full window, where the engine has shorter ones


@dataclass(frozen=True)
class Piece:
    """The fewest tokens that spell whole characters."""

    text: str
    tokens: tuple[int, ...]
    span_s: tuple[float, float] = (0.0, 0.0)  # of its word in the samples, where that was asked for
    probability: float = 1.0  # of its word, likewise


@dataclass(frozen=True)
class Hypothesis:
    """What speech that may go on seems to say so far."""

    pieces: tuple[Piece, ...]  # those of the prefix first
    language: Language
    avg_logprob: float  # of what follows the prefix, the end of the text included
    compression_ratio: float
    no_speech_prob: float

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(piece.text for piece in self.pieces)


class AsrEngine(ABC):
    """A speech to text engine with one model. No method needs an event loop, and every one blocks."""

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

    @property
    def lanes(self) -> int:
        """Calls of the model that may run at the same time; valid after ``load``."""
        return 1

    @abstractmethod
    def load(self) -> None:
        """Load the model.

        Raises:
            ModelNotFoundError: it is not on this machine and may not be downloaded.
            ModelLoadError: it is there and cannot be used.
        """

    @abstractmethod
    def unload(self) -> None:
        """Let go of the model, which no step is using; ``load`` loads it again. Capabilities and device stay known."""

    @abstractmethod
    def transcribe(self, audio: Iterable[AudioBlock], options: TranscribeOptions) -> Iterator[Step | None]:
        """Transcribe audio that arrives in blocks of any length.

        Gives the ``Language`` where there is speech, then the segments in order as they are decoded, with ``Position``
        now and then and at the end, and ``None`` where the work can be abandoned. Memory does not grow with the audio.
        Closing the iterator ends the work. Several may be in progress at a time, on different threads.

        Raises:
            InvalidAudioError: from ``audio``; passed on.
            EngineError: the engine failed.
        """

    @abstractmethod
    def detect_language(self, audio: Iterable[AudioBlock]) -> Iterator[Language | None]:
        """Tell what is spoken: gives one ``Language``, or none where there is no speech, with ``None`` before.

        Reads no more of ``audio`` than it needs.

        Raises:
            InvalidAudioError: from ``audio``; passed on.
            EngineError: the engine failed.
        """

    def shared_transcription(
        self, audio: Iterable[AudioBlock], options: TranscribeOptions
    ) -> Iterator[Step | Work[Any] | None]:
        """The same as ``transcribe``, but calls of the model are ``Work``, which may share a batch with others'.

        For a ``StepQueue`` with ``lanes`` lanes.
        """
        return self.transcribe(audio, options)

    def shared_detection(self, audio: Iterable[AudioBlock]) -> Iterator[Language | Work[Any] | None]:
        """The same as ``detect_language``, likewise."""
        return self.detect_language(audio)

    def hypothesis(self, window: LiveWindow) -> Work[Hypothesis]:  # noqa: ARG002 - for engines that have some
        """What a window says, as one call of the model; for engines that are ``capabilities.live``.

        Raises:
            EngineError: the engine has none; or, from the work, it failed.
        """
        raise EngineError(f"The engine {self.name} cannot transcribe live.")
