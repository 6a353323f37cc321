"""Looking at the folders of the voices when asked to, and telling what came and went."""

import logging
from pathlib import Path

import pytest

from tests.conftest import SettingsFactory
from tests.support.engines import CloningEngine
from tests.support.serving import client_of
from tests.tts.test_voices_api import VOICES
from voice_stack.tts.app import create_app
from voice_stack.tts.voices import library

pytestmark = pytest.mark.anyio


async def test_a_reload_answers_with_the_voices_as_they_are_now_and_logs_what_has_changed(
    make_settings: SettingsFactory, speech_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(library.VoiceLibrary.__init__, "__kwdefaults__", {"rescan_s": 3600})
    settings = make_settings(api_keys=("secret",))
    settings.tts_voice_dir.mkdir()
    fox = (speech_dir / "en" / "quick_brown_fox.wav").read_bytes()
    anna, bert = (settings.tts_voice_dir / f"{name}_en.wav" for name in ("anna", "bert"))
    anna.write_bytes(fox)
    app = create_app(settings, CloningEngine())
    async with client_of(app) as client:
        assert (await client.post(f"{VOICES}/reload")).status_code == 401
        client.headers["authorization"] = "Bearer secret"
        listed = (await client.get(VOICES)).json()
        bert.write_bytes(fox)
        assert (await client.get(VOICES)).json() == listed, "not looked at yet"
        with caplog.at_level(logging.INFO):
            reloaded = (await client.post(f"{VOICES}/reload")).json()
            assert {voice["id"] for voice in reloaded["data"]} == {"anna_en", "bert_en", "Claribel Dervla"}
            assert (await client.get(VOICES)).json() == reloaded
            anna.unlink()
            bert.write_bytes((speech_dir / "en" / "counting.wav").read_bytes())
            app.state.service.reload()
            app.state.service.reload()
        told = [record.getMessage() for record in caplog.records if "read the voices" in record.getMessage()]
        assert told == [
            "read the voices again, there are 3; new: 1",
            "read the voices again, there are 2; gone: 1; changed: 1",
            "read the voices again, there are 2; nothing has changed",
        ]


async def test_the_reload_is_described_for_clients(make_settings: SettingsFactory) -> None:
    async with client_of(create_app(make_settings(), CloningEngine())) as client:
        described = (await client.get("/openapi.json")).json()["paths"][f"{VOICES}/reload"]["post"]
    answer = described["responses"]["200"]["content"]["application/json"]["schema"]
    assert answer == {"$ref": "#/components/schemas/VoiceList"}
