"""A transcript in each ``response_format`` of OpenAI's API, and in each file format of openai-whisper's writers."""

from collections.abc import Collection, Iterator
from typing import Literal

from fastapi import Response
from fastapi.responses import JSONResponse, PlainTextResponse

from voice_stack.asr.schemas.openai import TranscriptionJson, TranscriptionVerbose
from voice_stack.asr.subtitles.layout import lay_out
from voice_stack.asr.subtitles.timing import spoken_words
from voice_stack.asr.subtitles.writers import write_json, write_jsonl, write_srt, write_tsv, write_txt, write_vtt
from voice_stack.asr.transcript import Transcript

SUBTITLES = {"srt": write_srt, "vtt": write_vtt}

FileFormat = Literal["json", "srt", "vtt", "txt", "tsv", "jsonl"]
FILE_FORMATS: dict[FileFormat, str] = {
    "json": "application/json",
    "srt": "text/plain; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
    "tsv": "text/tab-separated-values; charset=utf-8",
    "jsonl": "application/jsonl; charset=utf-8",
}
"""The file formats with their media types."""


def render(transcript: Transcript, response_format: str, *, granularities: Collection[str], logprobs: bool) -> Response:
    """The response for a finished transcript; hours of words take a moment, so not on the event loop."""
    if response_format in SUBTITLES:
        cues = lay_out(spoken_words(transcript.segments), transcript.duration_s)
        return PlainTextResponse("".join(SUBTITLES[response_format](cues)))
    if response_format == "text":
        return PlainTextResponse(transcript.text + "\n")
    if response_format == "verbose_json":
        verbose = TranscriptionVerbose.of(
            transcript, segments="segment" in granularities, words="word" in granularities
        )
        return JSONResponse(verbose.model_dump(mode="json"))
    plain = TranscriptionJson.of(transcript, logprobs=logprobs)
    return JSONResponse(plain.model_dump(mode="json", exclude_none=True))


def write_file(transcript: Transcript, file_format: FileFormat) -> bytes:
    """The whole file in UTF-8; silence may give an empty one. Blocks for as long as hours of words take."""
    return "".join(_file(transcript, file_format)).encode()


def _file(transcript: Transcript, file_format: FileFormat) -> Iterator[str]:
    if file_format in SUBTITLES:
        return SUBTITLES[file_format](lay_out(spoken_words(transcript.segments), transcript.duration_s))
    if file_format == "json":
        return write_json(transcript.segments, transcript.language.code if transcript.language else "")
    return {"txt": write_txt, "tsv": write_tsv, "jsonl": write_jsonl}[file_format](transcript.segments)
