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
import wave
from pathlib import Path

from tests.support.sentences import SENTENCES
from tests.support.serving import wait_until
from tests.support.speech import decode

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


def test_it_speaks_standard_input_to_standard_output(tmp_path: Path, model_dir: Path) -> None:
    process = start(["-", "-o", "-"], tmp_path, model_dir)
    audio, errors = process.communicate(SENTENCES[0].encode(), timeout=60)
    assert (process.returncode, errors) == (0, b"")
    assert 2 < len(decode(audio)) / 16_000 < 5
    assert list(tmp_path.iterdir()) == []
