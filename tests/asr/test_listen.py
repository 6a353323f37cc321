"""``voice-stack listen`` with an engine that counts: what is shown when, and how it ends."""

import io
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.asr.realtime.serving import CountingEngine, serving
from tests.conftest import SettingsFactory
from tests.support.engines import FakeAsrEngine
from tests.support.serving import wait_until
from tests.support.speech import Sample, decode
from voice_stack.asr.engine.base import Hypothesis, LiveWindow
from voice_stack.asr.listen import remote
from voice_stack.asr.listen.command import ListenOptions, listen
from voice_stack.asr.listen.sources import PipeSource
from voice_stack.cli import main
from voice_stack.core.errors import InvalidAudioError, InvalidRequestError, VoiceStackError
from voice_stack.utils.audio.pcm import float_to_int16

Run = Callable[..., int]

PAUSE = np.zeros(16_000, np.float32)


@pytest.fixture(scope="module")
def speech(samples: list[Sample]) -> NDArray[np.float32]:
    """A sentence of some three seconds."""
    (sample,) = (sample for sample in samples if sample.path.stem == "quick_brown_fox")
    return decode(sample.path.read_bytes())


class Pipe:
    """Audio that a thread writes, faster than anybody speaks; its end stays open until it is closed."""

    def __init__(self, *parts: NDArray[np.float32], stays_open: bool = False) -> None:
        self._end, self._begin = os.pipe()
        self.source = PipeSource(self._end)
        self._data = float_to_int16(np.concatenate(parts)).tobytes()
        self._stays_open = stays_open
        self.is_written = False
        self._thread = threading.Thread(target=self._write)
        self._thread.start()

    def _write(self) -> None:
        data = self._data
        while data:
            data = data[os.write(self._begin, data[:9999]) :]
        self.is_written = True
        if not self._stays_open:
            os.close(self._begin)

    def close(self) -> None:
        self._thread.join()
        if self._stays_open:
            os.close(self._begin)
        os.close(self._end)


@contextmanager
def pipe(*parts: NDArray[np.float32], stays_open: bool = False) -> Iterator[Pipe]:
    opened = Pipe(*parts, stays_open=stays_open)
    try:
        yield opened
    finally:
        opened.close()


class SlowEngine(CountingEngine):
    """Takes longer for what was said than a service is silent at its end."""

    def _hear(self, windows: Sequence[LiveWindow]) -> list[Hypothesis]:
        time.sleep(0.2)
        return super()._hear(windows)


@pytest.fixture
def run(make_settings: SettingsFactory) -> Run:
    """Listens to a pipe with a fake engine; gives the exit code."""

    def run(source: Pipe, engine: FakeAsrEngine, **options: Any) -> int:
        return listen(source.source, make_settings(), ListenOptions(**options), engine)

    return run


def test_every_utterance_is_shown_in_order_and_the_end_of_the_pipe_ends_the_last_one(
    run: Run, speech: NDArray[np.float32], capsys: pytest.CaptureFixture[str]
) -> None:
    engine = CountingEngine()
    with pipe(speech, PAUSE, speech[:24_000], PAUSE, speech) as source:
        assert run(source, engine, language="de") == 0
    told = capsys.readouterr()
    assert [line.split()[:2] for line in told.out.splitlines()] == [["one", "two"]] * 3
    assert told.err.splitlines()[-1] == "voice-stack: listening to standard input; Ctrl-C ends it"
    assert {window.options.language for window in engine.windows} == {"de"}


def test_a_longer_silence_makes_fewer_utterances(
    run: Run, speech: NDArray[np.float32], capsys: pytest.CaptureFixture[str]
) -> None:
    with pipe(speech, PAUSE, speech) as source:
        assert run(source, CountingEngine(), silence_s=2.0, quiet=True) == 0
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == 1
    assert told.err == ""


def test_ctrl_c_shows_what_was_said_until_then(
    run: Run, speech: NDArray[np.float32], capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(signal.SIGINT)
    engine = CountingEngine()
    with pipe(speech, stays_open=True) as source:

        def press() -> None:
            wait_until(lambda: source.is_written and bool(engine.windows))
            os.kill(os.getpid(), signal.SIGINT)

        pressing = threading.Thread(target=press)
        pressing.start()
        assert run(source, engine) == 0
        pressing.join()
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert signal.getsignal(signal.SIGINT) is before


def test_an_utterance_that_is_lost_is_told_and_makes_exit_code_1(
    run: Run, speech: NDArray[np.float32], capsys: pytest.CaptureFixture[str]
) -> None:
    with pipe(speech) as source:
        assert run(source, CountingEngine(fails=True), quiet=True) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines()[-1].startswith("voice-stack: not all of it was understood: The fake engine")


def test_a_reader_that_has_seen_enough_ends_it_quietly(
    run: Run, speech: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    end, begin = os.pipe()
    os.close(end)
    with (
        pipe(speech, PAUSE, stays_open=True) as source,
        io.TextIOWrapper(os.fdopen(begin, "wb"), write_through=True) as output,
    ):
        monkeypatch.setattr(sys, "stdout", output)
        assert run(source, CountingEngine(), quiet=True) == 1
    assert capsys.readouterr().err == ""


def test_what_is_no_audio_and_an_engine_that_cannot_is_an_error(run: Run, make_settings: SettingsFactory) -> None:
    end, begin = os.pipe()
    os.write(begin, b"OggS" + bytes(100))
    os.close(begin)
    try:
        with pytest.raises(InvalidAudioError, match="ffmpeg"):
            listen(PipeSource(end), make_settings(), ListenOptions(), CountingEngine())
    finally:
        os.close(end)
    with pipe(PAUSE) as source, pytest.raises(InvalidRequestError, match="cannot transcribe live"):
        run(source, FakeAsrEngine())
    with pipe(PAUSE) as source, pytest.raises(InvalidRequestError, match="knows en, de, fr"):
        run(source, CountingEngine(), language="fi")


def test_a_service_hears_what_this_machine_would(
    run: Run,
    speech: NDArray[np.float32],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(remote, "LINGER_S", 0.1)
    with pipe(speech, PAUSE, speech) as source:
        assert run(source, CountingEngine(), quiet=True) == 0
    expected = capsys.readouterr()
    engine = SlowEngine()
    with serving(engine, api_keys="sesame") as service:
        options = {"url": f"{service.url}/v1", "quiet": True, "language": "de"}
        with pipe(speech, PAUSE, speech) as source:
            assert run(source, FakeAsrEngine(), api_key="sesame", **options) == 0
        assert capsys.readouterr() == expected
        assert {window.options.language for window in engine.windows} == {"de"}
        for wrong, error in (
            ({}, "API key"),
            ({"api_key": "sesame", "url": service.url}, "localhost:5001/v1"),
            ({"api_key": "sesame", "url": "http://127.0.0.1:9/v1"}, "cannot be reached"),
            ({"api_key": "sesame", "language": "fi"}, "knows en, de, fr"),
        ):
            with pipe(PAUSE) as source, pytest.raises(VoiceStackError, match=error):
                run(source, FakeAsrEngine(), **{**options, **wrong})


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--rate", "16000"], "give - as well"),
        (["-", "--rate", "7999"], "8000 to 48000"),
        (["-", "--device", "2"], "not both"),
        (["talk.wav"], "invalid choice"),
        (["-", "--silence", "0"], "0.1 to 10"),
        (["-", "--threshold", "1.1"], "0 to 1"),
        (["-", "--language", "martian"], "martian"),
        (["-", "--api-key", "sesame"], "give --url"),
        (["-", "--url", "localhost:5001"], "is not like http://localhost:5001/v1"),
        ([], "pip install 'voice-stack[sound]'"),
        ([], "arecord"),
        (["--list-devices"], "pip install 'voice-stack[sound]'"),
    ],
)
def test_a_command_that_cannot_be_carried_out_is_a_clear_error_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], error: str
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with open(os.devnull, encoding="utf-8") as standard_input:  # noqa: PTH123 - a name, not a path
        monkeypatch.setattr("sys.stdin", standard_input)
        with pytest.raises(SystemExit) as exit_:
            main(["listen", *arguments])
    assert exit_.value.code == 2
    assert error in capsys.readouterr().err.splitlines()[-1]
