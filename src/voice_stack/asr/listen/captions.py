"""What is shown of a live transcription, in each format."""

import json
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

from voice_stack.asr.engine.base import Word
from voice_stack.asr.live.events import (
    Committed,
    Completed,
    Delta,
    Failed,
    LiveEvent,
    SegmentDone,
    SpeechStarted,
    SpeechStopped,
)
from voice_stack.asr.subtitles.cues import Cue
from voice_stack.asr.subtitles.layout import lay_out
from voice_stack.asr.subtitles.writers import write_srt, write_vtt

CaptionFormat = Literal["text", "jsonl", "srt", "vtt"]

_EVENT_NAMES: dict[type[LiveEvent], str] = {
    SpeechStarted: "speech_started",
    SpeechStopped: "speech_stopped",
    Committed: "committed",
    Delta: "delta",
    SegmentDone: "segment",
    Completed: "completed",
    Failed: "failed",
}


class Captions(ABC):
    """Turns events, in their order, into the text of one format."""

    def begin(self) -> str:
        """What comes before all else."""
        return ""

    @abstractmethod
    def add(self, event: LiveEvent) -> str:
        """What an event adds; mostly nothing."""

    def end(self) -> str:
        """What ends a text that stops in the middle."""
        return ""


def captions_for(format_: CaptionFormat, *, growing: bool) -> Captions:
    """Those of a format; ``growing``: lines of text are shown word by word, as on a terminal."""
    if format_ == "text":
        return GrowingLines() if growing else Lines()
    return JsonLines() if format_ == "jsonl" else Subtitles(format_)


class Lines(Captions):
    """An utterance a line, when it is complete."""

    def add(self, event: LiveEvent) -> str:
        text = " ".join(event.text.split()) if isinstance(event, Completed) else ""
        return text and f"{text}\n"


class GrowingLines(Captions):
    """An utterance a line, which grows as it is heard."""

    def __init__(self) -> None:
        self._begun = False

    def add(self, event: LiveEvent) -> str:
        if isinstance(event, Delta):
            text = event.text if self._begun else event.text.lstrip()
            self._begun = self._begun or bool(text)
            return text.replace("\n", " ")
        return self.end() if isinstance(event, Completed | Failed) else ""

    def end(self) -> str:
        begun, self._begun = self._begun, False
        return "\n" if begun else ""


class JsonLines(Captions):
    """An event a line."""

    def add(self, event: LiveEvent) -> str:
        fields: dict[str, Any] = {
            name: round(value, 3) if isinstance(value, float) else value for name, value in vars(event).items()
        }
        if isinstance(event, Failed):
            fields["error"] = {"code": event.error.code, "message": event.error.message}
        return json.dumps({"type": _EVENT_NAMES[type(event)], **fields}, ensure_ascii=False) + "\n"


class Subtitles(Captions):
    """Cues, as soon as the utterance is complete that they belong to."""

    def __init__(self, format_: Literal["srt", "vtt"]) -> None:
        self._is_vtt = format_ == "vtt"
        self._cues: deque[Cue] = deque()
        write: Callable[[Iterable[Cue]], Iterator[str]] = write_vtt if self._is_vtt else write_srt
        # It takes a cue when its text is asked for.
        self._texts = write(iter(self._cues.popleft, None))
        self._said: dict[str, list[Word]] = {}
        self._stops_s: dict[str, float] = {}
        self._shown_s = 0.0

    def begin(self) -> str:
        return next(self._texts) if self._is_vtt else ""

    def add(self, event: LiveEvent) -> str:
        match event:
            case SpeechStopped():
                self._stops_s[event.utterance] = event.at_s
            case SegmentDone():
                word = Word(event.start_s, event.end_s, event.text, 1.0)
                self._said.setdefault(event.utterance, []).append(word)
            case Completed() | Failed():
                return self._cues_of(event.utterance)
        return ""

    def _cues_of(self, utterance: str) -> str:
        said = self._said.pop(utterance, [])
        stop_s = self._stops_s.pop(utterance, 0.0)
        end_s = max([stop_s, *(word.end_s for word in said)])
        texts = []
        for cue in lay_out(said, end_s):
            # A short one may begin before its utterance, where another is still shown.
            start_s = max(cue.start_s, self._shown_s)
            self._shown_s = max(cue.end_s, start_s)
            self._cues.append(Cue(start_s, self._shown_s, cue.lines))
            texts.append(next(self._texts))
        return "".join(texts)
