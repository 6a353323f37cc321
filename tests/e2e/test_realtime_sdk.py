"""OpenAI's own SDK in realtime sessions, against the real service: nothing lost, nothing twice, in order."""

import asyncio
import base64
import itertools
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from openai import AsyncOpenAI, OpenAI
from openai.types.realtime import RealtimeServerEvent
from openai.types.realtime.session_update_event_param import Session

from tests.support.realtime import TRANSCRIPTION, pcm
from tests.support.serving import ServiceProcess
from tests.support.utterances import in_random_order, one_after_the_other, speak_phrases
from tests.support.wer import english_word_error_rate

UTTERANCES = 200
CHUNK_BYTES = 24_000
SETTINGS: Session = {"type": "transcription", "audio": {"input": {"transcription": {"language": "en"}}}}
QUERY = {"intent": "transcription"}

# websockets 17.1 warns of how the synchronous SDK uses it.
synchronous = pytest.mark.filterwarnings(r"ignore:connect\(\) must be used as a context manager:DeprecationWarning")


@pytest.fixture(scope="module")
def phrases(tts: ServiceProcess) -> dict[str, NDArray[np.float32]]:
    """Short sentences and their sound."""
    return speak_phrases(tts.base_url)


def dictation(phrases: dict[str, NDArray[np.float32]], texts: Sequence[str]) -> Iterator[str]:
    """What a client sends of it: pieces in base64."""
    data = pcm(one_after_the_other([phrases[text] for text in texts]))
    for start in range(0, len(data), CHUNK_BYTES):
        yield base64.b64encode(data[start : start + CHUNK_BYTES]).decode()


def check(events: list[RealtimeServerEvent], texts: Sequence[str]) -> None:
    """Each utterance was transcribed once, in order, and its events belong together."""
    told = [event.model_dump() for event in events]
    assert [event for event in told if event["type"] == "error"] == []
    committed = [event for event in told if event["type"] == "input_audio_buffer.committed"]
    completed = [event for event in told if event["type"] == f"{TRANSCRIPTION}.completed"]
    items = [event["item_id"] for event in committed]
    assert len(set(items)) == len(texts)
    assert [event["previous_item_id"] for event in committed] == [None, *items[:-1]]
    assert [event["item_id"] for event in completed] == items
    for kind in ("added", "done"):
        added = [event for event in told if event["type"] == f"conversation.item.{kind}"]
        assert [(event["item"]["id"], event["previous_item_id"]) for event in added] == [
            (event["item_id"], event["previous_item_id"]) for event in committed
        ]
    check_times(told, items)
    for event in completed:
        deltas = [delta["delta"] for delta in of(told, f"{TRANSCRIPTION}.delta", event["item_id"])]
        assert "".join(deltas) == event["transcript"]
    wrong = [
        (text, event["transcript"])
        for text, event in zip(texts, completed, strict=True)
        if english_word_error_rate([text], [event["transcript"]]) > 0.5
    ]
    # More would be another order: no phrase follows itself.
    assert len(wrong) <= len(texts) // 50, wrong
    rate = english_word_error_rate(texts, [event["transcript"] for event in completed])
    print(f"{len(texts)} utterances, word error rate {rate:.3f}")
    assert rate < 0.1


def of(told: list[dict[str, Any]], type_: str, item: str) -> list[dict[str, Any]]:
    return [event for event in told if event["type"] == type_ and event["item_id"] == item]


def check_times(told: list[dict[str, Any]], items: list[str]) -> None:
    times_ms = []
    for item in items:
        (started,) = of(told, "input_audio_buffer.speech_started", item)
        (stopped,) = of(told, "input_audio_buffer.speech_stopped", item)
        times_ms += [started["audio_start_ms"], stopped["audio_end_ms"]]
    assert times_ms == sorted(times_ms)


async def heard_async(service: ServiceProcess, pieces: Iterator[str], count: int) -> list[RealtimeServerEvent]:
    client = AsyncOpenAI(base_url=f"{service.base_url}/v1", api_key="unused")
    # A ping waits behind the audio that was sent before it: many seconds, where that comes faster than it is heard.
    connecting = client.realtime.connect(
        model="tiny.en",
        extra_query=QUERY,
        websocket_connection_options={"ping_interval": None},  # type: ignore[typeddict-unknown-key]  # handed on
    )
    async with client, connecting as connection:

        async def send() -> None:
            await connection.session.update(session=SETTINGS)
            for piece in pieces:
                await connection.input_audio_buffer.append(audio=piece)

        sending = asyncio.ensure_future(send())
        events = []
        async for event in connection:
            events.append(event)
            count -= event.type == "conversation.item.input_audio_transcription.completed"
            if not count:
                break
        await sending
        return events


def test_two_hundred_utterances_through_the_async_sdk(
    asr: ServiceProcess, phrases: dict[str, NDArray[np.float32]]
) -> None:
    texts = in_random_order(UTTERANCES)
    pieces = list(dictation(phrases, texts))
    began_at = time.monotonic()
    events = asyncio.run(heard_async(asr, iter(pieces), UTTERANCES))
    print(f"{time.monotonic() - began_at:.1f} s for {len(pieces) * CHUNK_BYTES / 48_000:.0f} s of audio")
    check(events, texts)


@synchronous
def test_a_few_utterances_through_the_sync_sdk(asr: ServiceProcess, phrases: dict[str, NDArray[np.float32]]) -> None:
    texts = in_random_order(6)
    events = []
    with (
        OpenAI(base_url=f"{asr.base_url}/v1", api_key="unused") as client,
        client.realtime.connect(extra_query=QUERY) as connection,
    ):
        connection.session.update(session=SETTINGS)
        for piece in dictation(phrases, texts):
            connection.input_audio_buffer.append(audio=piece)
        completed = itertools.count(1)
        for event in connection:
            events.append(event)
            if event.type == "conversation.item.input_audio_transcription.completed" and next(completed) == len(texts):
                break
    assert [event.type for event in events[:2]] == ["session.created", "session.updated"]
    check(events, texts)


@synchronous
def test_manual_commits_and_errors_through_the_sync_sdk(
    asr: ServiceProcess, phrases: dict[str, NDArray[np.float32]]
) -> None:
    text = in_random_order(1)[0]
    with (
        OpenAI(base_url=f"{asr.base_url}/v1", api_key="unused") as client,
        client.realtime.connect(model="gpt-4o-transcribe", extra_query=QUERY) as connection,
    ):
        connection.session.update(session={"type": "transcription", "audio": {"input": {"turn_detection": None}}})
        connection.input_audio_buffer.commit()
        for piece in dictation(phrases, [text]):
            connection.input_audio_buffer.append(audio=piece)
        connection.input_audio_buffer.clear()
        for piece in dictation(phrases, [text]):
            connection.input_audio_buffer.append(audio=piece)
        connection.input_audio_buffer.commit()
        events = []
        for event in connection:
            events.append(event)
            if event.type == "conversation.item.input_audio_transcription.completed":
                assert english_word_error_rate([text], [event.transcript]) < 0.5
                break
    (error,) = [event.error for event in events if event.type == "error"]
    assert error.code == "input_audio_buffer_commit_empty"
    types = [event.type for event in events]
    assert types.count("input_audio_buffer.cleared") == types.count("input_audio_buffer.committed") == 1
    assert "input_audio_buffer.speech_started" not in types
