"""A transcript in each ``response_format``."""

from collections.abc import Collection

from fastapi import Response
from fastapi.responses import JSONResponse, PlainTextResponse

from voice_stack.asr.schemas.openai import TranscriptionJson, TranscriptionVerbose
from voice_stack.asr.subtitles.layout import lay_out
from voice_stack.asr.subtitles.timing import spoken_words
from voice_stack.asr.subtitles.writers import write_srt, write_vtt
from voice_stack.asr.transcript import Transcript

SUBTITLES = {"srt": write_srt, "vtt": write_vtt}


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
