"""``voice-stack transcribe`` as a process with a real model."""

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import numpy as np
import pysubs2
import pytest
import webvtt

from tests.support.serving import wait_until
from tests.support.speech import Sample, decode, wav_bytes
from tests.support.wer import english_word_error_rate

MODEL = "tiny.en"


@pytest.fixture(scope="module")
def recordings(samples: list[Sample]) -> dict[str, Sample]:
    return {sample.path.stem: sample for sample in samples if sample.language == "en"}


def start(args: list[str], model_dir: Path, *, stderr: int = subprocess.PIPE) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "voice_stack", "transcribe", *args],
        env={**os.environ, "MODEL_DIR": str(model_dir), "ASR_MODEL": MODEL, "HF_HUB_OFFLINE": "1"},
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )


def test_a_folder_with_a_broken_file_gives_the_outputs_of_the_others(
    tmp_path: Path, model_dir: Path, recordings: dict[str, Sample]
) -> None:
    folder, out = tmp_path / "talks", tmp_path / "out"
    (folder / "more").mkdir(parents=True)
    first, second = recordings["counting"], recordings["quick_brown_fox"]
    (folder / "first.wav").write_bytes(first.path.read_bytes())
    (folder / "more" / "second.wav").write_bytes(second.path.read_bytes())
    (folder / "broken.mp3").write_bytes(b"\xff" * 1000)

    process = start([str(folder), "-f", "srt,vtt", "-f", "json", "--word-timestamps", "-o", str(out)], model_dir)
    told, errors = process.communicate(timeout=60)

    assert process.returncode == 1
    assert len(told.splitlines()) == 2
    (error,) = errors.splitlines()
    assert error.startswith(f"voice-stack: {folder / 'broken.mp3'}: ")
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*.*")) == [
        "first.json",
        "first.srt",
        "first.vtt",
        "more/second.json",
        "more/second.srt",
        "more/second.vtt",
    ]
    for sample, stem in ((first, out / "first"), (second, out / "more" / "second")):
        duration_s = len(decode(sample.path.read_bytes())) / 16_000
        subtitles = pysubs2.load(str(stem.with_suffix(".srt")))
        captions = webvtt.read(str(stem.with_suffix(".vtt")))
        whole = json.loads(stem.with_suffix(".json").read_text(encoding="utf-8"))
        from_srt = " ".join(cue.plaintext for cue in subtitles)
        from_vtt = " ".join(caption.text for caption in captions.captions)
        assert from_srt.split() == from_vtt.split() == whole["text"].split()
        assert english_word_error_rate([sample.transcript], [from_srt]) <= 0.1
        assert 0 < subtitles[-1].end / 1000 <= duration_s
        assert all(word["end"] <= duration_s for segment in whole["segments"] for word in segment["words"])


def test_sigint_ends_it_in_mid_file_and_leaves_no_partial_file(
    tmp_path: Path, model_dir: Path, recordings: dict[str, Sample]
) -> None:
    speech = decode(recordings["quick_brown_fox"].path.read_bytes())
    (tmp_path / "a.wav").write_bytes(wav_bytes(speech))
    (tmp_path / "long.wav").write_bytes(wav_bytes(np.tile(speech, 600)))
    process = start([str(tmp_path)], model_dir)
    wait_until((tmp_path / "a.srt").exists, 60)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    pressed_at = time.monotonic()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert time.monotonic() - pressed_at < 15
    assert errors == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.srt", "a.wav", "long.wav"]


def test_a_terminal_gets_a_progress_bar_in_seconds_of_audio(
    tmp_path: Path, model_dir: Path, recordings: dict[str, Sample]
) -> None:
    speech = decode(recordings["counting"].path.read_bytes())
    source = tmp_path / "talk.wav"
    source.write_bytes(wav_bytes(np.tile(speech, 8)))
    terminal, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = start([str(source)], model_dir, stderr=end)
    os.close(end)
    shown = b""
    while True:
        try:
            shown += os.read(terminal, 4096)
        except OSError:  # how Linux tells that nobody writes to it any more
            break
    os.close(terminal)
    process.communicate(timeout=60)
    assert process.returncode == 0
    total_s = round(8 * len(speech) / 16_000)
    assert f"/{total_s} ".encode() in shown
    assert b"1/1 talk.wav" in shown
