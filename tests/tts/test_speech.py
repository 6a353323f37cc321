"""``/v1/audio/speech`` and ``/v1/audio/voices`` with a fake engine: shapes, streams, errors, hang-ups."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest

from tests.conftest import SettingsFactory
from tests.support.engines import FakeTtsEngine, Gate
from tests.support.serving import client_of, served, wait_until
from tests.support.speech import decode
from voice_stack.tts.app import create_app
from voice_stack.tts.engine.base import AudioChunk

pytestmark = pytest.mark.anyio

PATH = "/v1/audio/speech"
FORMATS = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
LONG = " ".join(f"This is sentence number {number} of a longer text." for number in range(20))


def body(text: str = "One two three four. Five six seven eight nine ten.", **more: Any) -> dict[str, Any]:
    return {"model": "tts-1", "voice": "alloy", "input": text, **more}


@pytest.mark.parametrize("audio_format", FORMATS)
async def test_every_format_decodes_to_the_length_of_the_pcm(make_settings: SettingsFactory, audio_format: str) -> None:
    async with client_of(create_app(make_settings(), FakeTtsEngine())) as client:
        pcm = await client.post(PATH, json=body(response_format="pcm"))
        answer = await client.post(PATH, json=body(response_format=audio_format))
    assert answer.headers["content-type"].startswith(FORMATS[audio_format])
    spoken_s = len(pcm.content) / 2 / 24_000
    # 10 words of 0.1 s, 0.3 s between the sentences, 0.04 s before them and 0.01 s after.
    assert spoken_s == pytest.approx(1.35, abs=0.001)
    if audio_format != "pcm":
        assert len(decode(answer.content, 24_000)) / 24_000 == pytest.approx(spoken_s, abs=0.02)


async def test_mp3_is_the_default_format(make_settings: SettingsFactory) -> None:
    async with client_of(create_app(make_settings(), FakeTtsEngine())) as client:
        answer = await client.post(PATH, json={"model": "tts-1", "voice": "alloy", "input": "Hello there."})
    assert answer.headers["content-type"] == "audio/mpeg"


@pytest.mark.parametrize("audio_format", FORMATS)
def test_the_first_bytes_leave_before_the_second_sentence_is_spoken(
    make_settings: SettingsFactory, audio_format: str
) -> None:
    class OneSentence(FakeTtsEngine):
        def synthesize(self, *args: Any) -> Iterator[AudioChunk]:
            if self.said:
                second.step()
            yield from super().synthesize(*args)

    second = Gate(opened=False)
    with served(create_app(make_settings(), OneSentence())) as url:
        request = body(LONG, response_format=audio_format)
        with httpx.stream("POST", f"{url}{PATH}", json=request, timeout=30) as answer:
            pieces = answer.iter_raw()
            assert next(pieces)
            second.open()
            rest = b"".join(pieces)
        assert rest


async def test_the_default_voice_speaks_for_openais_names(make_settings: SettingsFactory) -> None:
    engine = FakeTtsEngine()
    async with client_of(create_app(make_settings(tts_default_voice="cleo"), engine)) as client:
        for voice in ("alloy", "Nova", {"id": "shimmer"}, {"id": "en_US-ann-medium"}, "bert", "en_GB-cleo-high"):
            assert (await client.post(PATH, json=body("Good morning.", voice=voice))).status_code == 200
    assert [options.voice.name for _, options in engine.said] == ["cleo", "cleo", "cleo", "ann", "bert", "cleo"]


async def test_a_language_chooses_among_the_voices_unless_one_is_named(make_settings: SettingsFactory) -> None:
    engine = FakeTtsEngine()
    async with client_of(create_app(make_settings(), engine)) as client:
        for language in ("de", "en-GB", "en", "en_us"):
            assert (await client.post(PATH, json=body("Guten Tag.", language=language))).status_code == 200
        for bad in (body("Hi there.", language="fr"), body("Hi there.", voice="ann", language="de")):
            refused = await client.post(PATH, json=bad)
            assert (refused.status_code, refused.json()["error"]["param"]) == (400, "language")
    assert [options.voice.name for _, options in engine.said] == ["bert", "cleo", "ann", "ann"]


async def test_the_whole_text_reaches_the_engine_in_order(make_settings: SettingsFactory) -> None:
    engine = FakeTtsEngine()
    async with client_of(create_app(make_settings(), engine)) as client:
        assert (await client.post(PATH, json=body(LONG, instructions="cheerful"))).status_code == 200
    words = [word for text, _ in engine.said for word in text.split()]
    assert len(words) == len(LONG.split())
    # Figures are said in words.
    assert [(a, b) for a, b in zip(words, LONG.split(), strict=True) if a != b][:3] == [
        ("zero", "0"),
        ("one", "1"),
        ("two", "2"),
    ]


@pytest.mark.parametrize("speed", [0.25, 0.5, 0.9, 1.0, 1.5, 4.0])
async def test_speed_changes_the_length_and_keeps_the_pitch(make_settings: SettingsFactory, speed: float) -> None:
    async with client_of(create_app(make_settings(), FakeTtsEngine())) as client:
        answer = await client.post(PATH, json=body(LONG, speed=speed, response_format="pcm"))
    samples = np.frombuffer(answer.content, "<i2")
    words, pauses = len(LONG.split()), 19
    assert len(samples) / 24_000 == pytest.approx((0.1 * words + 0.3 * pauses + 0.05) / speed, abs=0.1)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    assert np.argmax(spectrum) * 24_000 / len(samples) == pytest.approx(440, abs=5)


async def test_a_text_longer_than_openais_limit_is_spoken_and_one_over_ours_is_refused(
    make_settings: SettingsFactory,
) -> None:
    async with client_of(create_app(make_settings(tts_max_input_chars=6000), FakeTtsEngine())) as client:
        assert (await client.post(PATH, json=body("word " * 1000, response_format="opus"))).status_code == 200
        refused = await client.post(PATH, json=body("word " * 2000))
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "input_too_long")


@pytest.mark.parametrize("text", ["", "   \n", "😀🎉", "...", "\u200b\ufeff", "!?\n* * *"])
async def test_a_text_without_anything_to_say_is_a_400(make_settings: SettingsFactory, text: str) -> None:
    async with client_of(create_app(make_settings(), FakeTtsEngine())) as client:
        answer = await client.post(PATH, json=body(text))
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "input")


async def test_an_unknown_voice_is_a_404_that_names_the_voices(make_settings: SettingsFactory) -> None:
    async with client_of(create_app(make_settings(), FakeTtsEngine())) as client:
        for name in ("zoe", "../../etc/passwd", ""):
            answer = await client.post(PATH, json=body("Hello.", voice=name))
            error = answer.json()["error"]
            assert (answer.status_code, error["code"], error["param"]) == (404, "voice_not_found", "voice")
            assert "en_US-ann-medium" in error["message"]
        unknown_model = await client.post(PATH, json=body("Hello.", model="tts-9"))
        assert (unknown_model.status_code, unknown_model.json()["error"]["code"]) == (404, "model_not_found")


async def test_voices_are_listed_default_first_and_described(make_settings: SettingsFactory) -> None:
    async with client_of(create_app(make_settings(tts_default_voice="cleo"), FakeTtsEngine())) as client:
        listed = (await client.get("/v1/audio/voices")).json()
        assert [voice["name"] for voice in listed["data"]] == ["cleo", "ann", "bert"]
        one = (await client.get("/v1/audio/voices/de_DE-bert-low")).json()
        assert (one["language"], one["engine"], one["object"]) == ("de-DE", "fake", "audio.voice")
        assert (await client.get("/v1/audio/voices/none")).status_code == 404


def events(stream: str) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in stream.splitlines() if line.startswith("data: ")]


@pytest.mark.parametrize("audio_format", FORMATS)
async def test_server_sent_events_carry_the_same_file_and_end_with_usage(
    make_settings: SettingsFactory, audio_format: str
) -> None:
    request = body(response_format=audio_format)
    async with client_of(create_app(make_settings(), FakeTtsEngine())) as client:
        whole = await client.post(PATH, json=request)
        answer = await client.post(PATH, json={**request, "stream_format": "sse"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    *deltas, done = events(answer.text)
    assert {event["type"] for event in deltas} == {"speech.audio.delta"}
    assert b"".join(base64.b64decode(event["audio"]) for event in deltas) == whole.content
    assert done["type"] == "speech.audio.done"
    assert done["usage"] == {"input_tokens": 13, "output_tokens": 27, "total_tokens": 40}
    assert done["duration"] == pytest.approx(1.35, abs=0.001)


def test_a_failure_in_mid_stream_breaks_the_transfer(make_settings: SettingsFactory) -> None:
    with served(create_app(make_settings(), FakeTtsEngine(fail_at=1))) as url:
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.post(f"{url}{PATH}", json=body(LONG), timeout=30)
        assert httpx.get(f"{url}/health").json()["active"] == 0


async def test_a_failure_in_mid_stream_is_an_error_event(make_settings: SettingsFactory) -> None:
    async with client_of(create_app(make_settings(), FakeTtsEngine(fail_at=1))) as client:
        answer = await client.post(PATH, json=body(LONG, stream_format="sse"))
    last = events(answer.text)[-1]
    assert (last["type"], last["error"]["code"]) == ("error", "engine_error")
    assert "event: error\n" in answer.text
    assert "speech.audio.done" not in answer.text


async def test_a_failure_before_the_first_byte_is_an_answer_of_its_own(make_settings: SettingsFactory) -> None:
    async with client_of(create_app(make_settings(), FakeTtsEngine(fail_at=0))) as client:
        answer = await client.post(PATH, json=body(LONG))
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "engine_error")


def test_a_client_that_hangs_up_ends_the_speech(make_settings: SettingsFactory) -> None:
    engine = FakeTtsEngine()
    with served(create_app(make_settings(), engine)) as url:
        with httpx.stream("POST", f"{url}{PATH}", json=body(LONG * 50, response_format="pcm")) as answer:
            next(answer.iter_raw())
        wait_until(lambda: httpx.get(f"{url}/health").json()["active"] == 0)
        assert engine.gate.closed.is_set()
        assert len(engine.said) < 1000


def test_a_slow_reader_holds_up_its_own_speech_only(make_settings: SettingsFactory) -> None:
    engine = FakeTtsEngine()
    request = body(LONG * 50, response_format="pcm")
    with (
        served(create_app(make_settings(), engine)) as url,
        httpx.stream("POST", f"{url}{PATH}", json=request) as slow,
    ):
        next(slow.iter_raw())
        other = httpx.post(f"{url}{PATH}", json=body("Somebody else speaks."))
        assert other.status_code == 200
        assert len(engine.said) < 1000


async def test_sentences_are_set_apart_by_silence(make_settings: SettingsFactory) -> None:
    async with client_of(create_app(make_settings(), FakeTtsEngine())) as client:
        answer = await client.post(PATH, json=body("One two three four. Five six seven eight.", response_format="pcm"))
    samples = np.frombuffer(answer.content, "<i2")
    middle = samples[round(0.46 * 24_000) : round(0.72 * 24_000)]
    assert np.abs(middle).max() <= 1
    assert np.abs(samples).max() > 5000
