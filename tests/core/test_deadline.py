"""``MAX_REQUEST_S``: a request that takes too long is ended, and its client told."""

import asyncio
import json

import httpx
import pytest

from tests.conftest import SettingsFactory
from tests.support.engines import FakeTtsEngine, Gate
from tests.support.serving import client_of, served, wait_until
from voice_stack.tts.app import create_app

pytestmark = pytest.mark.anyio

TWO_SENTENCES = {"input": "One two three four five six seven. Two is here as well.", "response_format": "pcm"}
LIMIT_S = 0.3
BEGUN_LIMIT_S = 1.5  # the first sentence must be there by then, on a busy machine, too


async def test_work_that_takes_too_long_is_cancelled_and_answered_with_504(make_settings: SettingsFactory) -> None:
    gate = Gate(opened=False)
    app = create_app(make_settings(max_request_s=LIMIT_S), FakeTtsEngine(gate=gate))
    async with client_of(app) as client:
        answer = await client.post("/v1/audio/speech", json=TWO_SENTENCES)
        gate.open()
        while (await client.get("/health")).json()["active"]:
            await asyncio.sleep(0.01)
    assert answer.status_code == 504
    assert answer.json()["error"]["code"] == "deadline_exceeded"
    # Else OpenAI's SDK would ask for the same twice more.
    assert answer.headers["x-should-retry"] == "false"
    assert answer.headers["x-request-id"]
    assert gate.steps == 1


async def test_requests_in_time_are_answered_and_the_limit_is_off_by_default(make_settings: SettingsFactory) -> None:
    async with client_of(create_app(make_settings(max_request_s=30), FakeTtsEngine())) as client:
        assert (await client.post("/v1/audio/speech", json=TWO_SENTENCES)).status_code == 200
    gate = Gate(opened=False)
    async with client_of(create_app(make_settings(), FakeTtsEngine(gate=gate))) as client:
        waiting = asyncio.ensure_future(client.post("/v1/audio/speech", json=TWO_SENTENCES))
        assert not (await asyncio.wait({waiting}, timeout=LIMIT_S))[0]
        gate.open()
        assert (await waiting).status_code == 200


@pytest.mark.parametrize("stream_format", ["sse", "audio"])
def test_an_answer_that_has_begun_ends_with_an_error_never_as_if_it_were_whole(
    make_settings: SettingsFactory, stream_format: str
) -> None:
    gate = Gate(opened=False)
    gate.step_once()
    app = create_app(make_settings(max_request_s=BEGUN_LIMIT_S, tts_max_chars=40), FakeTtsEngine(gate=gate))
    body = {**TWO_SENTENCES, "stream_format": stream_format}
    with served(app) as url:
        with httpx.stream("POST", f"{url}/v1/audio/speech", json=body, timeout=30) as answer:
            assert answer.status_code == 200
            if stream_format == "audio":
                with pytest.raises(httpx.RemoteProtocolError):
                    answer.read()
            else:
                events = answer.read().decode().split("\n\n")
                assert "speech.audio.delta" in events[0]
                assert events[-2].startswith("event: error\n")
                error = json.loads(events[-2].partition("data: ")[2])
                assert error["error"]["code"] == "deadline_exceeded"
        gate.open()
        wait_until(lambda: httpx.get(f"{url}/health").json()["active"] == 0)
        assert httpx.post(f"{url}/v1/audio/speech", json=TWO_SENTENCES, timeout=30).status_code == 200
