"""``voice-stack listen`` as a process with a real model."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.support.speech import Sample, decode
from tests.support.wer import english_word_error_rate
from voice_stack.utils.audio.pcm import float_to_int16

SILENCE = np.zeros(16_000, np.float32)


def test_captions_come_while_the_pipe_is_open_and_ctrl_c_brings_the_last_one(
    model_dir: Path, samples: list[Sample]
) -> None:
    recordings = {sample.path.stem: sample for sample in samples if sample.language == "en"}
    first, second = recordings["hello_world"], recordings["quick_brown_fox"]
    process = subprocess.Popen(
        [sys.executable, "-m", "voice_stack", "listen", "-"],
        env={**os.environ, "MODEL_DIR": str(model_dir), "ASR_MODEL": "tiny.en", "HF_HUB_OFFLINE": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def play(*parts: NDArray[np.float32]) -> None:
        assert process.stdin is not None
        # An odd number of bytes at a time: pipes know nothing of samples.
        data = float_to_int16(np.concatenate(parts)).tobytes()
        for start in range(0, len(data), 999):
            process.stdin.write(data[start : start + 999])
        process.stdin.flush()

    play(decode(first.path.read_bytes()), SILENCE)
    lines = [process.stdout.readline().decode()]
    play(decode(second.path.read_bytes()))
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=60)
    lines += rest.decode().splitlines()
    assert process.returncode == 0
    assert errors.decode().splitlines()[-1] == "voice-stack: listening to standard input; Ctrl-C ends it"
    assert len(lines) == 2
    assert english_word_error_rate([first.transcript, second.transcript], lines) <= 0.1
