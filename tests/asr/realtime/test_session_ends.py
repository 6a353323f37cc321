"""How realtime sessions end, and what holds a client back that sends too fast."""

import base64
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from tests.asr.realtime.serving import CountingEngine, serving
from tests.support.engines import Gate
from tests.support.realtime import TRANSCRIPTION, pcm, realtime
from tests.support.serving import wait_until
from tests.support.speech import decode

SILENCE = bytes(48_000)
COMPLETED = f"{TRANSCRIPTION}.completed"


@pytest.fixture(scope="module")
def fox(speech_dir: Path) -> bytes:
    """Three seconds of speech, s16le of 24 kHz."""
    return pcm(decode((speech_dir / "en" / "quick_brown_fox.wav").read_bytes()))


def test_what_is_being_said_is_finished_when_the_service_stops(fox: bytes) -> None:
    with serving(CountingEngine()) as served, realtime(served.url) as client:
        client.append(SILENCE + fox)
        client.next("input_audio_buffer.speech_started")
        served.stop()
        events = client.until("error")
        assert events[-2]["type"] == COMPLETED
        assert events[-1]["error"]["code"] == "stopping"
        assert client.close_code() == 1012


def test_what_is_being_said_is_finished_when_the_session_s_time_is_over(fox: bytes) -> None:
    with serving(CountingEngine(), max_session_s=1.0) as served, realtime(served.url) as client:
        client.append(SILENCE + fox)
        events = client.until("error")
        assert events[-2]["type"] == COMPLETED
        assert events[-1]["error"]["code"] == "session_expired"
        assert client.close_code() == 1000


def test_an_engine_that_hangs_does_not_keep_an_expired_session(fox: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voice_stack.asr.realtime.session.FINISH_S", 0.3)
    engine = CountingEngine(gate=Gate(opened=False))
    with serving(engine, max_session_s=0.5) as served, realtime(served.url) as client:
        client.append(SILENCE + fox)
        assert client.until("error")[-1]["error"]["code"] == "session_expired"
        assert client.close_code() == 1000


@pytest.mark.parametrize("how", ["orderly", "reset"])
def test_a_client_that_leaves_takes_everything_with_it(fox: bytes, how: str) -> None:
    engine = CountingEngine(gate=Gate(opened=False))
    with serving(engine) as served:
        wait_until(lambda: served.service.lifecycle.is_healthy)
        with realtime(served.url) as client:
            client.receive()
        wait_until(lambda: served.service.sessions.open == 0)
        before = served.tasks(), threading.active_count()
        with realtime(served.url) as client:
            client.append(SILENCE + fox + SILENCE)
            assert engine.gate.reached.wait(10)
            if how == "reset":
                linger = b"\1\0\0\0\0\0\0\0"
                client.connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                client.connection.socket.close()
        wait_until(lambda: served.service.sessions.open == 0)
        engine.gate.open()
        wait_until(lambda: (served.service.queue.active, served.service.queue.depth) == (0, 0))
        wait_until(lambda: served.tasks() == before[0])
        assert threading.active_count() <= before[1] + 4
        heard = len(engine.windows)
        time.sleep(0.3)
        assert len(engine.windows) == heard


def test_who_sends_faster_than_can_be_heard_is_held_back(fox: bytes) -> None:
    engine = CountingEngine(gate=Gate(opened=False))
    with serving(engine) as served, realtime(served.url) as client:
        sent: list[int] = []
        audio = base64.b64encode((fox + SILENCE) * 5).decode()

        def send() -> None:
            with suppress(ConnectionClosed):
                while True:
                    client.send("input_audio_buffer.append", audio=audio)
                    sent.append(len(audio))

        sending = threading.Thread(target=send)
        sending.start()
        assert engine.gate.reached.wait(10)
        wait_until(lambda: stands_still(sent))
        held_at = len(sent)
        assert held_at < 60
        engine.gate.open()
        wait_until(lambda: len(sent) > held_at)
        client.connection.socket.shutdown(socket.SHUT_RDWR)
        sending.join(10)
        assert not sending.is_alive()


def stands_still(sent: list[int]) -> bool:
    before = len(sent)
    time.sleep(0.5)
    return len(sent) == before
