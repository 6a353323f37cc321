"""Every file format by its name."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Literal

from voice_stack.asr.engine.base import Segment
from voice_stack.asr.subtitles.cues import LayoutOptions
from voice_stack.asr.subtitles.layout import lay_out
from voice_stack.asr.subtitles.timing import spoken_words
from voice_stack.asr.subtitles.writers import write_json, write_jsonl, write_srt, write_tsv, write_txt, write_vtt

FileFormat = Literal["srt", "vtt", "txt", "json", "tsv", "jsonl"]

MEDIA_TYPES: dict[FileFormat, str] = {
    "srt": "text/plain; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
    "json": "application/json",
    "tsv": "text/tab-separated-values; charset=utf-8",
    "jsonl": "application/jsonl; charset=utf-8",
}

SUBTITLES = {"srt": write_srt, "vtt": write_vtt}
_LISTS = {"txt": write_txt, "tsv": write_tsv, "jsonl": write_jsonl}


def file_text(
    file_format: str,
    segments: Iterable[Segment],
    *,
    duration_s: float,
    language: str,
    words: bool = True,
    layout: LayoutOptions | None = None,
) -> Iterator[str]:
    """The text of a file, in parts.

    Args:
        duration_s: of the audio; no cue lasts longer.
        language: Whisper's code, or empty where there was nothing to tell it by.
        words: whether the JSON formats list them where segments have them.
    """
    if file_format in SUBTITLES:
        return SUBTITLES[file_format](lay_out(spoken_words(segments), duration_s, layout))
    if not words:
        segments = (replace(segment, words=()) for segment in segments)
    return write_json(segments, language) if file_format == "json" else _LISTS[file_format](segments)
