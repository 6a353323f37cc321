"""Uploads that break the decoder, or hold more audio than is taken: their sender is told, and nobody else notices."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import SettingsFactory
from tests.support import hostile
from tests.support.bombs import silent_flac
from tests.support.engines import FakeAsrEngine
from tests.support.serving import client_of
from tests.support.speech import wav_bytes
from tests.utils.audio.helpers import tone
from voice_stack.asr.app import create_app
from voice_stack.asr.service import WORKERS
from voice_stack.utils.audio import isolation

pytestmark = pytest.mark.anyio

PATH = "/v1/audio/transcriptions"
TONE = wav_bytes(tone(1.5, 16_000))


@pytest.fixture
def harmful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that begin with the name of some harm do it when they are decoded."""
    monkeypatch.setattr(isolation, "decode_audio", hostile.decode)


def file(data: bytes) -> dict[str, Any]:
    return {"file": ("speech.wav", data)}


async def test_a_crash_and_a_hang_cost_no_other_request(
    harmful: None, make_settings: SettingsFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with client_of(create_app(make_settings(), FakeAsrEngine())) as client:
        hanging = [asyncio.create_task(client.post(PATH, files=file(hostile.SLEEP))) for _ in range(WORKERS)]
        crashed, spoken = await asyncio.gather(*(client.post(PATH, files=file(data)) for data in (hostile.CRASH, TONE)))
        assert not any(task.done() for task in hanging)
        for task in hanging:
            task.cancel()
        monkeypatch.setattr(isolation, "STALL_S", 0.5)
        hung = await client.post(PATH, files=file(hostile.SLEEP))

    assert (spoken.status_code, spoken.json()["text"]) == (200, "hello world")
    for answer, words in ((crashed, "made the decoder fail"), (hung, "made the decoder hang")):
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["param"]) == (400, "invalid_audio", "file")
        assert words in error["message"]


async def test_bazarr_is_told_of_a_crash(harmful: None, make_settings: SettingsFactory) -> None:
    async with client_of(create_app(make_settings(), FakeAsrEngine())) as client:
        answer = await client.post("/asr?output=srt", files={"audio_file": ("film", hostile.CRASH)})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_audio")


async def test_what_nobody_foresaw_is_500_without_its_traceback(
    harmful: None, make_settings: SettingsFactory, caplog: pytest.LogCaptureFixture
) -> None:
    async with client_of(create_app(make_settings(), FakeAsrEngine())) as client:
        answer = await client.post(PATH, files=file(b"raise"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "engine_error")
    assert "nobody foresaw" not in answer.text
    assert "KeyError: 'nobody foresaw this'" in caplog.text


@pytest.mark.parametrize("path", [PATH, "/asr?output=srt", "/asr?output=srt&encode=false"])
async def test_audio_that_is_too_long_is_refused(path: str, make_settings: SettingsFactory) -> None:
    field = "file" if path == PATH else "audio_file"
    data = bytes(32_000 * 61) if "encode" in path else silent_flac(100)
    async with client_of(create_app(make_settings(max_audio_s=60), FakeAsrEngine())) as client:
        answer = await client.post(path, files={field: ("speech", data)})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "audio_too_long", "file")
    assert "60 s" in error["message"]
    assert "MAX_AUDIO_S" in error["message"]


async def test_no_limit_is_none(make_settings: SettingsFactory) -> None:
    async with client_of(create_app(make_settings(max_audio_s=0), FakeAsrEngine())) as client:
        assert (await client.post(PATH, files=file(silent_flac(100)))).status_code == 200


@pytest.mark.parametrize("path", [PATH, "/asr?output=srt"])
async def test_no_room_for_an_upload_is_not_its_senders_fault(
    path: str, make_settings: SettingsFactory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    async with client_of(create_app(make_settings(), FakeAsrEngine())) as client:
        answer = await client.post(path, files=file(bytes(2 * 2**20)))
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
    assert "TMPDIR" in answer.json()["error"]["message"]
    assert "retry-after" in answer.headers
