"""Bazarr's API with a fake engine: every form that its client was seen to send, and what it expects back."""

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import httpx
import numpy as np
import pytest

from tests.conftest import SettingsFactory
from tests.support.engines import FakeAsrEngine, Gate
from tests.support.serving import client_of, served, wait_until
from tests.support.speech import wav_bytes
from voice_stack import __version__
from voice_stack.asr.app import create_app

pytestmark = pytest.mark.anyio

PCM = (1000 * np.sin(np.arange(40_000) * 0.1)).astype("<i2").tobytes()  # 2.5 s
SRT = "1\n00:00:00,000 --> 00:00:02,000\nhello world\n\n"
QUERY = {"task": "transcribe", "language": "en", "output": "srt", "encode": "false", "video_file": "/films/a.mkv"}


def part(data: bytes = PCM, name: str = "audio_file") -> dict[str, Any]:
    """What requests sends for ``files={"audio_file": data}``: the field's name as file name, and no content type."""
    return {name: (name, data)}


@pytest.mark.parametrize("prefix", ["", "/bazarr"])
@pytest.mark.parametrize("name", ["audio_file", "file"])
async def test_both_addresses_and_both_field_names_give_subtitles(
    make_settings: SettingsFactory, prefix: str, name: str
) -> None:
    async with client_of(create_app(make_settings(), FakeAsrEngine())) as client:
        answer = await client.post(f"{prefix}/asr", params=QUERY, files=part(name=name))
    assert (answer.status_code, answer.text) == (200, SRT)


async def test_an_odd_byte_of_pcm_is_tolerated(make_settings: SettingsFactory) -> None:
    async with client_of(create_app(make_settings(), FakeAsrEngine())) as client:
        assert (await client.post("/asr", params=QUERY, files=part(PCM + b"\0"))).text == SRT


async def test_a_file_of_any_format_is_decoded_when_encode_is_true(make_settings: SettingsFactory) -> None:
    sound = wav_bytes(np.frombuffer(PCM, "<i2") / np.float32(32768))
    async with client_of(create_app(make_settings(), FakeAsrEngine())) as client:
        for query in ({**QUERY, "encode": "true"}, {"output": "srt"}):
            assert (await client.post("/asr", params=query, files=part(sound))).text == SRT


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("srt", SRT),
        ("vtt", "WEBVTT\n\n00:00:00.000 --> 00:00:02.000\nhello world\n\n"),
        ("txt", "hello\nworld\n"),
        ("tsv", "start\tend\ttext\n0\t1000\thello\n1000\t2000\tworld\n"),
    ],
)
async def test_every_text_output(make_settings: SettingsFactory, output: str, expected: str) -> None:
    async with client_of(create_app(make_settings(), FakeAsrEngine())) as client:
        assert (await client.post("/asr", params={**QUERY, "output": output}, files=part())).text == expected


async def test_json_outputs_with_words_where_asked(make_settings: SettingsFactory) -> None:
    async with client_of(create_app(make_settings(), FakeAsrEngine())) as client:
        query = {**QUERY, "output": "json"}
        plain = (await client.post("/asr", params=query, files=part())).json()
        worded = (await client.post("/asr", params={**query, "word_timestamps": "true"}, files=part())).json()
        lines = (await client.post("/asr", params={**QUERY, "output": "jsonl"}, files=part())).text.splitlines()
    assert (plain["text"], plain["language"]) == (" hello world", "en")
    assert "words" not in plain["segments"][0]
    assert worded["segments"][1]["words"][0] == {"word": " world", "start": 1, "end": 2, "probability": 0.9}
    assert [json.loads(line)["text"] for line in lines] == [" hello", " world"]


async def test_silence_is_a_newline_because_an_empty_body_counts_as_failure(make_settings: SettingsFactory) -> None:
    async with client_of(create_app(make_settings(), FakeAsrEngine(words=()))) as client:
        answer = await client.post("/asr", params=QUERY, files=part())
    assert (answer.status_code, answer.content) == (200, b"\n")


async def test_detection_names_the_language_in_whispers_terms(make_settings: SettingsFactory) -> None:
    for language, code, name in (("en", "en", "english"), ("jw", "jw", "javanese"), ("yue", "zh", "chinese")):
        app = create_app(make_settings(), FakeAsrEngine(languages=(language,), can_detect=True))
        async with client_of(app) as client:
            for path in ("/detect-language", "/bazarr/detect-language"):
                answer = await client.post(path, params={"encode": "false", "video_file": "x"}, files=part())
                expected = {"detected_language": name, "language_code": code, "confidence": 0.9}
                assert (answer.status_code, answer.json()) == (200, expected)


async def test_where_the_language_cannot_be_told_the_answer_is_an_empty_object(make_settings: SettingsFactory) -> None:
    silent = FakeAsrEngine(words=(), can_detect=True)
    english_only = FakeAsrEngine()
    for engine, data in ((silent, PCM), (silent, b""), (english_only, PCM)):
        async with client_of(create_app(make_settings(), engine)) as client:
            answer = await client.post("/detect-language", params={"encode": "false"}, files=part(data))
            assert (answer.status_code, answer.json()) == (200, {})


async def test_the_test_button_finds_a_version_even_where_keys_are_needed(make_settings: SettingsFactory) -> None:
    async with client_of(create_app(make_settings(api_keys="secret"), FakeAsrEngine())) as client:
        for path in ("/status", "/bazarr/status"):
            assert (await client.get(path)).json() == {"status": "ok", "version": __version__}
        assert (await client.post("/asr", params=QUERY, files=part())).status_code == 401
        answer = await client.post("/asr", params=QUERY, files=part(), auth=("bazarr", "secret"))
        assert answer.text == SRT


async def test_models_are_listed(make_settings: SettingsFactory) -> None:
    async with client_of(create_app(make_settings(), FakeAsrEngine())) as client:
        listed = (await client.get("/bazarr/models")).json()
    assert "fake-base" in [model["id"] for model in listed["data"]]


@pytest.mark.parametrize(
    ("query", "files", "param"),
    [
        ({**QUERY, "task": "sing"}, part(), "task"),
        ({**QUERY, "output": "docx"}, part(), "output"),
        ({**QUERY, "language": "klingon"}, part(), "language"),
        ({**QUERY, "task": "translate"}, part(), "model"),
        (QUERY, part(b""), "file"),
        ({**QUERY, "encode": "true"}, part(), "file"),
        (QUERY, {"other": ("x", PCM)}, "audio_file"),
    ],
)
async def test_an_error_is_json_that_says_what_was_wrong(
    make_settings: SettingsFactory, query: dict[str, str], files: dict[str, Any], param: str
) -> None:
    async with client_of(create_app(make_settings(), FakeAsrEngine())) as client:
        answer = await client.post("/asr", params=query, files=files)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


async def test_a_twin_joins_the_work_and_a_retry_gets_the_kept_result(make_settings: SettingsFactory) -> None:
    engine = FakeAsrEngine(gate=Gate(opened=False))
    async with client_of(create_app(make_settings(), engine)) as client:
        twins = [asyncio.create_task(client.post("/asr", params=QUERY, files=part())) for _ in range(3)]
        await asyncio.to_thread(engine.gate.reached.wait, 10)
        other = asyncio.create_task(client.post("/asr", params={**QUERY, "output": "vtt"}, files=part()))
        await asyncio.sleep(0.2)
        engine.gate.open()
        assert [(await twin).text for twin in twins] == [SRT] * 3
        assert (await other).text.startswith("WEBVTT")
        assert len(engine.options) == 2
        assert (await client.post("/asr", params=QUERY, files=part())).text == SRT
        assert len(engine.options) == 2
        await client.post("/asr", params=QUERY, files=part(PCM[2:]))
        assert len(engine.options) == 3


async def test_nothing_is_kept_where_that_is_switched_off(make_settings: SettingsFactory) -> None:
    engine = FakeAsrEngine()
    async with client_of(create_app(make_settings(asr_keep_results_s=0), engine)) as client:
        for _ in range(2):
            await client.post("/asr", params=QUERY, files=part())
    assert len(engine.options) == 2


async def test_a_failure_reaches_every_twin_and_is_not_kept(make_settings: SettingsFactory) -> None:
    engine = FakeAsrEngine(gate=Gate(opened=False), fail_at=0)
    async with client_of(create_app(make_settings(), engine)) as client:
        twins = [asyncio.create_task(client.post("/asr", params=QUERY, files=part())) for _ in range(2)]
        await asyncio.to_thread(engine.gate.reached.wait, 10)
        await asyncio.sleep(0.2)
        engine.gate.open()
        assert [(await twin).status_code for twin in twins] == [500, 500]
        assert (await client.post("/asr", params=QUERY, files=part())).status_code == 500
    assert len(engine.options) == 2


async def test_detection_goes_ahead_of_transcriptions_that_wait(make_settings: SettingsFactory) -> None:
    gate = Gate(opened=False)
    engine = FakeAsrEngine(words=["word"] * 20, gate=gate, can_detect=True)
    order: list[str] = []

    async def noted(name: str, call: Callable[[], Awaitable[httpx.Response]]) -> None:
        await call()
        order.append(name)

    async with client_of(create_app(make_settings(), engine)) as client:
        films = [
            asyncio.create_task(noted("film", partial(client.post, "/asr", params=QUERY, files=part(PCM * number))))
            for number in range(1, 7)
        ]
        await asyncio.to_thread(gate.reached.wait, 10)
        await asyncio.sleep(0.2)
        asked = asyncio.create_task(
            noted("detect", partial(client.post, "/detect-language", params={"encode": "false"}, files=part()))
        )
        await asyncio.sleep(0.2)
        gate.open()
        await asyncio.gather(*films, asked)
    assert order[0] == "detect"


def test_a_twin_that_hangs_up_leaves_the_work_to_the_other_and_the_last_one_ends_it(
    make_settings: SettingsFactory,
) -> None:
    gate = Gate(opened=False)
    engine = FakeAsrEngine(words=["word"] * 3, gate=gate)
    answers: list[httpx.Response] = []
    app = create_app(make_settings(), engine)
    with served(app) as url:

        def post(read_s: float) -> None:
            timeout = httpx.Timeout(30, read=read_s)
            answers.append(httpx.post(f"{url}/asr", params=QUERY, files=part(), timeout=timeout))

        # The first one brought the file: its twin still needs it when the first has left.
        with pytest.raises(httpx.ReadTimeout):
            patient = threading.Timer(0.3, post, [30])
            patient.start()
            post(1.0)
        time.sleep(0.3)
        gate.open()
        patient.join(30)
        assert [answer.text.count("word") for answer in answers] == [3]
        assert len(engine.options) == 1

        engine.gate = last = Gate(opened=False)
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{url}/asr", params={**QUERY, "output": "vtt"}, files=part(), timeout=httpx.Timeout(30, read=1))
        wait_until(lambda: all(job.cancelled for job in app.state.service.queue._scheduler.active))
        last.open()
        assert last.closed.wait(10)
        assert last.steps == 1
        wait_until(lambda: httpx.get(f"{url}/health").json()["active"] == 0)
