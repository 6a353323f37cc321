"""Incremental speech over a real WebSocket, with an engine that makes tones."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from tests.conftest import SettingsFactory
from tests.support.engines import FakeTtsEngine, Gate
from tests.support.serving import served, wait_until
from tests.support.speech_stream import StreamClient, audio_of, speech_stream, tokens
from voice_stack.tts.app import create_app
from voice_stack.tts.incremental.session import MAX_UTTERANCES
from voice_stack.tts.service import TtsService

TEXT = "This is the first of them. Here comes another one, too. That is the end of it."
SENTENCES = ["This is the first of them.", "Here comes another one, too.", "That is the end of it."]


class Served:
    """A service in a thread."""

    def __init__(self, url: str, app: FastAPI, engine: FakeTtsEngine) -> None:
        self.url = url
        self.service: TtsService = app.state.service
        self.engine = engine

    def said(self) -> list[str]:
        return [text for text, _ in self.engine.said]

    def is_idle(self) -> bool:
        return self.service.queue.active == 0 == self.service.sessions.open


Serve = Any


@pytest.fixture
def serve(make_settings: SettingsFactory) -> Serve:
    @contextmanager
    def serving(engine: FakeTtsEngine | None = None, **changes: Any) -> Iterator[Served]:
        engine = engine or FakeTtsEngine()
        app = create_app(make_settings(**changes), engine)

        @app.post("/stop")
        async def stop() -> None:
            app.state.service.stop()

        with served(app) as url:
            wait_until(lambda: httpx.get(f"{url}/health").status_code == 200)
            yield Served(url, app, engine)

    return serving


def types(events: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(event["type"] for event in events))


def test_the_audio_is_that_of_the_whole_text_in_every_format(serve: Serve) -> None:
    with serve() as service, speech_stream(service.url) as client:
        assert client.session["response_format"] == "pcm"
        for audio_format, speed in [
            ("pcm", 1.0),
            ("wav", 1.0),
            ("mp3", 1.5),
            ("opus", 1.0),
            ("aac", 1.0),
            ("flac", 0.5),
        ]:
            body = {"input": TEXT, "response_format": audio_format, "speed": speed}
            whole = httpx.post(f"{service.url}/v1/audio/speech", json=body).content
            client.configure(response_format=audio_format, speed=speed)
            client.say(tokens(TEXT))
            events = client.ended()
            assert types(events) == ["speech.started", "speech.audio.delta", "speech.audio.done"]
            assert audio_of(events) == whole
    done = events[-1]
    assert done["usage"] == {"input_tokens": 20, "output_tokens": 94, "total_tokens": 114}
    assert done["duration_s"] == pytest.approx(4.7, abs=0.1)
    assert {event["utterance_id"] for event in events} == {done["utterance_id"]}


def test_a_sentence_is_spoken_while_the_next_is_written_and_the_engine_rests_between(serve: Serve) -> None:
    with serve() as service, speech_stream(service.url) as client:
        client.write("This is the fi", "rst of", " them. He")
        client.next("speech.audio.delta")
        assert service.said() == SENTENCES[:1]
        wait_until(lambda: service.service.queue.active == 0)
        client.write("re comes another")
        client.send("input_text.flush")
        wait_until(lambda: service.said() == [*SENTENCES[:1], "Here comes another"])
        client.write(" one.")
        client.send("input_text.commit")
        assert client.ended()[-1]["type"] == "speech.audio.done"
        assert service.said()[2:] == ["one."]


def test_what_ends_like_a_sentence_is_spoken_when_the_writer_pauses_and_nothing_else_is(serve: Serve) -> None:
    with serve() as service, speech_stream(service.url) as client:
        client.write("I saw Dr.")
        time.sleep(0.4)
        assert service.said() == []
        client.write(" Smith in the garden.")
        began_at = time.monotonic()
        client.next("speech.audio.delta")
        assert 0.25 < time.monotonic() - began_at < 1
        assert service.said() == ["I saw Doctor Smith in the garden."]


def test_utterances_are_answered_in_order_each_as_the_session_was_when_it_began(serve: Serve) -> None:
    engine = FakeTtsEngine(gate=Gate(opened=False))
    with serve(engine) as service, speech_stream(service.url) as client:
        client.say(["The first one is this."])
        client.configure(voice="bert")
        client.say(["The second one is that."])
        client.configure(voice="cleo", response_format="wav")
        client.write("The third one")
        client.send("session.update", session={"voice": "ann"})
        client.say([" is it."])
        engine.gate.open()
        ends = [client.ended() for _ in range(3)]
        assert [events[-1]["type"] for events in ends] == ["speech.audio.done"] * 3
        assert len({events[-1]["utterance_id"] for events in ends}) == 3
        assert audio_of(ends[2]).startswith(b"RIFF")
    assert [options.voice.name for _, options in engine.said] == ["ann", "bert", "cleo"]


def test_a_cancel_is_the_last_word_even_while_the_engine_is_at_work(serve: Serve) -> None:
    engine = FakeTtsEngine(gate=Gate(opened=False))
    with serve(engine) as service, speech_stream(service.url) as client:
        engine.gate.step_once()
        client.say(tokens(TEXT))
        client.say(["It waits for its turn."])
        client.next("speech.audio.delta")
        wait_until(lambda: engine.gate.steps == 2)
        began_at = time.monotonic()
        client.send("speech.cancel")
        events = [*client.ended(), *client.ended()]
        assert time.monotonic() - began_at < 1
        assert [event["type"] for event in events if event["type"] != "speech.audio.delta"] == ["speech.cancelled"] * 2
        assert events[-2]["type"] == "speech.cancelled"
        engine.gate.open()
        wait_until(lambda: service.service.queue.active == 0)
        client.say(["And now something else."])
        events = client.ended()
        assert types(events) == ["speech.started", "speech.audio.delta", "speech.audio.done"]
        client.send("speech.cancel")
        assert client.receive()["utterance_id"] is None
    assert service.said() == [*SENTENCES[:2], "And now something else."]


def test_a_hundred_cancelled_utterances_leave_nothing(serve: Serve) -> None:
    with serve() as service, speech_stream(service.url) as client:
        client.say(["Everything is warm now."])
        client.ended()
        threads = threading.active_count()
        for number in range(100):
            client.write(*tokens(TEXT))
            if number % 2:
                client.next("speech.audio.delta")
            client.send("speech.cancel")
            assert client.ended()[-1]["type"] == "speech.cancelled"
        client.say(["And one to the end."])
        assert client.ended()[-1]["type"] == "speech.audio.done"
        wait_until(lambda: service.service.queue.active == 0)
        # Those of asyncio's own pool come as they are needed and stay.
        assert threading.active_count() <= threads + 8
    wait_until(service.is_idle)


def test_an_utterance_that_fails_ends_as_failed_and_the_session_goes_on(serve: Serve) -> None:
    with serve(FakeTtsEngine(fail_at=1)) as service, speech_stream(service.url) as client:
        client.write(SENTENCES[0], " ", SENTENCES[1], " That")
        events = client.ended()
        assert types(events) == ["speech.started", "speech.audio.delta", "speech.failed"]
        assert events[-1]["error"]["code"] == "engine_error"
        client.say([" is not said any more."])
        service.engine._fail_at = None
        client.say(["But this is said."])
        assert client.ended()[-1]["type"] == "speech.audio.done"
        assert service.said()[1:] == ["But this is said."]


@pytest.mark.parametrize("text", ["...", " \n ", "👍"])
def test_what_cannot_be_said_fails_and_nobody_waits(serve: Serve, text: str) -> None:
    with serve() as service, speech_stream(service.url) as client:
        client.say([text])
        events = client.ended()
        assert types(events) == ["speech.failed"]
        assert events[0]["error"]["code"] == "nothing_to_say"


def test_bounds_hold_and_are_told(serve: Serve) -> None:
    engine = FakeTtsEngine(gate=Gate(opened=False))
    with serve(engine, tts_max_input_chars=2000) as service, speech_stream(service.url) as client:
        client.write("It is long. " * 100)
        client.write("It is long. " * 100, "more")
        engine.gate.open()
        events = client.ended()
        assert (events[-1]["type"], events[-1]["error"]["code"]) == ("speech.failed", "input_too_long")
        client.say(["and more"])
        engine.gate.shut()
        for _ in range(MAX_UTTERANCES + 1):
            client.say(["This waits here."])
        assert client.receive()["error"]["code"] == "queue_full"
        engine.gate.open()
        assert {client.ended()[-1]["type"] for _ in range(MAX_UTTERANCES)} == {"speech.audio.done"}
        client.say(["There is room again."])
        assert client.ended()[-1]["type"] == "speech.audio.done"


@pytest.mark.parametrize(
    ("event", "code", "param"),
    [
        ({"type": "session.update", "session": {"voice": "nobody"}}, "voice_not_found", "voice"),
        ({"type": "session.update", "session": {"model": "nothing"}}, "model_not_found", "model"),
        ({"type": "session.update", "session": {"speed": 9}}, "invalid_request", "session.speed"),
        ({"type": "session.update", "session": {"language": "en" * 9000}}, "invalid_request", "session.language"),
        (
            {"type": "session.update", "session": {"instructions": "x" * 17_000}},
            "invalid_request",
            "session.instructions",
        ),
        ({"type": "session.update", "session": {"language": "xx"}}, "unsupported_language", "language"),
        ({"type": "session.update"}, "invalid_request", "session"),
        ({"type": "input_text.append"}, "invalid_request", "text"),
        ({"type": "input_text.commit"}, "input_text_commit_empty", None),
        ({"type": "input_text.flash"}, "unknown_event", "type"),
    ],
)
def test_a_wrong_event_is_answered_and_the_session_goes_on(
    stream: StreamClient, event: dict[str, Any], code: str, param: str | None
) -> None:
    stream.send(**{"type_": event["type"], "event_id": "mine", **{k: v for k, v in event.items() if k != "type"}})
    error = stream.receive()
    assert error["type"] == "error"
    assert (error["error"]["code"], error["error"]["param"]) == (code, param)
    assert error["error"]["event_id"] == "mine"
    stream.say(["This is still said."])
    assert stream.ended()[-1]["type"] == "speech.audio.done"


def test_half_of_a_character_is_no_end_of_a_session(stream: StreamClient) -> None:
    stream.send("input_text.flash", event_id="\ud83d")
    assert stream.receive()["error"]["event_id"] == "\ud83d"
    stream.say(["This is said \ud83d", "\ude00 all the same."])
    assert stream.ended()[-1]["type"] == "speech.audio.done"


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StreamClient]:
    from voice_stack.core.settings import Settings

    settings = Settings(_env_file=None, tts_voice_dir=tmp_path_factory.mktemp("voices"))
    with served(create_app(settings, FakeTtsEngine())) as url, speech_stream(url) as client:
        yield client


def test_a_client_that_vanishes_leaves_nothing(serve: Serve) -> None:
    engine = FakeTtsEngine(gate=Gate(opened=False))
    with serve(engine) as service:
        with speech_stream(service.url) as client:
            client.say(tokens(TEXT))
            assert engine.gate.reached.wait(10)
            client.connection.socket.close()
        wait_until(lambda: service.service.sessions.open == 0)
        engine.gate.step_once()
        wait_until(service.is_idle)
        assert service.said() == SENTENCES[:1]


def test_a_client_that_does_not_read_stops_the_work(serve: Serve) -> None:
    text = "a b c d e f g h i j k l m n o p q r s t u v w x y z. " * 400
    with serve() as service, speech_stream(service.url, max_queue=1) as client:
        client.say([text])
        client.next("speech.started")
        wait_until(lambda: _stands_still(service.engine))
        assert len(service.engine.said) < 300
        client.send("speech.cancel")
        assert client.ended()[-1]["type"] == "speech.cancelled"
        wait_until(lambda: service.service.queue.active == 0)


def _stands_still(engine: FakeTtsEngine) -> bool:
    before = len(engine.said)
    time.sleep(0.3)
    return len(engine.said) == before


@pytest.mark.parametrize("committed", [True, False])
def test_a_stop_lets_the_utterance_in_progress_end(serve: Serve, committed: bool) -> None:
    engine = FakeTtsEngine(gate=Gate(opened=False))
    with serve(engine) as service, speech_stream(service.url) as client:
        client.write(*tokens(TEXT))
        if committed:
            client.send("input_text.commit")
            client.say(["This is too late now."])
        assert engine.gate.reached.wait(10)
        client.configure()  # all before it has been read
        httpx.post(f"{service.url}/stop")
        engine.gate.open()
        events = client.ended()
        assert service.said() == SENTENCES
        if committed:
            assert events[-1]["type"] == "speech.audio.done"
            events = client.ended()
        assert (events[-1]["type"], events[-1]["error"]["code"]) == ("speech.failed", "stopping")
        assert client.next("error")["error"]["code"] == "stopping"
        assert client.close_code() == 1012
