"""How a live transcription is asked for."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TurnDetection:
    """When an utterance begins and ends, by voice activity (Silero)."""

    threshold: float = 0.5  # probability from which on audio is speech
    prefix_padding_s: float = 0.3  # audio before the speech that belongs to it
    silence_s: float = 0.5  # a silence of this length ends the utterance


@dataclass(frozen=True)
class LiveOptions:
    """What holds for an utterance."""

    language: str | None = None  # a code or a name; None detects each utterance's
    prompt: str | None = None  # text that came before
    keywords: str | None = None  # words to expect
    turns: TurnDetection | None = TurnDetection()  # None: the client commits
