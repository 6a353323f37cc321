"""``/v1/audio/transcriptions`` with a fake engine: parameters, shapes, errors, hang-ups."""

import asyncio
import io
import socket
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import numpy as np
import pytest
from openai.types import audio as openai_types

from tests.conftest import SettingsFactory
from tests.support.engines import FakeAsrEngine, Gate
from tests.support.serving import client_of, served, wait_until
from tests.support.speech import wav_bytes
from voice_stack.asr.app import create_app
from voice_stack.asr.service import MAX_ACTIVE
from voice_stack.utils.audio.vad import VadOptions
from voice_stack.utils.scheduling import Kind

pytestmark = pytest.mark.anyio

PATH = "/v1/audio/transcriptions"
TONE = wav_bytes(0.1 * np.sin(np.arange(24_000) * 0.1).astype(np.float32))  # 1.5 s


def upload(data: bytes = TONE, name: str = "speech.wav") -> dict[str, Any]:
    return {"file": (name, data)}


async def test_json_is_the_text_and_the_usage(make_settings: SettingsFactory) -> None:
    async with client_of(create_app(make_settings(), FakeAsrEngine())) as client:
        answer = await client.post(PATH, files=upload(), data={"model": "whisper-1"})
    assert answer.status_code == 200
    assert answer.json() == {"text": "hello world", "usage": {"type": "duration", "seconds": 2}}


async def test_text_is_plain_and_ends_with_a_newline(make_settings: SettingsFactory) -> None:
    async with client_of(create_app(make_settings(), FakeAsrEngine())) as client:
        answer = await client.post(PATH, files=upload(), data={"response_format": "text"})
    assert answer.text == "hello world\n"
    assert answer.headers["content-type"].startswith("text/plain")


async def test_verbose_json_has_the_shape_of_the_sdk(make_settings: SettingsFactory) -> None:
    async with client_of(create_app(make_settings(), FakeAsrEngine())) as client:
        answer = await client.post(PATH, files=upload(), data={"response_format": "verbose_json"})
    parsed = openai_types.TranscriptionVerbose.model_validate_json(answer.content)
    assert (parsed.language, parsed.text, round(parsed.duration, 2)) == ("english", "hello world", 1.5)
    assert parsed.segments is not None
    assert [(segment.id, segment.text, segment.start) for segment in parsed.segments] == [
        (0, " hello", 0.0),
        (1, " world", 1.0),
    ]
    assert parsed.words is None


async def test_granularities_choose_words_segments_or_both(make_settings: SettingsFactory) -> None:
    async with client_of(create_app(make_settings(), FakeAsrEngine())) as client:
        for wanted in (["word"], ["segment"], ["word", "segment"]):
            form = {"response_format": "verbose_json", "timestamp_granularities[]": wanted}
            body = (await client.post(PATH, files=upload(), data=form)).json()
            assert (body["words"] is not None, body["segments"] is not None) == ("word" in wanted, "segment" in wanted)
        refused = await client.post(PATH, files=upload(), data={"timestamp_granularities[]": ["word"]})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "timestamp_granularities")


async def test_subtitles_are_cues_of_the_words(make_settings: SettingsFactory) -> None:
    async with client_of(create_app(make_settings(), FakeAsrEngine())) as client:
        srt = await client.post(PATH, files=upload(), data={"response_format": "srt"})
        vtt = await client.post(PATH, files=upload(), data={"response_format": "vtt"})
    assert srt.text == "1\n00:00:00,000 --> 00:00:01,500\nhello world\n\n"
    assert vtt.text == "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nhello world\n\n"


async def test_subtitles_of_silence_are_empty(make_settings: SettingsFactory) -> None:
    async with client_of(create_app(make_settings(), FakeAsrEngine(words=()))) as client:
        assert (await client.post(PATH, files=upload(), data={"response_format": "srt"})).text == ""
        assert (await client.post(PATH, files=upload(), data={"response_format": "vtt"})).text == "WEBVTT\n\n"


async def test_what_the_client_asks_for_reaches_the_engine(make_settings: SettingsFactory) -> None:
    engine = FakeAsrEngine()
    async with client_of(create_app(make_settings(asr_language="fr"), engine)) as client:
        await client.post(PATH, files=upload(), data={"language": "German", "prompt": "Tee", "temperature": "0.4"})
        await client.post(PATH, files=upload(), data={"language": "", "prompt": ""})
    first, second = engine.options
    assert (first.language, first.prompt, first.temperature, first.vad) == ("de", "Tee", 0.4, VadOptions())
    assert (second.language, second.prompt, second.temperature) == ("fr", None, 0.0)


async def test_no_segments_is_an_empty_text(make_settings: SettingsFactory) -> None:
    async with client_of(create_app(make_settings(), FakeAsrEngine(words=()))) as client:
        assert (await client.post(PATH, files=upload())).json()["text"] == ""


@pytest.mark.parametrize("model", ["whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "fake-base"])
async def test_openais_names_and_its_own_mean_the_configured_model(make_settings: SettingsFactory, model: str) -> None:
    async with client_of(create_app(make_settings(), FakeAsrEngine())) as client:
        assert (await client.post(PATH, files=upload(), data={"model": model})).status_code == 200


@pytest.mark.parametrize(
    ("form", "status", "param"),
    [
        ({"model": "whisper-9"}, 404, "model"),
        ({"model": "../../etc"}, 404, "model"),
        ({"language": "klingon"}, 400, "language"),
        ({"language": "ja"}, 400, "language"),
        ({"temperature": "2"}, 400, "temperature"),
        ({"temperature": "hot"}, 400, "temperature"),
        ({"response_format": "docx"}, 400, "response_format"),
        ({"stream": "true", "response_format": "srt"}, 400, "response_format"),
        ({"response_format": "verbose_json", "timestamp_granularities[]": "letter"}, 400, "timestamp_granularities[]"),
    ],
)
async def test_a_parameter_that_cannot_be_is_an_error_that_names_it(
    make_settings: SettingsFactory, form: dict[str, str], status: int, param: str
) -> None:
    async with client_of(create_app(make_settings(), FakeAsrEngine())) as client:
        answer = await client.post(PATH, files=upload(), data=form)
    assert answer.status_code == status
    assert answer.json()["error"]["param"] == param


def zipped() -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("speech.wav", TONE)
    return target.getvalue()


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"", "empty.wav"),
        (b"This is a letter, not a recording.\n" * 40, "letter.wav"),
        (zipped(), "archive.mp3"),
        (wav_bytes(np.zeros(0, np.float32)), "nothing.wav"),
        (bytes(range(256)) * 64, "noise.ogg"),
    ],
)
async def test_what_is_no_audio_is_a_400_that_says_so(make_settings: SettingsFactory, data: bytes, name: str) -> None:
    async with client_of(create_app(make_settings(), FakeAsrEngine())) as client:
        answer = await client.post(PATH, files=upload(data, name))
        assert answer.status_code == 400
        error = answer.json()["error"]
        assert (error["code"], error["param"]) == ("invalid_audio", "file")
        assert (await client.post(PATH, files=upload())).status_code == 200


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b"", "multipart/form-data"),
        (b"--x\r\nnonsense", "multipart/form-data; boundary=x"),
        pytest.param(
            b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF',
            "multipart/form-data; boundary=x",
            # Starlette leaves the file of an unfinished part to the garbage collector, which warns.
            marks=pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
        ),
        (
            b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nnot a file\r\n--x--\r\n',
            "multipart/form-data; boundary=x",
        ),
        (b'{"file": "x"}', "application/json"),
        (b"file=x", "application/x-www-form-urlencoded"),
    ],
)
async def test_a_broken_form_is_a_400(make_settings: SettingsFactory, content: bytes, content_type: str) -> None:
    async with client_of(create_app(make_settings(), FakeAsrEngine())) as client:
        answer = await client.post(PATH, content=content, headers={"content-type": content_type})
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"]["type"] == "invalid_request_error"


async def test_an_engine_error_is_a_500_and_the_next_request_is_served(make_settings: SettingsFactory) -> None:
    engine = FakeAsrEngine(fail_at=1)
    async with client_of(create_app(make_settings(), engine)) as client:
        answer = await client.post(PATH, files=upload())
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "engine_error")
        engine._fail_at = None
        assert (await client.post(PATH, files=upload())).status_code == 200


async def test_a_full_queue_is_a_503_with_retry_after(
    make_settings: SettingsFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MAX_ACTIVE, Kind.SHORT, 4)
    gate = Gate(opened=False)
    async with client_of(create_app(make_settings(max_queue=1), FakeAsrEngine(gate=gate))) as client:
        taken = [asyncio.ensure_future(client.post(PATH, files=upload())) for _ in range(5)]
        while (await client.get("/health")).json()["queue_depth"] < 1:
            await asyncio.sleep(0.01)
        refused = await client.post(PATH, files=upload())
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "queue_full")
        assert int(refused.headers["retry-after"]) >= 1
        gate.open()
        assert [(await answer).status_code for answer in taken] == [200] * 5


def test_a_client_that_hangs_up_ends_the_work_before_the_next_step(
    make_settings: SettingsFactory, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate(opened=False)
    app = create_app(make_settings(), FakeAsrEngine(words=["word"] * 1000, gate=gate))
    with served(app) as url:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{url}{PATH}", files=upload(), timeout=httpx.Timeout(30, read=0.5))
        assert gate.reached.is_set()
        wait_until(lambda: all(job.cancelled for job in app.state.service.queue._scheduler.active))
        gate.open()
        assert gate.closed.wait(10)
        assert gate.steps == 1
        wait_until(lambda: httpx.get(f"{url}/health").json()["active"] == 0)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_a_waiting_client_that_hangs_up_gives_its_place_back(
    make_settings: SettingsFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MAX_ACTIVE, Kind.SHORT, 4)
    gate = Gate(opened=False)
    with served(create_app(make_settings(max_queue=1), FakeAsrEngine(gate=gate))) as url:
        for _ in range(5):
            with pytest.raises(httpx.ReadTimeout):
                httpx.post(f"{url}{PATH}", files=upload(), timeout=httpx.Timeout(30, read=0.3))
        wait_until(lambda: httpx.get(f"{url}/health").json()["queue_depth"] == 0)
        gate.open()
        assert httpx.post(f"{url}{PATH}", files=upload()).status_code == 200


@contextmanager
def raw_upload(url: str, content_length: int, extra: str = "") -> Iterator[socket.socket]:
    """A connection that has announced a form of ``content_length`` bytes and sent its head."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(
            f"POST {PATH} HTTP/1.1\r\nHost: {host}\r\nContent-Type: multipart/form-data; boundary=x\r\n"
            f"Content-Length: {content_length}\r\n{extra}\r\n".encode()
        )
        yield connection


def test_an_upload_announced_as_too_large_is_refused_before_it_is_sent(make_settings: SettingsFactory) -> None:
    with served(create_app(make_settings(max_upload_mb=1), FakeAsrEngine())) as url:
        with raw_upload(url, 3_000_000_000, "Expect: 100-continue\r\n") as connection:
            answer = b""
            while b"upload_too_large" not in answer:
                received = connection.recv(65536)
                assert received, answer
                answer += received
        assert answer.startswith(b"HTTP/1.1 413")


def test_an_upload_that_grows_too_large_is_refused_while_it_arrives(make_settings: SettingsFactory) -> None:
    def endless() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
        for _ in range(100):
            yield b"\0" * 100_000

    headers = {"content-type": "multipart/form-data; boundary=x"}
    with served(create_app(make_settings(max_upload_mb=1), FakeAsrEngine())) as url:
        answer = httpx.post(f"{url}{PATH}", content=endless(), headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "upload_too_large")
        assert "1 MiB" in answer.json()["error"]["message"]
        assert httpx.post(f"{url}{PATH}", files=upload()).status_code == 200


def test_a_refused_client_that_never_stops_sending_is_cut_off(
    make_settings: SettingsFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voice_stack.core.middleware.DRAIN_S", 0.5)
    with served(create_app(make_settings(max_upload_mb=1), FakeAsrEngine())) as url:
        with raw_upload(url, 2_000_000_000) as connection, pytest.raises(OSError, match=r"reset|pipe"):
            for _ in range(1000):
                connection.sendall(bytes(1000))
                time.sleep(0.01)
        assert httpx.post(f"{url}{PATH}", files=upload()).status_code == 200


def test_a_wrong_key_is_refused_and_the_client_that_still_uploads_can_read_it(make_settings: SettingsFactory) -> None:
    with served(create_app(make_settings(api_keys="right"), FakeAsrEngine())) as url:
        large = upload(b"\0" * 20_000_000)
        answer = httpx.post(f"{url}{PATH}", files=large, headers={"authorization": "Bearer wrong"})
        assert answer.status_code == 401
