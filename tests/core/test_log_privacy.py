"""What clients send and get is nowhere in the log above DEBUG, in both formats, whatever becomes of the request."""

import base64
import io
import logging
from collections.abc import Iterable, Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI

from tests.conftest import SettingsFactory
from tests.support.engines import FakeAsrEngine, FakeTtsEngine
from tests.support.serving import client_of
from tests.support.speech import wav_bytes
from voice_stack.asr.app import create_app as create_asr
from voice_stack.asr.engine import base as asr
from voice_stack.core.errors import EngineError
from voice_stack.core.logging import JsonFormatter, TextFormatter, add_request_id
from voice_stack.tts.app import create_app as create_tts
from voice_stack.tts.engine import base as tts

pytestmark = pytest.mark.anyio

SECRET = "canaryword"
SPEECH = {"input": f"My {SECRET} is safe.", "response_format": "pcm", "instructions": SECRET}
WAV = wav_bytes(np.zeros(16_000, np.float32))


class LeakyTts(FakeTtsEngine):
    """Puts what it was given into its errors, as libraries do."""

    def __init__(self, error: type[Exception] | None = None, *, at: int = 0) -> None:
        super().__init__()
        self._kind = error
        self._at = at

    def synthesize(self, text: str, options: tts.SynthesisOptions) -> Iterator[tts.AudioChunk]:
        if self._kind is not None and len(self.said) >= self._at:
            try:
                raise KeyError(text)
            except KeyError as inner:
                raise self._kind(f"cannot say {text} {SECRET}\n2026-01-01 forged {SECRET}") from inner
        yield from super().synthesize(text, options)


class LeakyAsr(FakeAsrEngine):
    """Puts what it was given into its errors, as libraries do."""

    def __init__(self, error: type[Exception] | None = None) -> None:
        super().__init__((SECRET, "and", SECRET))
        self._kind = error

    def transcribe(self, audio: Iterable[asr.AudioBlock], options: asr.TranscribeOptions) -> Iterator[asr.Step | None]:
        for number, step in enumerate(super().transcribe(audio, options)):
            if self._kind is not None and number > 2:
                raise self._kind(f"{options.prompt} {SECRET}")
            yield step


@pytest.fixture(params=[TextFormatter, JsonFormatter], ids=["text", "json"])
def log(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """What the log holds at INFO."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(request.param())
    handler.addFilter(add_request_id)
    # The client of the test logs its requests.
    handler.addFilter(lambda record: not record.name.startswith("httpx"))
    handler.setLevel(logging.INFO)
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield stream
    root.removeHandler(handler)
    root.setLevel(before)


def basic() -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{SECRET}:{SECRET}".encode()).decode()}


async def ask_tts(client: httpx.AsyncClient) -> set[int]:
    speech, voices, consents = "/v1/audio/speech", "/v1/audio/voices", "/v1/audio/voice_consents"
    statuses = {
        (await client.post(speech, json={**SPEECH, name: SECRET})).status_code
        for name in ("voice", "model", "language", "response_format", "stream_format", "speed", "input", "unknown")
    }
    for body in ({**SPEECH, "stream_format": "sse"}, SPEECH):
        try:
            statuses.add((await client.post(speech, json=body, params={"key": SECRET})).status_code)
        except httpx.RemoteProtocolError:
            statuses.add(0)
    files: dict[str, Any] = {"audio_sample": (f"{SECRET}.wav", WAV), "recording": (f"{SECRET}.wav", WAV)}
    form = {"name": SECRET, "language": SECRET, "consent": SECRET}
    for answer in (
        await client.post(speech, content=f'{{"input": "{SECRET}', headers={"content-type": "application/json"}),
        await client.post(speech, content=SECRET, headers={"content-type": SECRET}),
        await client.post(speech, json=SPEECH, headers={"origin": f"https://{SECRET}.example", "x-secret": SECRET}),
        await client.get(f"{voices}/{SECRET}"),
        await client.delete(f"{voices}/{SECRET}"),
        await client.post(voices, data=form, files=files),
        await client.post(consents, data=form, files=files),
        await client.get(f"{consents}/{SECRET}"),
        await client.post(f"{consents}/{SECRET}", json={"name": SECRET}),
        await client.get(f"/v1/models/{SECRET}"),
        await client.get(voices, params={"after": SECRET}),
    ):
        statuses.add(answer.status_code)
    return statuses


async def ask_asr(client: httpx.AsyncClient) -> set[int]:
    path = "/v1/audio/transcriptions"
    file = {"file": (f"{SECRET}.wav", WAV)}
    statuses = set()
    forms: list[dict[str, str]] = [
        {"prompt": SECRET, "hotwords": SECRET, "keywords[]": SECRET},
        {"stream": "true", "prompt": SECRET},
        {"response_format": "srt", "prompt": SECRET},
        *(
            {name: SECRET}
            for name in (
                "language",
                "model",
                "response_format",
                "temperature",
                "stream",
                "chunking_strategy",
                "include[]",
                "timestamp_granularities[]",
            )
        ),
    ]
    for form in forms:
        statuses.add((await client.post(path, data=form, files=file)).status_code)
    garbage = {"file": (f"{SECRET}.mp3", SECRET.encode() * 100)}
    film = {"video_file": f"/films/{SECRET}.mkv", "initial_prompt": SECRET, "output": "srt"}
    for answer in (
        await client.post(path, files=garbage),
        await client.post(path, content=SECRET, headers={"content-type": f"multipart/form-data; boundary={SECRET}"}),
        await client.post("/asr", params=film, files={"audio_file": (SECRET, WAV)}),
        await client.post("/bazarr/asr", params={**film, "encode": "false"}, files={"audio_file": (SECRET, WAV)}),
        await client.post("/asr", params={**film, "language": SECRET}, files={"audio_file": (SECRET, WAV)}),
        await client.post("/detect-language", params=film, files={"audio_file": (SECRET, WAV)}),
        await client.get(f"/v1/models/{SECRET}"),
    ):
        statuses.add(answer.status_code)
    return statuses


@pytest.mark.parametrize(
    "engine",
    [
        LeakyTts(),
        LeakyTts(ValueError),
        LeakyTts(EngineError),
        LeakyTts(ValueError, at=1),
        LeakyAsr(),
        LeakyAsr(ValueError),
        LeakyAsr(EngineError),
    ],
    ids=["tts", "tts_unexpected", "tts_failing", "tts_midstream", "asr", "asr_unexpected", "asr_failing"],
)
async def test_nothing_of_a_request_or_its_answer_is_logged(
    make_settings: SettingsFactory, log: io.StringIO, engine: LeakyTts | LeakyAsr
) -> None:
    is_tts = isinstance(engine, LeakyTts)
    app: FastAPI = (
        create_tts(make_settings(), engine) if isinstance(engine, LeakyTts) else create_asr(make_settings(), engine)
    )
    async with client_of(app) as client:
        statuses = await (ask_tts if is_tts else ask_asr)(client)
        assert {400, 404} <= statuses
        logged = log.getvalue()
    assert ("POST /v1/audio/speech" if is_tts else "POST /v1/audio/transcriptions") in logged
    assert SECRET not in logged
    assert "\n2026-01-01" not in logged


async def test_keys_and_users_are_not_logged(make_settings: SettingsFactory, log: io.StringIO) -> None:
    for key in (SECRET, "another"):
        async with client_of(create_tts(make_settings(api_keys=key), FakeTtsEngine())) as client:
            for headers in (basic(), {"authorization": f"Bearer {SECRET}"}, {"authorization": SECRET}):
                await client.get("/v1/models", headers=headers, params={"api_key": SECRET})
    assert "GET /v1/models" in log.getvalue()
    assert SECRET not in log.getvalue()
