"""Realtime sessions over real sockets: OpenAI's protocol, with an engine that counts."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from openai.types.realtime import RealtimeTranscriptionSessionCreateResponse

from tests.asr.realtime.serving import CountingEngine, Served, serving
from tests.support.engines import Gate
from tests.support.realtime import TRANSCRIPTION, Event, RealtimeClient, pcm, realtime
from tests.support.speech import decode

SILENCE = bytes(48_000)
MANUAL: dict[str, Any] = {"turn_detection": None}
COMPLETED = f"{TRANSCRIPTION}.completed"


@pytest.fixture(scope="module")
def fox(speech_dir: Path) -> bytes:
    """Three seconds of speech, s16le of 24 kHz."""
    return pcm(decode((speech_dir / "en" / "quick_brown_fox.wav").read_bytes()))


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving(CountingEngine()) as served:
        yield served


@pytest.fixture
def client(served: Served) -> Iterator[RealtimeClient]:
    with realtime(served.url) as client:
        assert client.receive()["type"] == "session.created"
        yield client


def types(events: list[Event]) -> list[str]:
    return [event["type"] for event in events]


def utterance(client: RealtimeClient, data: bytes) -> list[Event]:
    """Send audio and commit it; all that is told until its transcript."""
    client.append(data)
    client.send("input_audio_buffer.commit")
    return client.until(COMPLETED, f"{TRANSCRIPTION}.failed")


def test_a_session_is_created_at_once_even_while_the_model_loads() -> None:
    loading = Gate(opened=False)
    with (
        serving(CountingEngine(load_gate=loading), max_session_s=100) as served,
        realtime(served.url) as client,
    ):
        created = client.receive()
        assert created["type"] == "session.created"
        session = RealtimeTranscriptionSessionCreateResponse.model_validate(created["session"], strict=True)
        assert session.id.startswith("sess_")
        assert session.object == "realtime.transcription_session"
        assert session.expires_at is not None
        assert 90 < session.expires_at - time.time() <= 100
        assert created["session"]["audio"]["input"]["transcription"]["model"] == "fake-base"
        loading.open()
        client.configure(**MANUAL)
        assert utterance(client, SILENCE)[-1]["type"] == COMPLETED


@pytest.mark.parametrize(
    ("query", "code", "param"),
    [
        ({"model": "nope"}, "model_not_found", "model"),
        ({"intent": "conversation"}, "invalid_request", "intent"),
        ({"model": "gpt-realtime", "call_id": "rtc_1"}, "invalid_request", "call_id"),
    ],
)
def test_what_is_not_here_ends_the_session_with_an_error(
    served: Served, query: dict[str, str], code: str, param: str
) -> None:
    with realtime(served.url, query) as client:
        error = client.receive()
        assert error["type"] == "error"
        assert (error["error"]["code"], error["error"]["param"]) == (code, param)
        assert client.close_code() == 1008


@pytest.mark.parametrize(
    "query", [{"model": "gpt-realtime"}, {"model": "whisper-1"}, {"model": "fake-base"}, {"x": "y"}]
)
def test_openai_s_names_mean_the_configured_model(served: Served, fox: bytes, query: dict[str, str]) -> None:
    with realtime(served.url, query) as client:
        created = client.receive()
        assert created["session"]["audio"]["input"]["transcription"]["model"] == query.get("model", "fake-base")
        client.configure(**MANUAL)
        assert utterance(client, fox)[-1]["transcript"].startswith("one two three")
        client.configure(transcription={"model": "gpt-live-transcribe"})
        assert utterance(client, fox)[-1]["transcript"].startswith("one two three")


def test_the_model_can_be_changed_until_there_is_audio(client: RealtimeClient, fox: bytes) -> None:
    for wrong in ("nope", "../../etc"):
        error = client.configure(transcription={"model": wrong})["error"]
        assert (error["code"], error["param"]) == ("model_not_found", "session.audio.input.transcription.model")
    assert client.configure(transcription={"model": "tiny.en"}, **MANUAL)["type"] == "session.updated"
    assert "fox" in utterance(client, fox)[-1]["transcript"]
    error = client.configure(transcription={"model": "whisper-1"})["error"]
    assert error["param"] == "session.audio.input.transcription.model"
    assert "fox" in utterance(client, fox)[-1]["transcript"]


def test_settings_that_are_wrong_change_nothing_and_the_session_goes_on(client: RealtimeClient, fox: bytes) -> None:
    before = client.configure(**MANUAL)["session"]
    wrong = client.configure(
        event_id="mine", transcription={"language": "de"}, format={"type": "audio/pcm", "rate": 96_000}
    )
    assert (wrong["type"], wrong["error"]["type"]) == ("error", "invalid_request_error")
    assert wrong["error"]["event_id"] == "mine"
    assert wrong["error"]["param"] == "session.audio.input.format.rate"
    assert client.configure()["session"] == before
    # Whisper knows Welsh, but this model does not.
    wrong = client.configure(transcription={"language": "cy"})
    assert wrong["error"]["param"] == "session.audio.input.transcription.language"
    assert client.configure()["session"] == before
    assert client.configure(type_="realtime")["error"]["param"] == "session.type"
    assert utterance(client, fox)[-1]["languages"] == [{"code": "en"}]


@pytest.mark.parametrize(
    "type_", ["response.create", "conversation.item.retrieve", "conversation.item.delete", "nonsense"]
)
def test_events_that_are_not_taken_are_errors_that_name_those_that_are(client: RealtimeClient, type_: str) -> None:
    client.send(type_, event_id="mine")
    error = client.receive()["error"]
    assert (error["param"], error["event_id"]) == ("type", "mine")
    assert error["code"] == ("unknown_event" if type_ == "nonsense" else "unsupported_event")
    assert "input_audio_buffer.append" in error["message"]


@pytest.mark.parametrize("audio", [None, 5, "A", "*AAA"])
def test_audio_that_is_none_is_an_error(client: RealtimeClient, audio: object) -> None:
    client.send("input_audio_buffer.append", audio=audio, event_id=5)
    error = client.receive()["error"]
    assert (error["param"], error["event_id"]) == ("audio", None)


def test_committed_audio_is_transcribed_and_its_deltas_add_up(client: RealtimeClient, fox: bytes) -> None:
    client.configure(**MANUAL)
    previous = None
    for seconds in (3, 4):
        events = utterance(client, (fox + SILENCE * 2)[: 48_000 * seconds])
        kinds = [kind for kind in types(events) if not kind.startswith(TRANSCRIPTION)]
        assert kinds == ["input_audio_buffer.committed", "conversation.item.added", "conversation.item.done"]
        committed = next(event for event in events if event["type"] == "input_audio_buffer.committed")
        completed = events[-1]
        assert committed["previous_item_id"] == previous
        assert completed["transcript"].split()[:4] == ["one", "two", "three", "four"]
        assert completed["usage"] == {"type": "duration", "seconds": seconds}
        deltas = [event["delta"] for event in events if event["type"] == f"{TRANSCRIPTION}.delta"]
        assert "".join(deltas) == completed["transcript"]
        assert {event["item_id"] for event in events if "item_id" in event} == {committed["item_id"]}
        previous = committed["item_id"]
    assert len(set(client.event_ids)) == len(client.event_ids)


def test_a_commit_needs_a_tenth_of_a_second(client: RealtimeClient) -> None:
    client.configure(**MANUAL)
    for data in (b"", SILENCE[:4798]):
        client.append(data)
        client.send("input_audio_buffer.commit", event_id="mine")
        error = client.receive()["error"]
        assert (error["code"], error["event_id"]) == ("input_audio_buffer_commit_empty", "mine")
        client.send("input_audio_buffer.clear")
        assert client.receive()["type"] == "input_audio_buffer.cleared"
    assert utterance(client, SILENCE[:4800])[-1]["usage"]["seconds"] == pytest.approx(0.1)


def test_what_is_cleared_is_not_heard(client: RealtimeClient) -> None:
    client.configure(**MANUAL)
    client.append(SILENCE * 3 + b"\0")
    client.send("input_audio_buffer.clear")
    client.next("input_audio_buffer.cleared")
    assert utterance(client, SILENCE)[-1]["usage"]["seconds"] == 1


def test_speech_begins_and_ends_a_turn(client: RealtimeClient, fox: bytes) -> None:
    client.append(SILENCE * 2 + fox + SILENCE + fox + SILENCE)
    started = client.next("input_audio_buffer.speech_started")
    events = client.until(COMPLETED)
    order = ["input_audio_buffer.speech_stopped", "input_audio_buffer.committed", "conversation.item.added"]
    item = started["item_id"]
    told = [event for event in events if item in (event.get("item_id"), event.get("item", {}).get("id"))]
    assert [kind for kind in types(told) if kind in order] == order
    stopped = next(event for event in events if event["type"] == order[0])
    assert 1700 <= started["audio_start_ms"] <= 2300
    assert 4900 <= stopped["audio_end_ms"] <= 5700
    assert events[-1]["item_id"] == stopped["item_id"] == item
    assert events[-1]["transcript"].startswith("one two three")
    second = client.until(COMPLETED)
    assert second[-1]["item_id"] != item


def test_a_tenth_of_a_second_is_a_tenth_in_every_format(client: RealtimeClient) -> None:
    client.configure(**MANUAL)
    for type_, rate, size in (("pcm", 8000, 2), ("pcm", 48_000, 2), ("pcmu", 8000, 1), ("pcma", 8000, 1)):
        client.configure(format={"type": f"audio/{type_}", "rate": rate})
        # Digital silence in A-law and u-law; a second of any noise does as well.
        assert utterance(client, bytes(rate * size))[-1]["usage"]["seconds"] == 1


def test_another_format_holds_from_the_next_append_on(client: RealtimeClient) -> None:
    client.configure(**MANUAL)
    client.append(SILENCE)
    client.configure(format={"type": "audio/pcmu"})
    assert utterance(client, bytes(8000))[-1]["usage"]["seconds"] == 2


def test_a_failure_is_told_and_the_session_goes_on(fox: bytes) -> None:
    engine = CountingEngine(fails=True)
    with serving(engine) as served, realtime(served.url) as client:
        client.configure(**MANUAL)
        failed = utterance(client, fox)[-1]
        assert failed["type"] == f"{TRANSCRIPTION}.failed"
        assert (failed["error"]["code"], failed["error"]["type"]) == ("engine_error", "server_error")
        engine.fails = False
        assert utterance(client, fox)[-1]["type"] == COMPLETED


def test_the_beta_s_sessions_are_answered_in_the_beta_s_manner(served: Served) -> None:
    with realtime(served.url, headers={"OpenAI-Beta": "realtime=v1"}) as client:
        created = client.receive()
        assert created["type"] == "transcription_session.created"
        assert created["session"]["input_audio_format"] == "pcm16"
        client.send("transcription_session.update", session={"input_audio_format": "g711_ulaw", "turn_detection": None})
        updated = client.receive()
        assert updated["type"] == "transcription_session.updated"
        assert updated["session"]["input_audio_format"] == "g711_ulaw"
        client.send("transcription_session.update", session={"input_audio_transcription": {"model": "nope"}})
        assert client.receive()["error"]["param"] == "session.input_audio_transcription.model"
        kinds = types(utterance(client, bytes(8000)))
        assert "conversation.item.created" in kinds
        assert "conversation.item.added" not in kinds


def test_a_key_may_be_a_subprotocol() -> None:
    with serving(CountingEngine(), api_keys=("sk-a",)) as served:
        with realtime(served.url, subprotocols=("realtime", "openai-insecure-api-key.sk-a")) as client:
            assert client.connection.subprotocol == "realtime"
            assert client.receive()["type"] == "session.created"
        with pytest.raises(Exception, match="401"), realtime(served.url, subprotocols=("realtime",)):
            pass


def test_samples_of_any_cutting_are_the_same(client: RealtimeClient) -> None:
    client.configure(**MANUAL)
    data = np.random.default_rng(5).integers(0, 256, 48_000, dtype=np.uint8).tobytes()
    client.append(data, chunk_bytes=997)
    assert utterance(client, b"")[-1]["usage"]["seconds"] == 1
