"""``voice-stack say`` as a process with a real voice."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
import wave
from pathlib import Path

import numpy as np
from openai import OpenAI

from tests.support.sentences import SENTENCES
from tests.support.serving import wait_until
from tests.support.speech import wav_bytes
from tests.support.wer import english_word_error_rate

TEXT = " ".join(SENTENCES[:7])


def start(args: list[str], folder: Path, model_dir: Path, *, stderr: int = subprocess.PIPE) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "voice_stack", "say", *args],
        cwd=folder,
        env={**os.environ, "MODEL_DIR": str(model_dir), "TTS_ENGINE": "piper", "HF_HUB_OFFLINE": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
    )


def test_killed_and_interrupted_it_goes_on_where_it_was(tmp_path: Path, model_dir: Path) -> None:
    chunks = tmp_path / ".talk.wav.part" / "chunks"
    command = [TEXT, "-o", "talk.wav"]
    process = start(command, tmp_path, model_dir)
    wait_until(lambda: chunks.exists() and chunks.stat().st_size > 0, 60)
    process.kill()
    process.communicate(timeout=60)
    kept = chunks.read_bytes()

    process = start(command, tmp_path, model_dir)
    wait_until(lambda: chunks.stat().st_size > len(kept), 60)
    process.send_signal(signal.SIGINT)
    told, errors = process.communicate(timeout=60)
    assert (process.returncode, told) == (130, b"")
    assert errors.decode().splitlines() == [
        "voice-stack: talk.wav: going on where an earlier run stopped",
        "voice-stack: talk.wav: stopped; what is spoken is kept, and the same command goes on from there",
    ]
    assert chunks.read_bytes().startswith(kept)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".talk.wav.part"]

    terminal, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    process = start(command, tmp_path, model_dir, stderr=end)
    os.close(end)
    shown = b""
    while True:
        try:
            shown += os.read(terminal, 4096)
        except OSError:  # how Linux tells that nobody writes to it any more
            break
    os.close(terminal)
    told, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    with wave.open(str(tmp_path / "talk.wav")) as speech:
        duration_s = speech.getnframes() / speech.getframerate()
    assert told.decode() == f"talk.wav: {duration_s:.1f} s\n"
    # The voice says about 15 characters a second.
    assert len(TEXT) / 20 < duration_s < len(TEXT) / 10
    assert b"going on where" in shown
    assert re.search(rb"talk.wav: +\d+%\|.*\| \d+/\d+ \[\d\d:\d\d<\d\d:\d\d, [\d.]+ characters/s\]", shown)
    assert [path.name for path in tmp_path.iterdir()] == ["talk.wav"]


def test_each_line_of_a_pipe_is_heard_before_the_next_one_is_written_and_ctrl_c_ends_it_at_once(
    tmp_path: Path, model_dir: Path, asr_client: OpenAI
) -> None:
    lines = ("The backup of the database has ended.", SENTENCES[0])
    process = start(["-", "-o", "-", "--format", "pcm"], tmp_path, model_dir)
    assert process.stdin is not None
    assert process.stdout is not None
    heard = b""
    for line in lines:
        process.stdin.write(f"{line}\n".encode())
        process.stdin.flush()
        audio = b""
        # A quarter of a second of silence: there is nothing more to say for now.
        while len(audio) < 48_000 or any(audio[-12_000:]):
            piece = os.read(process.stdout.fileno(), 65_536)
            assert piece
            audio += piece
        heard += audio
    process.stdin.write(" ".join(SENTENCES * 20).encode())
    process.stdin.flush()
    assert os.read(process.stdout.fileno(), 1000)
    process.send_signal(signal.SIGINT)
    pressed_at = time.monotonic()
    _, errors = process.communicate(timeout=60)
    assert time.monotonic() - pressed_at < 2
    # By the signal itself: a shell calls that 130.
    assert (process.returncode, errors) == (-signal.SIGINT, b"")
    speech = wav_bytes(np.frombuffer(heard, "<i2").astype(np.float32) / np.float32(32_768), 24_000)
    text = asr_client.audio.transcriptions.create(model="whisper-1", file=("speech.wav", speech)).text
    assert english_word_error_rate([" ".join(lines)], [text]) <= 0.1
    assert list(tmp_path.iterdir()) == []
