"""``voice-stack say -`` with a fake engine: what is said when, and how it ends."""

import io
import os
import queue
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.conftest import SettingsFactory
from tests.support.engines import FakeTtsEngine
from tests.support.serving import wait_until
from voice_stack.cli import main
from voice_stack.core.errors import ConfigurationError, InvalidRequestError, VoiceNotFoundError
from voice_stack.tts.batch import arriving
from voice_stack.tts.batch.arrivals import arriving_text
from voice_stack.tts.batch.arriving import say_arriving
from voice_stack.tts.batch.command import SayOptions


class Listener:
    """Takes audio, at the sample rate of the fake engine."""

    rate_hz = FakeTtsEngine.SAMPLE_RATE_HZ

    def __init__(self, audio_format: str = "pcm", *, most_bytes: int = 10**9) -> None:
        self.audio_format = audio_format
        self.heard = b""
        self.is_open = False
        self.most_bytes = most_bytes

    @contextmanager
    def opened(self) -> Iterator[None]:
        self.is_open = True
        yield
        self.is_open = False

    def write(self, data: bytes) -> None:
        assert self.is_open
        self.heard += data
        if len(self.heard) > self.most_bytes:
            raise BrokenPipeError

    @property
    def tones_s(self) -> float:
        """How long it sounds: a tenth of a second for each word."""
        samples = np.frombuffer(self.heard, "<i2") if self.audio_format == "pcm" else self._decoded()
        frames = np.abs(samples[: samples.size // 240 * 240].astype(np.float32)).reshape(-1, 240).max(axis=1)
        return float(np.count_nonzero(frames > 0.05 * frames.max(initial=0.0)) / 100)

    def _decoded(self) -> NDArray[np.float32]:
        """What has come of a stream that goes on."""
        resampler = av.AudioResampler("flt", "mono", self.rate_hz)
        parts = [np.zeros(0, np.float32)]
        with suppress(av.FFmpegError), av.open(io.BytesIO(self.heard)) as container:
            for frame in container.decode(audio=0):
                parts += [part.to_ndarray().reshape(-1).astype(np.float32) for part in resampler.resample(frame)]
        return np.concatenate(parts)


class Saying:
    """Says what is written, in a thread."""

    def __init__(self, make_settings: SettingsFactory, listener: Listener, **options: Any) -> None:
        self.listener = listener
        self.engine = FakeTtsEngine()
        self._end, self._begin = os.pipe()
        self._result: queue.SimpleQueue[int | Exception] = queue.SimpleQueue()
        settings, given = make_settings(), SayOptions(None, listener.audio_format, **options)

        def run() -> None:
            try:
                arrivals = arriving_text(self._end)
                self._result.put(say_arriving(arrivals, settings, given, listener, self.engine))
            except Exception as error:  # noqa: BLE001 - the test wants it
                self._result.put(error)

        self._thread = threading.Thread(target=run)
        self._thread.start()

    def write(self, text: str | bytes) -> None:
        os.write(self._begin, text if isinstance(text, bytes) else text.encode())

    def wait_for(self, *texts: str) -> None:
        wait_until(lambda: self.said == [*texts], 5)

    @property
    def said(self) -> list[str]:
        return [text for text, _ in self.engine.said]

    def close(self) -> int:
        """The pipe ends; gives the exit code."""
        os.close(self._begin)
        self._begin = -1
        return self.end()

    def end(self) -> int:
        """Nobody reads the pipe any more; gives the exit code."""
        self._thread.join(20)
        for descriptor in (self._end, self._begin):
            if descriptor >= 0:
                os.close(descriptor)
        result = self._result.get(timeout=0)
        if isinstance(result, Exception):
            raise result
        return result


@pytest.mark.parametrize("audio_format", ["pcm", "mp3", "opus", "flac"])
def test_a_line_is_heard_to_its_end_before_the_next_one_is_written(
    make_settings: SettingsFactory, monkeypatch: pytest.MonkeyPatch, audio_format: str
) -> None:
    monkeypatch.setattr(arriving, "LULL_AFTER_S", 0.1)
    saying = Saying(make_settings, Listener(audio_format))
    saying.write("the backup has ended\n")
    saying.wait_for("the backup has ended")
    wait_until(lambda: saying.listener.tones_s > 0.37, 5)
    saying.write("disk is full\n")
    saying.wait_for("the backup has ended", "disk is full")
    assert saying.close() == 0
    assert saying.listener.tones_s == pytest.approx(0.7, abs=0.05)


def test_text_that_comes_in_pieces_is_said_by_sentences(make_settings: SettingsFactory) -> None:
    saying = Saying(make_settings, Listener())
    for piece in ("It rai", "ns in the mor", "ning. The s", "un shines at noon, as "):
        saying.write(piece)
    saying.wait_for("It rains in the morning.")
    saying.write("ever")
    assert saying.close() == 0
    assert saying.said == ["It rains in the morning.", "The sun shines at noon, as ever"]


def test_wrapped_text_that_comes_at_once_is_not_chopped(make_settings: SettingsFactory) -> None:
    saying = Saying(make_settings, Listener())
    saying.write(
        "It rains in the morning, and the sun shines\nat noon. Snow falls at night, as it always\ndoes here.\n"
    )
    saying.wait_for(
        "It rains in the morning, and the sun shines at noon.", "Snow falls at night, as it always does here."
    )
    assert saying.close() == 0


def test_no_more_text_is_read_ahead_than_is_needed(make_settings: SettingsFactory) -> None:
    saying = Saying(make_settings, Listener())
    saying.engine.gate.shut()
    line = b"It rains in the morning and the sun shines at noon. " * 79 + b"\n"
    written = []

    def write() -> None:
        with suppress(OSError):
            for _ in range(200):
                saying.write(line)
                written.append(line)

    writing = threading.Thread(target=write)
    writing.start()
    saying.engine.gate.reached.wait(5)
    writing.join(0.5)
    assert writing.is_alive()
    assert sum(map(len, written)) < 300_000
    saying.listener.most_bytes = 0
    saying.engine.gate.open()
    assert saying.end() == 1
    writing.join(5)


def test_a_listener_who_has_heard_enough_ends_it_quietly(make_settings: SettingsFactory) -> None:
    saying = Saying(make_settings, Listener(most_bytes=1000))
    saying.write("It rains in the morning.\n")
    assert saying.end() == 1


def test_what_cannot_be_said_is_an_error(make_settings: SettingsFactory) -> None:
    for text, options, error in (
        ("", {}, InvalidRequestError),
        ("?!\n\n", {}, InvalidRequestError),
        ("Hello.\n", {"voice": "zoe"}, VoiceNotFoundError),
        ("Hello.\n", {"language": "fr"}, InvalidRequestError),
        (b"Caf\xe9.\n", {}, ConfigurationError),
    ):
        saying = Saying(make_settings, Listener(), **options)
        saying.write(text)
        with pytest.raises(error):
            saying.close()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["-"], "-o FILE"),
        (["Hello."], "It cannot be played: microphones and loudspeakers need the extra 'sound'"),
        (["Hello.", "--play"], "pip install 'voice-stack[sound]'"),
        (["-f", "book.txt", "--play"], "pip install 'voice-stack[sound]'"),
        (["Hello.", "--play", "-o", "a.mp3"], "leave --output and --format out"),
        ([], "give a text, or -f FILE"),
    ],
)
def test_without_a_loudspeaker_one_is_told_to_name_a_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], error: str
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(SystemExit) as exit_:
        main(["say", *arguments])
    assert exit_.value.code == 2
    assert error in capsys.readouterr().err.splitlines()[-1]
