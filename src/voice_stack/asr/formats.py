"""A transcript in each ``response_format`` of OpenAI's API."""

from collections.abc import Collection

from fastapi import Response
from fastapi.responses import JSONResponse, PlainTextResponse

from voice_stack.asr.schemas.openai import TranscriptionJson, TranscriptionVerbose
from voice_stack.asr.subtitles.files import SUBTITLES, file_text
from voice_stack.asr.transcript import Transcript


def render(transcript: Transcript, response_format: str, *, granularities: Collection[str], logprobs: bool) -> Response:
    """The response for a finished transcript; hours of words take a moment, so not on the event loop."""
    if response_format in SUBTITLES:
        return PlainTextResponse(as_file(transcript, response_format))
    if response_format == "text":
        return PlainTextResponse(transcript.text + "\n")
    if response_format == "verbose_json":
        verbose = TranscriptionVerbose.of(
            transcript, segments="segment" in granularities, words="word" in granularities
        )
        return JSONResponse(verbose.model_dump(mode="json"))
    plain = TranscriptionJson.of(transcript, logprobs=logprobs)
    return JSONResponse(plain.model_dump(mode="json", exclude_none=True))


def as_file(transcript: Transcript, file_format: str) -> bytes:
    """The whole of a file in UTF-8; silence may give an empty one. Blocks for as long as hours of words take."""
    language = transcript.language.code if transcript.language else ""
    parts = file_text(file_format, transcript.segments, duration_s=transcript.duration_s, language=language)
    return "".join(parts).encode()
