"""Ctrl-C while FFmpeg reads."""

import io
import signal
import threading

import numpy as np
import pytest

from tests.support.speech import wav_bytes
from voice_stack.utils.audio.decode import decode_audio
from voice_stack.utils.audio.interrupts import held_interrupts

NOISE = wav_bytes(np.random.default_rng(1).uniform(-0.5, 0.5, 60 * 16_000).astype(np.float32))


class Pressed(io.BytesIO):
    """A file at whose third reading Ctrl-C is pressed."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        if self.reads == 3:
            signal.raise_signal(signal.SIGINT)
        return super().read(size)


def test_ctrl_c_while_ffmpeg_reads_is_held_until_it_is_asked_for() -> None:
    with held_interrupts() as check:
        check()
        samples = sum(block.size for block in decode_audio(Pressed(NOISE)))
        assert samples == 60 * 16_000
        with pytest.raises(KeyboardInterrupt):
            check()


def test_ctrl_c_anywhere_else_raises_at_once() -> None:
    with pytest.raises(KeyboardInterrupt), held_interrupts():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_other_threads_and_other_handlers_are_left_alone() -> None:
    seen = []

    def enter() -> None:
        with held_interrupts() as check:
            check()
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        enter()
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    assert seen == [signal.default_int_handler, signal.SIG_IGN]
