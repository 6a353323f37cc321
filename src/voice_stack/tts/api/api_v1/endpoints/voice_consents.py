"""OpenAI's API for the recordings in which people allow that their voice is cloned."""

from typing import Annotated

from fastapi import APIRouter, Depends, File, Form, Query, UploadFile

from voice_stack.tts.api.api_v1.endpoints.openai import get_service
from voice_stack.tts.schemas.voices import ConsentDeleted, ConsentInfo, ConsentList, ConsentUpdate, cut_page
from voice_stack.tts.service import TtsService

PREFIX = "/audio/voice_consents"

router = APIRouter(prefix=PREFIX, tags=["voices"])

Service = Annotated[TtsService, Depends(get_service)]


@router.get("", summary="The consent recordings, the oldest first")
async def list_consents(
    service: Service,
    after: Annotated[str | None, Query(description="the id after which the list goes on")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> ConsentList:
    """List what is known of them."""
    consents, has_more = cut_page(await service.with_files(service.consents.list), after, limit)
    return ConsentList.of([ConsentInfo.of(consent) for consent in consents], has_more=has_more)


@router.post("", summary="Keep a consent recording")
async def create_consent(
    service: Service,
    name: Annotated[str, Form(description="a label")],
    language: Annotated[str, Form(description="of what is said, as in en-US")],
    recording: Annotated[UploadFile, File(description="of 120 s at most; never served back")],
) -> ConsentInfo:
    """Keep a recording beside the voices."""
    return ConsentInfo.of(await service.with_files(service.consents.create, name, language, recording.file))


@router.get("/{consent_id}", summary="One of them")
async def get_consent(consent_id: str, service: Service) -> ConsentInfo:
    """What is known of one."""
    return ConsentInfo.of(await service.with_files(service.consents.get, consent_id))


@router.post("/{consent_id}", summary="Give one another label")
async def update_consent(consent_id: str, body: ConsentUpdate, service: Service) -> ConsentInfo:
    """Change the label."""
    return ConsentInfo.of(await service.with_files(service.consents.rename, consent_id, body.name))


@router.delete("/{consent_id}", summary="Delete one; voices made with it stay")
async def delete_consent(consent_id: str, service: Service) -> ConsentDeleted:
    """Delete the recording and what is known of it."""
    await service.with_files(service.consents.remove, consent_id)
    return ConsentDeleted(id=consent_id)
