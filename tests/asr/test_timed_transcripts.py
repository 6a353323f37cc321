"""Transcripts with times: streamed as they are made, and laid out as subtitles afterwards."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from tests.asr.test_transcriptions import PATH, upload
from tests.conftest import SettingsFactory
from tests.support.engines import FakeAsrEngine
from tests.support.serving import client_of
from voice_stack.asr.api.api_v1.endpoints.subtitles import LIMIT
from voice_stack.asr.app import create_app
from voice_stack.asr.schemas.timed import TimedTranscript
from voice_stack.core.errors import InvalidRequestError

pytestmark = pytest.mark.anyio

SUBTITLES = f"{PATH}/subtitles"
BOTH = ["word", "segment"]
TEXT = ["The", "ferry", "left", "the", "harbour.", "Nobody", "was", "hurt,", "but", "a", "goat;", "渡り船は港を出た。"]


def spoken(words: list[dict[str, Any]] | None, *texts: str) -> list[tuple[float, str]]:
    segments = [{"start": start, "end": start + 1, "text": text} for start, text in enumerate(texts)]
    transcript = TimedTranscript.model_validate({"duration": 9, "segments": segments, "words": words})
    return [(word.start_s, word.text) for word in transcript.spoken()]


def said(*words: str) -> list[dict[str, Any]]:
    return [{"word": word, "start": number / 10, "end": (number + 1) / 10} for number, word in enumerate(words)]


async def test_a_stream_of_verbose_json_adds_up_to_what_comes_without_one(make_settings: SettingsFactory) -> None:
    form = {"response_format": "verbose_json", "timestamp_granularities[]": BOTH}
    async with client_of(create_app(make_settings(), FakeAsrEngine())) as client:
        whole = (await client.post(PATH, files=upload(), data=form)).json()
        answer = await client.post(PATH, files=upload(), data={**form, "stream": "true"})
        plain = await client.post(PATH, files=upload(), data={"response_format": "verbose_json", "stream": "true"})
    events = [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line]
    kinds = ["transcript.text.delta", "transcript.text.segment"]
    assert [event["type"] for event in events] == [*kinds, *kinds, "transcript.text.done"]
    segments = [event for event in events if event["type"] == kinds[1]]
    assert [word for segment in segments for word in segment.pop("words")] == whole["words"]
    assert [{**segment, "type": None} for segment in segments] == [{**one, "type": None} for one in whole["segments"]]
    done = events[-1]
    assert {key: done[key] for key in ("text", "language", "duration")} == {
        key: whole[key] for key in ("text", "language", "duration")
    }
    assert '"words"' not in plain.text, "they were not asked for"


async def test_a_stream_of_text_has_no_times(make_settings: SettingsFactory) -> None:
    async with client_of(create_app(make_settings(), FakeAsrEngine())) as client:
        answer = await client.post(PATH, files=upload(), data={"stream": "true"})
    assert "transcript.text.segment" not in answer.text
    assert '"duration"' not in answer.text


@pytest.mark.parametrize("response_format", ["srt", "vtt"])
async def test_subtitles_made_afterwards_are_those_made_at_once(
    make_settings: SettingsFactory, response_format: str
) -> None:
    async with client_of(create_app(make_settings(), FakeAsrEngine(TEXT))) as client:
        at_once = await client.post(PATH, files=upload(), data={"response_format": response_format})
        form = {"response_format": "verbose_json", "timestamp_granularities[]": BOTH}
        verbose = (await client.post(PATH, files=upload(), data=form)).json()
        afterwards = await client.post(SUBTITLES, json=verbose, params={"response_format": response_format})
        nothing = await client.post(SUBTITLES, json={"duration": 3.5, "segments": []})
    assert afterwards.status_code == 200
    assert afterwards.text == at_once.text
    assert (nothing.status_code, nothing.text) == (200, "")


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        (b"{", 400, None),
        (b"[]", 400, None),
        (b'{"segments": []}', 400, "duration"),
        (b'{"duration": NaN, "segments": []}', 400, "duration"),
        (b'{"duration": 1, "segments": [{"start": -1, "end": 2, "text": "x"}]}', 400, "segments"),
        (b'{"duration": 1, "segments": [{"start": 0, "end": 1e999, "text": "x"}]}', 400, "segments"),
        (b'{"duration": 1, "segments": [{"start": 0, "end": 1, "text": "' + b"a" * 4001 + b'"}]}', 400, "segments"),
        (b'{"duration": 1, "segments": [{"start": 0, "end": 1, "text": 7}]}', 400, "segments"),
        (b'{"duration": "1", "segments": []}', 400, "duration"),
        (b" " * (LIMIT.max_bytes + 1), 413, "words"),
    ],
)
async def test_a_transcript_that_is_none_is_an_error_that_says_so(
    make_settings: SettingsFactory, body: bytes, status: int, param: str | None
) -> None:
    async with client_of(create_app(make_settings(), FakeAsrEngine()), ready=False) as client:
        answer = await client.post(SUBTITLES, content=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param), answer.text


@pytest.mark.parametrize("part", ["segments", "words"])
def test_a_million_wrong_items_are_one_error(part: str) -> None:
    body = {"duration": 1, "segments": [], part: [1] * 1000}
    with pytest.raises(ValidationError) as caught:
        TimedTranscript.model_validate_json(json.dumps(body), strict=True)
    assert caught.value.error_count() == 1


def test_words_get_their_spaces_and_punctuation_from_the_segments() -> None:
    assert spoken(said("Yes", "he", "said"), " Yes, he", " said. ") == [(0.0, " Yes,"), (0.1, " he"), (0.2, " said. ")]
    assert spoken(said("渡り", "船"), "渡り船。") == [(0.0, "渡り"), (0.1, "船。")]
    assert spoken(said("(No", "way)"), " (No way)!") == [(0.0, " (No"), (0.1, " way)!")]


def test_words_that_are_not_in_the_segments_take_nothing_from_the_text() -> None:
    assert spoken(said("one", "fuor", "five"), " one two", " four five") == [(0.0, " one two four"), (0.2, " five")]
    with pytest.raises(InvalidRequestError, match="not those of the segments: ' one one"):
        spoken(said("one"), " one" * 100)
    with pytest.raises(InvalidRequestError, match="not those of the segments"):
        spoken(said("elsewhere"), " one")
    assert spoken(None, " one", " two") == [(0.0, " one"), (1.0, " two")]
