"""OpenAI's voices API: the voices that can be asked for, and new ones from recordings."""

import logging
from typing import Annotated

from fastapi import APIRouter, Depends, File, Form, Query, Request, UploadFile

from voice_stack.core.errors import InvalidRequestError, quoted
from voice_stack.tts.api.api_v1.endpoints.openai import get_service
from voice_stack.tts.engine.base import Voice
from voice_stack.tts.schemas.voices import VoiceDeleted, VoiceInfo, VoiceList, cut_page
from voice_stack.tts.service import TtsService
from voice_stack.tts.voices.consents import ID_PREFIX

_logger = logging.getLogger(__name__)

PREFIX = "/audio/voices"
MAX_UPLOAD_BYTES = 10 * 2**20
"""As OpenAI's."""

router = APIRouter(prefix=PREFIX, tags=["voices"])

Service = Annotated[TtsService, Depends(get_service)]
After = Annotated[str | None, Query(description="the id after which the list goes on")]


@router.get("", summary="Every voice, the default one first")
async def list_voices(
    service: Service,
    after: After = None,
    limit: Annotated[int | None, Query(ge=1, le=100, description="left out, all of them")] = None,
) -> VoiceList:
    """List the voices."""
    voices, has_more = cut_page(await service.voices(), after, limit)
    return VoiceList.of([_info(service, voice) for voice in voices], has_more=has_more)


@router.post("", summary="Make a voice from a recording", responses={409: {}})
async def create_voice(
    request: Request,
    service: Service,
    audio_sample: Annotated[UploadFile | None, File(description="2 to 120 s of one person speaking")] = None,
    name: Annotated[str | None, Form(description="may end in the language, as in anna_de")] = None,
    consent: Annotated[str | None, Form(description="id of a consent recording, or a reference of your own")] = None,
    kind: Annotated[str, Form(alias="type", description="audio_sample; no engine here takes prompt")] = "audio_sample",
    language: Annotated[str | None, Form(description="of the recording, as in de; else by the name, else en")] = None,
) -> VoiceInfo:
    """Make a voice; it speaks every language that the engine does."""
    is_json = "json" in request.headers.get("content-type", "")
    if kind != "audio_sample" or is_json:
        raise InvalidRequestError(
            "No engine here makes voices from descriptions (type=prompt): send audio_sample and name as "
            "multipart/form-data.",
            param="type",
            code="prompt_not_supported",
        )
    if not name:
        raise InvalidRequestError("Send the name of the new voice.", param="name")
    if audio_sample is None:
        raise InvalidRequestError("Send a recording of the voice, as a file.", param="audio_sample")
    if consent and consent.startswith(ID_PREFIX):
        await service.with_files(service.consents.get, consent)
    voice = await service.add_voice(name, language or None, audio_sample.file)
    _logger.info("added a voice")
    _logger.debug("it is %s (consent: %s)", quoted(voice.id), quoted(consent or "none"))
    return _info(service, voice)


@router.post("/reload", summary="Look at the folders of the voices at once")
async def reload_voices(service: Service) -> VoiceList:
    """Every voice, the default one first. Changes are noticed without this, too, within a second or so."""
    return VoiceList.of([_info(service, voice) for voice in await service.reload_voices()], has_more=False)


@router.get("/{voice_id}", summary="One voice")
async def get_voice(voice_id: str, service: Service) -> VoiceInfo:
    """Describe one voice by its id."""
    return _info(service, await service.voice(voice_id))


@router.delete("/{voice_id}", summary="Delete a voice that was made from a recording", responses={409: {}})
async def delete_voice(voice_id: str, service: Service) -> VoiceDeleted:
    """Delete the recordings of one voice; what it is saying now goes on."""
    await service.remove_voice(voice_id)
    _logger.info("deleted a voice")
    _logger.debug("it was %s", quoted(voice_id))
    return VoiceDeleted(id=voice_id)


def _info(service: TtsService, voice: Voice) -> VoiceInfo:
    return VoiceInfo.of(voice, engine=service.engine_name, languages=service.capabilities.languages)
