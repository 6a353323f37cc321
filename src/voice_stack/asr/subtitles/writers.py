"""The file formats: subtitles of cues (SubRip, WebVTT), and the formats of ``whisper/utils.py`` (openai/whisper)
of segments. Every writer gives its text in parts, as its input comes, and never a byte order mark.
"""

import json
import math
from collections.abc import Iterable, Iterator
from typing import Any

from voice_stack.asr.engine.base import Segment
from voice_stack.asr.subtitles.cues import Cue

_VTT_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def write_srt(cues: Iterable[Cue]) -> Iterator[str]:
    """SubRip; no cues give no text. The format knows no escapes: text is written as it is."""
    for number, cue in enumerate(cues, start=1):
        lines = "\n".join(cue.lines)
        yield f"{number}\n{_timestamp(cue.start_s, ',')} --> {_timestamp(cue.end_s, ',')}\n{lines}\n\n"


def write_vtt(cues: Iterable[Cue]) -> Iterator[str]:
    """WebVTT (W3C); no cues give a header."""
    yield "WEBVTT\n\n"
    for cue in cues:
        lines = "\n".join(cue.lines).translate(_VTT_ESCAPES)
        yield f"{_timestamp(cue.start_s, '.')} --> {_timestamp(cue.end_s, '.')}\n{lines}\n\n"


def write_txt(segments: Iterable[Segment]) -> Iterator[str]:
    """One segment a line."""
    for segment in segments:
        yield f"{_one_line(segment.text)}\n"


def write_tsv(segments: Iterable[Segment]) -> Iterator[str]:
    """Start and end in whole milliseconds and the text, with tabs between, below a line of names."""
    yield "start\tend\ttext\n"
    for segment in segments:
        yield f"{_milliseconds(segment.start_s)}\t{_milliseconds(segment.end_s)}\t{_one_line(segment.text)}\n"


def write_jsonl(segments: Iterable[Segment]) -> Iterator[str]:
    """One JSON object a line, each a segment as in `write_json`."""
    for number, segment in enumerate(segments):
        yield _dump(_as_json(number, segment)) + "\n"


def write_json(segments: Iterable[Segment], language: str) -> Iterator[str]:
    """The result object of openai-whisper: ``segments``, ``text`` and ``language`` (Whisper's code)."""
    texts = []
    yield '{"segments": ['
    for number, segment in enumerate(segments):
        texts.append(segment.text)
        yield (", " if number else "") + _dump(_as_json(number, segment))
    yield f'], "text": {_dump("".join(texts))}, "language": {_dump(language)}}}\n'


def _timestamp(seconds: float, marker: str) -> str:
    total = _milliseconds(seconds)
    return f"{total // 3_600_000:02}:{total // 60_000 % 60:02}:{total // 1000 % 60:02}{marker}{total % 1000:03}"


def _milliseconds(seconds: float) -> int:
    return max(0, round(seconds * 1000)) if math.isfinite(seconds) else 0


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _as_json(number: int, segment: Segment) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "id": number,
        "seek": segment.seek,
        "start": _number(segment.start_s),
        "end": _number(segment.end_s),
        "text": segment.text,
        "tokens": list(segment.tokens),
        "temperature": _number(segment.temperature),
        "avg_logprob": _number(segment.avg_logprob),
        "compression_ratio": _number(segment.compression_ratio),
        "no_speech_prob": _number(segment.no_speech_prob),
    }
    if segment.words:
        fields["words"] = [
            {
                "word": word.text,
                "start": _number(word.start_s),
                "end": _number(word.end_s),
                "probability": _number(word.probability),
            }
            for word in segment.words
        ]
    return fields


def _number(value: float) -> float | None:
    # JSON has no NaN, and clients' parsers reject it.
    return round(value, 6) if math.isfinite(value) else None


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
