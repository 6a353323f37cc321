"""A proxy that offers a service below a path, and strips it from the addresses or not."""

import numpy as np
import pytest

from tests.conftest import SettingsFactory
from tests.support.counts import samples_in
from tests.support.engines import FakeAsrEngine, FakeTtsEngine
from tests.support.serving import client_of
from tests.support.speech import wav_bytes
from voice_stack.asr.app import create_app as create_asr
from voice_stack.core.errors import QueueFullError
from voice_stack.tts.app import create_app as create_tts

pytestmark = pytest.mark.anyio

KEY = {"authorization": "Bearer secret"}
SPEECH = {"input": "One two three.", "response_format": "pcm"}


@pytest.mark.parametrize("prefix", ["", "/voice/tts"], ids=["stripped", "unstripped"])
async def test_keys_limits_admission_and_counts_hold_below_a_root_path(
    make_settings: SettingsFactory, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise QueueFullError("64 requests are waiting already.")

    settings = make_settings(root_path="/voice/tts", api_keys=("secret",), tts_max_input_chars=10)
    app = create_tts(settings, FakeTtsEngine())
    async with client_of(app) as client:
        assert (await client.get(f"{prefix}/health")).status_code == 200
        refused = await client.post(f"{prefix}/v1/audio/speech", json=SPEECH)
        assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")
        client.headers.update(KEY)
        large = b"x" * 100_000
        assert (await client.post(f"{prefix}/v1/audio/speech", content=large)).status_code == 413
        assert (await client.post(f"{prefix}/v1/audio/voices", content=large)).status_code == 400, "has its own limit"
        assert (await client.post(f"{prefix}/v1/audio/speech", json={**SPEECH, "input": "One."})).status_code == 200
        monkeypatch.setattr(app.state.service.queue, "check_room", full)
        unread = await client.post(f"{prefix}/v1/audio/speech", content=b"no JSON")
        assert (unread.status_code, unread.json()["error"]["code"]) == (503, "queue_full")
        assert (await client.get(f"{prefix}/v1/models/tts-1")).json()["id"] == "tts-1"
        scraped = samples_in((await client.get(f"{prefix}/metrics")).text)
        routes = {sample.labels["route"] for sample in scraped if sample.name == "voice_stack_http_requests_total"}
        assert routes == {"/v1/audio/speech", "/v1/audio/voices", "/v1/models/{model_id}"}


@pytest.mark.parametrize("prefix", ["", "/tts"], ids=["stripped", "unstripped"])
async def test_the_docs_name_the_addresses_that_clients_see(make_settings: SettingsFactory, prefix: str) -> None:
    async with client_of(create_tts(make_settings(root_path="/tts"), FakeTtsEngine())) as client:
        page = await client.get(f"{prefix}/docs")
        assert (page.status_code, "'/tts/openapi.json'" in page.text) == (200, True)
        description = (await client.get(f"{prefix}/openapi.json")).json()
        assert description["servers"] == [{"url": "/tts"}]
        assert "/v1/audio/speech" in description["paths"]
        moved = await client.get(f"{prefix}/health/")
        assert (moved.status_code, moved.headers["location"]) == (307, "http://test/tts/health")


async def test_a_path_of_the_service_that_is_called_like_its_root_is_served(make_settings: SettingsFactory) -> None:
    silence = {"audio_file": wav_bytes(np.zeros(1600, np.float32))}
    engine = FakeAsrEngine()
    async with client_of(create_asr(make_settings(root_path="/asr"), engine)) as client:
        for path in ("/asr", "/asr/asr", "/bazarr/asr", "/asr/bazarr/asr"):
            answer = await client.post(f"{path}?output=txt", files=silence)
            assert (answer.status_code, answer.text) == (200, "hello\nworld\n"), path
        assert "<base" in (await client.get("/asr/")).text
        for path in ("/asrx/health", "/asr/nothing"):
            assert (await client.get(path)).status_code in {307, 404}


@pytest.mark.parametrize("path", ["asr", "/asr/", "//asr", "/a b", "/asr?x"])
def test_a_root_path_that_is_none_is_refused(make_settings: SettingsFactory, path: str) -> None:
    with pytest.raises(ValueError, match="start with a slash"):
        make_settings(root_path=path)


@pytest.mark.parametrize("addresses", ["proxy", "10.0.0.1/8", "127.0.0.1;10.0.0.1", ""])
def test_forwarders_that_are_no_addresses_are_refused(make_settings: SettingsFactory, addresses: str) -> None:
    with pytest.raises(ValueError, match="forwarded_allow_ips"):
        make_settings(forwarded_allow_ips=addresses)
