"""Decoders in processes of their own: they give what they give in this one, and their end is theirs alone."""

import asyncio
import io
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.support import hostile
from tests.support.processes import lives
from tests.support.serving import wait_until
from tests.support.speech import wav_bytes
from tests.utils.audio.helpers import RATE_HZ, chirp, decode, mux, needs_proc, open_files
from voice_stack.core.errors import EngineError, InvalidAudioError, UnavailableError
from voice_stack.utils.audio import isolation
from voice_stack.utils.audio.isolation import (
    declared_duration_isolated_s,
    declared_rate_isolated_hz,
    decode_isolated,
    start_decoders,
    stop_decoders,
)

CHIRP = wav_bytes(chirp(48_000, RATE_HZ))


@pytest.fixture
def harmful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that begin with the name of some harm do it."""
    monkeypatch.setattr(isolation, "decode_audio", hostile.decode)
    monkeypatch.setattr(isolation, "declared_duration_s", hostile.duration_s)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    isolated(CHIRP)
    monkeypatch.setattr(isolation, "STALL_S", 0.8)


def isolated(data: bytes) -> np.ndarray:
    blocks = list(decode_isolated(io.BytesIO(data)))
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def server_pid() -> int:
    start_decoders()
    process = isolation._forkserver._process
    assert process is not None
    return process.pid


def decoders(of: int | None = None) -> list[int]:
    """The decoders that there are now, zombies included."""
    pid = of or server_pid()
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def end_idle() -> None:
    """End the decoders that wait for a file; those that worked must have ended."""
    while isolation._forkserver._idle:
        isolation._forkserver._idle.pop().close()
    wait_until(lambda: not decoders(), 2)


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """At the end of the test there are as many files open as before, and no decoder that works."""
    isolated(CHIRP)
    end_idle()
    files = open_files()
    yield
    end_idle()
    assert open_files() == files


@pytest.mark.parametrize(("container", "codec"), [("wav", "pcm_s16le"), ("mp3", "libmp3lame"), ("matroska", "flac")])
def test_the_samples_are_those_of_decode_audio(container: str, codec: str, nothing_left: None) -> None:
    data = mux(container, codec, chirp(44_100 * 25, 44_100), 44_100)

    np.testing.assert_array_equal(isolated(data), decode(data))


def test_a_large_file_travels_by_descriptor_and_several_read_it_at_once(nothing_left: None) -> None:
    data = wav_bytes(chirp(RATE_HZ * 45, RATE_HZ))
    assert len(data) > isolation.SMALL_BYTES
    with tempfile.SpooledTemporaryFile(max_size=2**20) as upload:
        # What was written last is in a buffer yet.
        upload.write(data)
        both = [decode_isolated(cast("BinaryIO", upload)) for _ in range(2)]
        first = [next(decoding) for decoding in both]
        upload.seek(17)
        rest = [list(decoding) for decoding in both]
        assert upload.tell() == 17
    for begun, following in zip(first, rest, strict=True):
        np.testing.assert_array_equal(np.concatenate([begun, *following]), decode(data))


def test_the_owner_may_close_the_file_meanwhile() -> None:
    data = wav_bytes(chirp(RATE_HZ * 45, RATE_HZ))
    with tempfile.TemporaryFile() as upload:
        upload.write(data)
        decoding = decode_isolated(upload)
        blocks = [next(decoding)]
    np.testing.assert_array_equal(np.concatenate([*blocks, *decoding]), decode(data))


def test_what_a_file_declares_is_told() -> None:
    assert asyncio.run(declared_duration_isolated_s(io.BytesIO(CHIRP))) == pytest.approx(3.0)
    assert asyncio.run(declared_duration_isolated_s(io.BytesIO(b"no media"))) is None
    assert declared_rate_isolated_hz(io.BytesIO(CHIRP)) == RATE_HZ


def test_a_refusal_is_the_same_as_in_this_process(nothing_left: None) -> None:
    for data in (b"", b"no media at all" * 100, CHIRP[:50_000]):
        with pytest.raises(InvalidAudioError) as here:
            decode(data)
        with pytest.raises(InvalidAudioError) as there:
            isolated(data)
        assert (there.value.message, there.value.param, there.value.code) == (
            here.value.message,
            here.value.param,
            here.value.code,
        )


@pytest.mark.parametrize(
    ("harm", "message", "logged"),
    [
        (b"crash", "made the decoder fail", "Segmentation fault"),
        (b"abort", "made the decoder fail", "Aborted"),
        (b"late!", "made the decoder fail", "Segmentation fault"),
        (b"sleep", "made the decoder hang", "gave nothing for"),
        (b"loop!", "made the decoder hang", "CPU time limit"),
        (b"bomb!", "made the decoder fail", "exit code 1"),
    ],
)
def test_harm_is_done_to_the_decoder_alone(
    harm: bytes,
    message: str,
    logged: str,
    harmful: None,
    impatient: None,
    nothing_left: None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    beside: list[np.ndarray] = []
    with closing(decode_isolated(io.BytesIO(harm + bytes(1000)))) as decoding:
        thread = threading.Thread(target=lambda: beside.append(isolated(CHIRP)))
        thread.start()
        with pytest.raises(InvalidAudioError, match=message) as refused:
            list(decoding)
        thread.join()

    assert (refused.value.status, refused.value.code, refused.value.param) == (400, "invalid_audio", "file")
    assert logged in caplog.text
    np.testing.assert_array_equal(beside[0], decode(CHIRP))


def test_a_file_that_only_asks_for_its_length_does_none_either(harmful: None, impatient: None) -> None:
    async def beside() -> float:
        started_at = time.monotonic()
        while time.monotonic() - started_at < 0.2:
            await asyncio.sleep(0.01)
        return time.monotonic() - started_at

    async def both() -> None:
        hanging, took_s = await asyncio.gather(
            declared_duration_isolated_s(io.BytesIO(hostile.SLEEP)), beside(), return_exceptions=True
        )
        assert isinstance(hanging, InvalidAudioError)
        assert isinstance(took_s, float)
        assert took_s < 0.3
        with pytest.raises(InvalidAudioError, match="fail"):
            await declared_duration_isolated_s(io.BytesIO(hostile.CRASH))

    asyncio.run(both())


def test_who_waits_for_a_slow_decoder_gets_empty_blocks_meanwhile(harmful: None, impatient: None) -> None:
    decoding = decode_isolated(io.BytesIO(hostile.SLEEP))
    started_at = time.monotonic()
    assert next(decoding).shape == (0,)
    assert time.monotonic() - started_at < 2
    decoding.close()


def test_what_nobody_foresaw_is_an_error_of_ours_with_its_traceback(harmful: None, nothing_left: None) -> None:
    with pytest.raises(EngineError) as failed:
        isolated(b"raise")

    assert "KeyError: 'nobody foresaw this'" in str(failed.value.__cause__)
    assert "nobody foresaw" not in failed.value.message


@needs_proc
def test_a_decoder_can_do_little_else(harmful: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEYS", "a secret")
    stop_decoders()
    memory_gib, file_bytes, core_bytes, no_new_privileges, cpu_s, files, variables = isolated(b"limit")[:7]

    assert (memory_gib, file_bytes, core_bytes, no_new_privileges) == (1, 0, 0, 1)
    assert 10 <= cpu_s < 20
    assert files == 4
    assert variables <= 8
    with pytest.raises(EngineError) as failed:
        isolated(b"write")
    assert "No usable temporary directory" in str(failed.value.__cause__)


@needs_proc
def test_one_process_serves_several_files_until_one_is_refused() -> None:
    isolated(CHIRP)
    end_idle()
    for _ in range(3):
        isolated(CHIRP)
    used = decoders()
    assert len(used) == 1
    with pytest.raises(InvalidAudioError):
        isolated(b"no media")
    isolated(CHIRP)
    assert decoders() != used


@needs_proc
def test_a_process_that_died_of_an_earlier_file_is_not_this_files_fault() -> None:
    isolated(CHIRP)
    end_idle()
    isolated(CHIRP)
    (idle,) = isolation._forkserver._idle
    # As if it had died right after it was found to be alive.
    idle.is_readable = bool  # type: ignore[method-assign, assignment]
    for pid in decoders():
        os.kill(pid, signal.SIGKILL)

    np.testing.assert_array_equal(isolated(CHIRP), decode(CHIRP))


@needs_proc
def test_a_generator_that_is_closed_ends_its_process(harmful: None, nothing_left: None) -> None:
    decoding = decode_isolated(io.BytesIO(hostile.SLEEP))
    next(decoding)
    (pid,) = decoders()
    decoding.close()
    wait_until(lambda: not lives(pid), 1)


def test_a_decoder_does_not_run_ahead_of_its_reader(harmful: None) -> None:
    with closing(block for block in decode_isolated(io.BytesIO(b"times")) if block.size) as decoding:
        next(decoding)
        time.sleep(0.1)
        now = time.monotonic() % 1000
        next(decoding)
        assert next(decoding)[0] > now - 0.01


@needs_proc
def test_the_next_file_starts_the_forkserver_again(harmful: None, caplog: pytest.LogCaptureFixture) -> None:
    isolated(CHIRP)
    end_idle()
    with closing(decode_isolated(io.BytesIO(hostile.SLEEP))) as decoding:
        next(decoding)
        pids = decoders()
        os.kill(server_pid(), signal.SIGKILL)
        with pytest.raises(UnavailableError):
            list(decoding)
    np.testing.assert_array_equal(isolated(CHIRP), decode(CHIRP))
    wait_until(lambda: not any(map(lives, pids)), 1)


@needs_proc
def test_signals_to_the_group_leave_decoding_alone() -> None:
    pid = server_pid()
    isolated(CHIRP)
    for each in (pid, *decoders()):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(each, number)
    used = decoders()
    np.testing.assert_array_equal(isolated(CHIRP), decode(CHIRP))
    assert (server_pid(), decoders()) == (pid, used)


@needs_proc
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_outlives_the_service(number: signal.Signals) -> None:
    program = """
import io
from tests.support import hostile
from voice_stack.utils.audio import isolation
isolation.decode_audio = hostile.decode
isolation.start_decoders()
print(isolation._forkserver._process.pid, flush=True)
list(isolation.decode_isolated(io.BytesIO(b"sleep")))
"""
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        wait_until(lambda: decoders(pid))
        pids = [pid, *decoders(pid)]
        process.send_signal(number)
    wait_until(lambda: not any(map(lives, pids)), 1)


def test_its_imports_are_few() -> None:
    program = "import sys, voice_stack.utils.audio.forkserver; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    assert {"fastapi", "pydantic", "ctranslate2", "onnxruntime", "asyncio", "torch"}.isdisjoint(loaded)


def test_the_log_tells_nothing_of_the_file(harmful: None, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with pytest.raises(InvalidAudioError):
        isolated(b"crash SECRET")
    assert "SECRET" not in caplog.text
