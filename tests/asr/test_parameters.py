"""Streams, verbose answers, translations, log probabilities and chunking, with a fake engine."""

import asyncio
import json
import math
from typing import Any

import httpx
import numpy as np
import pytest
from openai.types import audio as openai_types
from pydantic import TypeAdapter

from tests.conftest import SettingsFactory
from tests.support.engines import FakeAsrEngine, Gate
from tests.support.serving import client_of, served, wait_until
from tests.support.speech import wav_bytes
from voice_stack.asr.app import create_app
from voice_stack.utils.audio.vad import EVERYTHING, VadOptions

pytestmark = pytest.mark.anyio

PATH = "/v1/audio/transcriptions"
TONE = wav_bytes(0.1 * np.sin(np.arange(24_000) * 0.1).astype(np.float32))  # 1.5 s
EVENT: TypeAdapter[openai_types.TranscriptionStreamEvent] = TypeAdapter(openai_types.TranscriptionStreamEvent)


def upload() -> dict[str, Any]:
    return {"file": ("speech.wav", TONE)}


def events_of(answer: httpx.Response) -> list[Any]:
    lines = [line for line in answer.text.splitlines() if line.startswith("data: ")]
    return [EVENT.validate_python(json.loads(line[6:]), strict=False) for line in lines]


async def test_a_stream_is_deltas_that_add_up_to_the_text_of_the_done_event(make_settings: SettingsFactory) -> None:
    async with client_of(create_app(make_settings(), FakeAsrEngine(["one", "two", "three"]))) as client:
        answer = await client.post(PATH, files=upload(), data={"stream": "true"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    *deltas, done = events_of(answer)
    assert [delta.type for delta in deltas] == ["transcript.text.delta"] * 3
    assert "".join(delta.delta for delta in deltas) == done.text == "one two three"
    assert (done.type, done.usage.input_tokens, done.usage.output_tokens) == ("transcript.text.done", 15, 3)
    assert done.usage.total_tokens == 18


async def test_a_stream_of_silence_is_a_done_event_without_text(make_settings: SettingsFactory) -> None:
    async with client_of(create_app(make_settings(), FakeAsrEngine(words=()))) as client:
        (done,) = events_of(await client.post(PATH, files=upload(), data={"stream": "true"}))
    assert done.text == ""


def test_the_first_delta_leaves_while_the_rest_is_being_decoded(make_settings: SettingsFactory) -> None:
    gate = Gate(opened=False)
    engine = FakeAsrEngine(["one", "two"], gate=gate)
    with (
        served(create_app(make_settings(), engine)) as url,
        httpx.stream("POST", f"{url}{PATH}", files=upload(), data={"stream": "true"}, timeout=20) as answer,
    ):
        lines = answer.iter_lines()
        gate.step_once()
        assert json.loads(next(lines)[6:])["delta"] == "one"
        wait_until(lambda: gate.steps == 2)  # the second segment is held back
        gate.open()
        assert [json.loads(line[6:])["type"] for line in lines if line][-1] == "transcript.text.done"


def test_an_error_in_mid_stream_is_an_event_and_a_hang_up_ends_the_work(make_settings: SettingsFactory) -> None:
    with served(create_app(make_settings(), FakeAsrEngine(fail_at=1))) as url:
        answer = httpx.post(f"{url}{PATH}", files=upload(), data={"stream": "true"})
    assert "event: error\n" in answer.text
    assert json.loads(answer.text.splitlines()[-2][6:])["error"]["code"] == "engine_error"
    gate = Gate(opened=False)
    with served(create_app(make_settings(), FakeAsrEngine(["word"] * 1000, gate=gate))) as url:
        with httpx.stream("POST", f"{url}{PATH}", files=upload(), data={"stream": "true"}, timeout=20) as answer:
            gate.step_once()
            next(answer.iter_lines())
        gate.open()
        assert gate.closed.wait(10)
        wait_until(lambda: httpx.get(f"{url}/health").json()["active"] == 0)
        assert gate.steps < 200


async def test_what_is_wrong_before_the_first_segment_is_a_status_not_an_event(make_settings: SettingsFactory) -> None:
    async with client_of(create_app(make_settings(), FakeAsrEngine(fail_at=0))) as client:
        for files, data, status in (
            ({"file": b"no media"}, {"stream": "true"}, 400),
            (upload(), {"stream": "true", "response_format": "vtt"}, 400),
            (upload(), {"stream": "true", "model": "none-such"}, 404),
        ):
            answer = await client.post(PATH, files=files, data=data)
            assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")


async def test_log_probabilities_come_with_json_and_with_streams(make_settings: SettingsFactory) -> None:
    async with client_of(create_app(make_settings(), FakeAsrEngine())) as client:
        asked = {"include[]": "logprobs"}
        plain = (await client.post(PATH, files=upload(), data=asked)).json()
        streamed = events_of(await client.post(PATH, files=upload(), data={**asked, "stream": "true"}))
    expected = [(" hello", math.log(0.9)), (" world", math.log(0.9))]
    parsed = openai_types.Transcription.model_validate(plain)
    assert parsed.logprobs is not None
    assert [(entry.token, entry.logprob) for entry in parsed.logprobs] == expected
    assert bytes(int(byte) for byte in parsed.logprobs[0].bytes or ()) == b" hello"
    assert [(entry.token, entry.logprob) for event in streamed[:-1] for entry in event.logprobs] == expected
    assert [(entry.token, entry.logprob) for entry in streamed[-1].logprobs] == expected


async def test_the_verbose_route_always_has_segments_and_words(make_settings: SettingsFactory) -> None:
    async with client_of(create_app(make_settings(), FakeAsrEngine())) as client:
        answer = await client.post(f"{PATH}/verbose", files=upload(), data={"response_format": "text"})
    verbose = openai_types.TranscriptionVerbose.model_validate(answer.json())
    assert [segment.text for segment in verbose.segments or ()] == [" hello", " world"]
    assert [word.word for word in verbose.words or ()] == ["hello", "world"]


@pytest.mark.parametrize(
    ("response_format", "expected"),
    [
        ("text", "hello world\n"),
        ("srt", "1\n00:00:00,000 --> 00:00:01,500\nhello world\n\n"),
        ("vtt", "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nhello world\n\n"),
    ],
)
async def test_translations_in_text_formats(
    make_settings: SettingsFactory, response_format: str, expected: str
) -> None:
    engine = FakeAsrEngine(can_translate=True)
    async with client_of(create_app(make_settings(), engine)) as client:
        answer = await client.post(
            "/v1/audio/translations", files=upload(), data={"response_format": response_format, "prompt": "Tea"}
        )
    assert answer.text == expected
    assert (engine.options[0].task, engine.options[0].prompt) == ("translate", "Tea")


async def test_translations_in_json_are_english(make_settings: SettingsFactory) -> None:
    async with client_of(create_app(make_settings(asr_language="de"), FakeAsrEngine(can_translate=True))) as client:
        plain = await client.post("/v1/audio/translations", files=upload())
        verbose = await client.post("/v1/audio/translations", files=upload(), data={"response_format": "verbose_json"})
    assert openai_types.Translation.model_validate(plain.json()).text == "hello world"
    parsed = openai_types.TranslationVerbose.model_validate(verbose.json())
    assert (parsed.language, parsed.text, verbose.json()["task"]) == ("english", "hello world", "translate")


async def test_a_model_that_cannot_translate_says_so(make_settings: SettingsFactory) -> None:
    async with client_of(create_app(make_settings(), FakeAsrEngine())) as client:
        answer = await client.post("/v1/audio/translations", files=upload())
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "translation_not_supported")


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({}, VadOptions()),
        ({"chunking_strategy": "auto"}, VadOptions()),
        (
            {"chunking_strategy[type]": "server_vad", "chunking_strategy[threshold]": "0.7"},
            VadOptions(threshold=0.7, release=0.55),
        ),
        (
            {"chunking_strategy": '{"type": "server_vad", "prefix_padding_ms": 100, "silence_duration_ms": 900}'},
            VadOptions(pad_s=0.1, min_silence_s=0.9),
        ),
    ],
)
async def test_chunking_sets_what_counts_as_speech(
    make_settings: SettingsFactory, form: dict[str, str], expected: VadOptions
) -> None:
    engine = FakeAsrEngine()
    async with client_of(create_app(make_settings(), engine)) as client:
        assert (await client.post(PATH, files=upload(), data=form)).status_code == 200
    (options,) = engine.options
    assert options.vad is not None
    assert options.vad.threshold == expected.threshold
    assert options.vad.release == pytest.approx(expected.release)
    assert (options.vad.pad_s, options.vad.min_silence_s) == (expected.pad_s, expected.min_silence_s)


async def test_a_chunking_that_cannot_be_is_a_400(make_settings: SettingsFactory) -> None:
    async with client_of(create_app(make_settings(), FakeAsrEngine())) as client:
        for strategy in ("sometimes", '{"type": "other"}', '{"type": "server_vad", "threshold": 3}', "{"):
            answer = await client.post(PATH, files=upload(), data={"chunking_strategy": strategy})
            assert (answer.status_code, answer.json()["error"]["param"]) == (400, "chunking_strategy")


async def test_voice_detection_can_be_switched_off_and_on_again_by_a_request(make_settings: SettingsFactory) -> None:
    engine = FakeAsrEngine()
    async with client_of(create_app(make_settings(asr_vad_enabled=False), engine)) as client:
        await client.post(PATH, files=upload())
        await client.post(PATH, files=upload(), data={"chunking_strategy[type]": "server_vad"})
    assert [options.vad for options in engine.options] == [EVERYTHING, VadOptions()]


async def test_words_to_expect_reach_the_engine_in_each_spelling(make_settings: SettingsFactory) -> None:
    engine = FakeAsrEngine()
    async with client_of(create_app(make_settings(), engine)) as client:
        await client.post(PATH, files=upload(), data={"hotwords": "Zanzibar, Bazarr"})
        await client.post(PATH, files=upload(), data={"keywords[]": ["Zanzibar", "Bazarr"]})
    assert [options.hotwords for options in engine.options] == ["Zanzibar, Bazarr"] * 2


async def test_the_verbose_route_takes_the_same_parameters(make_settings: SettingsFactory) -> None:
    engine = FakeAsrEngine()
    form = {"hotwords": "Zanzibar", "chunking_strategy[type]": "server_vad", "chunking_strategy[threshold]": "0.7"}
    async with client_of(create_app(make_settings(), engine)) as client:
        assert (await client.post(f"{PATH}/verbose", files=upload(), data=form)).status_code == 200
    (options,) = engine.options
    assert options.hotwords == "Zanzibar"
    assert options.vad is not None
    assert options.vad.threshold == 0.7


async def test_several_streams_take_turns(make_settings: SettingsFactory) -> None:
    async with client_of(create_app(make_settings(), FakeAsrEngine(["word"] * 30))) as client:
        answers = await asyncio.gather(*(client.post(PATH, files=upload(), data={"stream": "true"}) for _ in range(4)))
    assert [events_of(answer)[-1].text for answer in answers] == [" ".join(["word"] * 30)] * 4
