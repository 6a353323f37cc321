"""The voices that can be asked for."""

from typing import Annotated

from fastapi import APIRouter, Depends

from voice_stack.core.errors import VoiceNotFoundError, quoted
from voice_stack.tts.api.api_v1.endpoints.openai import get_service
from voice_stack.tts.engine.base import Voice
from voice_stack.tts.schemas.openai import VoiceInfo, VoiceList
from voice_stack.tts.service import TtsService

router = APIRouter(prefix="/audio/voices", tags=["voices"])


@router.get("", summary="Every voice, the default one first")
async def list_voices(service: Annotated[TtsService, Depends(get_service)]) -> VoiceList:
    """List the voices."""
    return VoiceList(data=[_info(service, voice) for voice in await service.voices()])


@router.get("/{voice_id}", summary="One voice")
async def get_voice(voice_id: str, service: Annotated[TtsService, Depends(get_service)]) -> VoiceInfo:
    """Describe one voice by its id."""
    voices = await service.voices()
    for voice in voices:
        if voice.id == voice_id:
            return _info(service, voice)
    names = ", ".join(voice.id for voice in voices)
    raise VoiceNotFoundError(f"There is no voice {quoted(voice_id)} here; this service has: {names}.", param="voice_id")


def _info(service: TtsService, voice: Voice) -> VoiceInfo:
    return VoiceInfo(id=voice.id, name=voice.name, language=voice.language, engine=service.engine_name)
