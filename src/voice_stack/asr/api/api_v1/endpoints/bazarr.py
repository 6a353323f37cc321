"""The API of whisper-asr-webservice as Bazarr uses it; it reads bodies and takes no notice of status codes."""

import asyncio
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, BinaryIO, Literal

from fastapi import APIRouter, Depends, File, Query, Request, Response, UploadFile

from voice_stack import __version__
from voice_stack.asr.api.api_v1.endpoints.openai import get_service
from voice_stack.asr.engine.base import TranscribeOptions
from voice_stack.asr.formats import as_file
from voice_stack.asr.service import AsrService, Decode
from voice_stack.asr.subtitles.files import MEDIA_TYPES, SUBTITLES, FileFormat
from voice_stack.core.disconnect import unless_disconnected
from voice_stack.core.errors import InvalidAudioError, InvalidRequestError
from voice_stack.core.models_api import ModelList
from voice_stack.utils.audio.isolation import decode_isolated
from voice_stack.utils.audio.raw import decode_pcm
from voice_stack.utils.language.whisper import LANGUAGE_NAMES

STATUS_PATHS = ("/status", "/bazarr/status")

_HASH_BYTES = 2**20
_CANTONESE = "yue"  # newer than Bazarr's table of Whisper's languages

Service = Annotated[AsrService, Depends(get_service)]
Encode = Annotated[bool, Query(description="false: the upload is headerless PCM, s16le, mono, 16 kHz")]


def _sent_file(
    audio_file: Annotated[UploadFile | None, File(description="the audio")] = None,
    file: Annotated[UploadFile | None, File(description="another name for audio_file")] = None,
) -> BinaryIO:
    sent = audio_file or file
    if sent is None:
        raise InvalidRequestError("The form has no file: send the audio as the part audio_file.", param="audio_file")
    return sent.file


Upload = Annotated[BinaryIO, Depends(_sent_file)]


_router = APIRouter(tags=["bazarr"])


@_router.get("/status", summary="What Bazarr's Test button asks for")
async def status() -> dict[str, str]:
    return {"status": "ok", "version": __version__}


@_router.post(
    "/asr",
    summary="Subtitles of an upload",
    response_class=Response,
    responses={200: {"content": {media_type.partition(";")[0]: {} for media_type in MEDIA_TYPES.values()}}},
)
async def asr(
    request: Request,
    service: Service,
    upload: Upload,
    task: Literal["transcribe", "translate"] = "transcribe",
    language: Annotated[str | None, Query(description="code or name; left out, it is detected")] = None,
    output: FileFormat = "txt",
    encode: Encode = True,
    word_timestamps: Annotated[bool, Query(description="words in json and jsonl")] = False,
    initial_prompt: Annotated[str | None, Query(description="text that came before")] = None,
) -> Response:
    """Transcribe or translate; a twin of an upload that is being worked on joins it."""
    options = TranscribeOptions(
        task=task,
        language=language or None,
        prompt=initial_prompt or None,
        word_timestamps=word_timestamps or output in SUBTITLES,
    )

    async def subtitles() -> bytes:
        digest = await asyncio.to_thread(_digest, upload)

        async def work() -> bytes:
            with _own(upload) as source:
                transcript = await service.transcribe(source, options, decode=_decoder(encode))
            return await asyncio.to_thread(as_file, transcript, output)

        return await service.results.result(f"{digest} {encode} {output} {options}", work)

    body = await unless_disconnected(request, subtitles())
    # Bazarr takes an empty body for a failure, and silence is none.
    return Response(body or b"\n", media_type=MEDIA_TYPES[output])


@_router.post("/detect-language", summary="The language of an upload, by its speech")
async def detect_language(request: Request, service: Service, upload: Upload, encode: Encode = True) -> dict[str, Any]:
    """Whisper's own name and code, or an empty object where there is nothing to tell it by."""
    try:
        language = await unless_disconnected(request, service.detect_language(upload, decode=_decoder(encode)))
    except InvalidAudioError:
        if encode:
            raise
        language = None
    if language is None:
        return {}
    code = "zh" if language.code == _CANTONESE else language.code
    return {
        "detected_language": LANGUAGE_NAMES[code],
        "language_code": code,
        "confidence": round(language.probability, 4),
    }


@_router.get("/models", summary="The models of this service")
def models(service: Service) -> ModelList:
    return ModelList(data=list(service.models()))


# Both are addresses that people configure.
at_root, below_bazarr = APIRouter(), APIRouter(prefix="/bazarr")
for _router_of_address in (at_root, below_bazarr):
    _router_of_address.include_router(_router)


def _decoder(encode: bool) -> Decode:
    return decode_isolated if encode else decode_pcm


def _digest(upload: BinaryIO) -> str:
    """Hash an upload; blocks. It is on disk afterwards."""
    upload.fileno()
    upload.seek(0)
    digest = hashlib.sha256()
    while piece := upload.read(_HASH_BYTES):
        digest.update(piece)
    return digest.hexdigest()


@contextmanager
def _own(upload: BinaryIO) -> Iterator[BinaryIO]:
    """The same file under a descriptor of its own: the request that brought it may end while its twin waits."""
    with os.fdopen(os.dup(upload.fileno()), "rb") as own:
        yield own
