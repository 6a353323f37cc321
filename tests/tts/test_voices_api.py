"""``/v1/audio/voices`` and ``/v1/audio/voice_consents`` with an engine that clones, by OpenAI's SDK where it can."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from fastapi import FastAPI
from openai import AsyncOpenAI
from openai.types.audio import Voice, VoiceConsent

from tests.conftest import SettingsFactory
from tests.support.engines import CloningEngine, FakeTtsEngine
from tests.support.serving import client_of, served
from tests.support.speech import decode, wav_bytes
from tests.tts.voices.test_names import TRICKS
from tests.tts.voices.test_samples import driven
from voice_stack.tts.api.api_v1.endpoints.voices import MAX_UPLOAD_BYTES
from voice_stack.tts.app import create_app

pytestmark = pytest.mark.anyio

VOICES = "/v1/audio/voices"
CONSENTS = "/v1/audio/voice_consents"


@pytest.fixture(scope="module")
def fox(speech_dir: Path) -> bytes:
    """A good recording."""
    return (speech_dir / "en" / "quick_brown_fox.wav").read_bytes()


@pytest.fixture
def app(make_settings: SettingsFactory) -> FastAPI:
    """A service that clones."""
    return create_app(make_settings(), CloningEngine())


@asynccontextmanager
async def sdk_of(app: FastAPI, api_key: str = "none") -> AsyncIterator[AsyncOpenAI]:
    """OpenAI's SDK, talking to an app in this process."""
    transport = httpx2.ASGITransport(app)
    async with (
        client_of(app),
        httpx2.AsyncClient(transport=transport) as http,
        AsyncOpenAI(base_url="http://test/v1", api_key=api_key, http_client=http, max_retries=0) as client,
    ):
        yield client


def form(name: str, data: bytes, **more: str) -> dict[str, Any]:
    return {"data": {"name": name, **more}, "files": {"audio_sample": ("sample.wav", data)}}


async def test_the_sdk_makes_uses_and_deletes_a_voice(app: FastAPI, fox: bytes) -> None:
    async with sdk_of(app) as client:
        made = await client.audio.voices.create(name="anna", audio_sample=("a.wav", fox), consent="paper 12")
        assert (made.id, made.name, made.object, made.type) == ("anna_en", "anna", "audio.voice", "audio_sample")
        one = await client.get(f"/audio/voices/{made.id}", cast_to=Voice)
        assert one.to_dict() == made.to_dict()
        assert one.to_dict()["languages"] == ["en", "de", "fr"]
        assert (one.to_dict()["language"], one.to_dict()["engine"]) == ("en", "fake")
        spoken = await client.audio.speech.create(model="tts-1", voice={"id": made.id}, input="Hello there.")
        assert decode(spoken.content).size
        assert (await client.audio.voices.delete(made.id)).to_dict() == {
            "id": "anna_en",
            "deleted": True,
            "object": "audio.voice.deleted",
        }
        with pytest.raises(openai.NotFoundError):
            await client.audio.voices.delete(made.id)
        with pytest.raises(openai.NotFoundError):
            await client.audio.speech.create(model="tts-1", voice=made.id, input="Hello there.")


async def test_the_sdk_keeps_lists_renames_and_deletes_consents(app: FastAPI, fox: bytes) -> None:
    async with sdk_of(app) as client:
        consents = client.audio.voice_consents
        made = [
            await consents.create(name=f"Yes {number}", language="en-US", recording=("yes.wav", fox))
            for number in range(3)
        ]
        listed = [consent async for consent in consents.list(limit=2)]
        assert sorted(each.id for each in listed) == sorted(each.id for each in made)
        first = made[0]
        assert (await consents.retrieve(first.id)) == first
        assert (await consents.update(first.id, name="Maybe")).name == "Maybe"
        voice = await client.audio.voices.create(name="anna", audio_sample=("a.wav", fox), consent=first.id)
        deleted = await consents.delete(first.id)
        assert (deleted.id, deleted.deleted, deleted.object) == (first.id, True, "audio.voice_consent")
        with pytest.raises(openai.NotFoundError):
            await consents.retrieve(first.id)
        with pytest.raises(openai.NotFoundError, match="no consent"):
            await client.audio.voices.create(name="bob", audio_sample=("b.wav", fox), consent=first.id)
        assert (await client.get(f"/audio/voices/{voice.id}", cast_to=Voice)).id == voice.id
        assert isinstance(first, VoiceConsent)


async def test_the_language_is_the_fields_or_the_names_or_english(app: FastAPI, fox: bytes) -> None:
    async with client_of(app) as client:
        for request, expected in [
            (form("anna", fox), ("anna_en", "anna", "en")),
            (form("anna_de", fox), ("anna_de", "anna", "de")),
            (form("anna", fox, language="pt-br", type="audio_sample"), ("anna_pt-br", "anna", "pt-BR")),
        ]:
            answer = await client.post(VOICES, **request)
            assert answer.status_code == 200, answer.text
            body = answer.json()
            assert (body["id"], body["name"], body["language"]) == expected


async def test_the_list_is_whole_unless_it_is_asked_for_in_pages(app: FastAPI, fox: bytes) -> None:
    async with client_of(app) as client:
        for name in ("anna", "bob", "carl"):
            await client.post(VOICES, **form(name, fox))
        whole = (await client.get(VOICES)).json()
        ids = ["Claribel Dervla", "anna_en", "bob_en", "carl_en"]
        assert [voice["id"] for voice in whole["data"]] == ids
        assert (whole["object"], whole["has_more"], whole["first_id"], whole["last_id"]) == (
            "list",
            False,
            ids[0],
            ids[-1],
        )
        page = (await client.get(VOICES, params={"after": "anna_en", "limit": 1})).json()
        assert ([voice["id"] for voice in page["data"]], page["has_more"]) == (["bob_en"], True)
        for bad in ({"after": "nobody"}, {"limit": 0}, {"limit": 101}):
            assert (await client.get(VOICES, params=bad)).status_code == 400


async def test_a_name_that_is_taken_is_a_conflict(app: FastAPI, fox: bytes) -> None:
    async with client_of(app) as client:
        assert (await client.post(VOICES, **form("anna", fox))).status_code == 200
        for name in ("anna", "ANNA", "anna_en", "alloy", "Alloy_de", "claribel dervla"):
            answer = await client.post(VOICES, **form(name, fox))
            error = answer.json()["error"]
            assert (answer.status_code, error["code"], error["param"]) == (409, "conflict", "name"), name


async def test_voices_that_are_not_ours_cannot_be_deleted(app: FastAPI) -> None:
    async with client_of(app) as client:
        for voice_id in ("Claribel Dervla", "alloy", "Nova"):
            answer = await client.delete(f"{VOICES}/{voice_id}")
            assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")
        for voice_id in ("nobody", "..%2Fx", "%2e%2e", "anna_en.wav"):
            assert (await client.delete(f"{VOICES}/{voice_id}")).status_code == 404


async def test_a_request_that_cannot_be_says_which_part(
    app: FastAPI, make_settings: SettingsFactory, fox: bytes
) -> None:
    clipped = wav_bytes(driven(decode(fox), 10))
    async with client_of(app) as client:
        cases: list[tuple[dict[str, Any], str, str]] = [
            ({"data": {"name": "anna"}}, "audio_sample", "recording"),
            ({"files": {"audio_sample": ("a.wav", fox)}}, "name", "name"),
            ({"data": {"name": "anna", "audio_sample": "text"}}, "audio_sample", ""),
            (form("anna", fox, type="prompt", prompt="a deep voice"), "type", "descriptions"),
            ({"json": {"type": "prompt", "name": "anna", "prompt": "a deep voice"}}, "type", "descriptions"),
            (form("anna", fox, language="klingon"), "language", "ISO 639-1"),
            (form("anna_de", fox, language="fr"), "name", "language"),
            (form("anna", b"words"), "audio_sample", "format"),
            (form("anna", b""), "audio_sample", "empty"),
            (form("anna", fox[:40_000]), "audio_sample", "cut off"),
            (form("anna", clipped), "audio_sample", "clipped"),
        ]
        for request, param, words in cases:
            answer = await client.post(VOICES, **request)
            error = answer.json()["error"]
            assert (answer.status_code, error["param"]) == (400, param), error
            assert words in error["message"]
        assert (await client.post(CONSENTS, data={"name": "a", "language": "en"})).json()["error"][
            "param"
        ] == "recording"
    assert not list(make_settings().tts_voice_dir.glob("*.wav"))


async def test_no_name_writes_outside_the_folder_or_strangely_inside_it(
    app: FastAPI, make_settings: SettingsFactory, fox: bytes
) -> None:
    folder = make_settings().tts_voice_dir
    async with client_of(app) as client:
        for trick, name in TRICKS.items():
            if trick == "lone surrogate":
                continue  # no client can send it
            answer = await client.post(VOICES, **form(name, fox))
            assert (answer.status_code, answer.json()["error"]["param"]) == (400, "name"), trick
        crafted = form("anna", fox)
        crafted["files"] = {"audio_sample": ("../../evil.wav", fox)}
        assert (await client.post(VOICES, **crafted)).status_code == 200
    assert [path.name for path in folder.iterdir()] == ["anna_en.wav"]
    assert [path.name for path in folder.parent.iterdir()] == ["voices"]


async def test_a_voice_whose_recording_is_bad_says_why_wherever_it_is_asked_for(
    app: FastAPI, make_settings: SettingsFactory
) -> None:
    folder = make_settings().tts_voice_dir
    folder.mkdir()
    (folder / "anna_en.wav").write_bytes(b"")
    speech = {"model": "tts-1", "input": "Hello."}
    async with client_of(app) as client:
        for answer in (
            await client.get(f"{VOICES}/anna_en"),
            await client.post("/v1/audio/speech", json={**speech, "voice": "anna_en"}),
            await client.post("/v1/audio/speech", json={**speech, "voice": "anna"}),
        ):
            error = answer.json()["error"]
            assert (answer.status_code, error["code"]) == (404, "voice_not_found")
            assert "anna_en.wav: The file is empty" in error["message"]
            assert str(folder) not in error["message"]


async def test_an_engine_that_does_not_clone_says_what_to_do(make_settings: SettingsFactory, fox: bytes) -> None:
    app = create_app(make_settings(), FakeTtsEngine())
    folder = make_settings().tts_voice_dir
    folder.mkdir()
    (folder / "anna_en.wav").write_bytes(fox)
    async with client_of(app) as client:
        answer = await client.post(VOICES, **form("anna", fox))
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (400, "cloning_not_supported")
        assert "TTS_ENGINE=coqui" in error["message"]
        assert [voice["name"] for voice in (await client.get(VOICES)).json()["data"]] == ["ann", "bert", "cleo"]
        assert (await client.delete(f"{VOICES}/de_DE-bert-low")).status_code == 409
        assert (await client.delete(f"{VOICES}/anna_en")).status_code == 404
    assert (folder / "anna_en.wav").exists()


async def test_the_api_key_guards_every_route_of_voices(make_settings: SettingsFactory, fox: bytes) -> None:
    app = create_app(make_settings(api_keys=("secret",)), CloningEngine())
    async with client_of(app) as client:
        for path in (VOICES, CONSENTS):
            for method, target in [("GET", path), ("POST", path), ("GET", f"{path}/x"), ("DELETE", f"{path}/x")]:
                assert (await client.request(method, target)).status_code == 401
        assert (await client.post(f"{CONSENTS}/x", json={"name": "y"})).status_code == 401
    app = create_app(make_settings(api_keys=("secret",)), CloningEngine())
    async with sdk_of(app, "secret") as sdk:
        assert (await sdk.audio.voices.create(name="anna", audio_sample=fox, consent="x")).id == "anna_en"


async def test_consents_are_never_served_nor_taken_for_voices(
    app: FastAPI, make_settings: SettingsFactory, fox: bytes
) -> None:
    async with client_of(app) as client:
        made = (
            await client.post(
                CONSENTS, data={"name": "Yes", "language": "en"}, files={"recording": ("anna_en.wav", fox)}
            )
        ).json()
        answer = await client.get(f"{CONSENTS}/{made['id']}")
        assert json.loads(answer.content) == made
        assert set(made) == {"id", "object", "name", "language", "created_at"}
        assert [voice["id"] for voice in (await client.get(VOICES)).json()["data"]] == ["Claribel Dervla"]
        for target in (f"{made['id']}.recording", f"{made['id']}.json", f"{made['id']}/content"):
            assert (await client.get(f"{CONSENTS}/{target}")).status_code == 404
    assert [path.name for path in make_settings().tts_voice_dir.iterdir()] == [".consents"]


@pytest.mark.parametrize(("path", "param"), [(VOICES, "audio_sample"), (CONSENTS, "recording")])
def test_an_upload_over_the_limit_is_refused_while_it_arrives(app: FastAPI, path: str, param: str) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        yield b'--x\r\nContent-Disposition: form-data; name="audio_sample"; filename="a.wav"\r\n\r\n'
        while sent < 4 * MAX_UPLOAD_BYTES:
            sent += 2**20
            yield bytes(2**20)

    with served(app) as url:
        headers = {"content-type": "multipart/form-data; boundary=x"}
        answer = httpx2.post(f"{url}{path}", content=endless(), headers=headers, timeout=30)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["param"]) == (413, "upload_too_large", param)
        assert "10.06 MiB" in error["message"]
        declared = httpx2.post(f"{url}{path}", content=bytes(MAX_UPLOAD_BYTES + 2**20), headers=headers)
        assert declared.status_code == 413


async def test_more_than_a_speech_request_may_hold_fits_into_a_recording(
    make_settings: SettingsFactory, fox: bytes
) -> None:
    app = create_app(make_settings(tts_max_input_chars=100), CloningEngine())
    async with client_of(app) as client:
        assert (await client.post(VOICES, **form("anna", fox))).status_code == 200
        too_long = {"model": "tts-1", "voice": "alloy", "input": "word " * 20_000}
        assert (await client.post("/v1/audio/speech", json=too_long)).status_code == 413


async def test_what_a_killed_process_left_of_uploads_is_gone_when_the_service_has_started(
    make_settings: SettingsFactory,
) -> None:
    settings = make_settings()
    name = f".{'0123456789abcdef' * 2}.partial"
    left = [settings.tts_voice_dir / name, settings.tts_voice_dir / ".consents" / name]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half of a recording")
    async with client_of(create_app(settings, CloningEngine())):
        assert not [path for path in left if path.exists()]
