"""What a file of a certain beginning does to its decoder, for tests that put this in the place of ``decode_audio``."""

import ctypes
import os
import resource
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from voice_stack.utils.audio.decode import decode_audio

Blocks = Iterator[NDArray[np.float32]]

SLEEP, CRASH = b"sleep", b"crash"


def decode(source: BinaryIO, **options: Any) -> Blocks:
    """Decode a file, unless its first five bytes are those of something worse."""
    source.seek(0)
    harm = _HARM.get(source.read(5))
    yield from decode_audio(source, **options) if harm is None else harm()


def duration_s(source: BinaryIO) -> float | None:
    """Harm done by a file that is only asked for its length."""
    for _ in decode(source):
        return 1.0
    return None


def _crash() -> Blocks:
    # A read of address 0, as a bug in a codec would do it.
    ctypes.string_at(0)
    yield from ()


def _abort() -> Blocks:
    os.abort()
    yield from ()


def _crash_late() -> Blocks:
    yield np.ones(320_000, np.float32)
    ctypes.string_at(0)


def _sleep() -> Blocks:
    while True:
        time.sleep(1)
    yield from ()


def _compute() -> Blocks:
    resource.setrlimit(resource.RLIMIT_CPU, (1, resource.RLIM_INFINITY))
    while True:
        signal.raise_signal(signal.SIGXCPU)
    yield from ()


def _allocate() -> Blocks:
    held = []
    while True:
        held.append(bytes(2**28))
    yield from ()


def _raise() -> Blocks:
    raise KeyError("nobody foresaw this")
    yield from ()


def _write() -> Blocks:
    with tempfile.TemporaryFile() as file:
        file.write(b"more than nothing")
    yield from ()


def _tell_limits() -> Blocks:
    limits = [resource.getrlimit(what)[0] for what in (resource.RLIMIT_AS, resource.RLIMIT_FSIZE, resource.RLIMIT_CORE)]
    status = Path("/proc/self/status").read_text()
    no_new_privileges = int(status.split("NoNewPrivs:")[1].split()[0])
    cpu_s = resource.getrlimit(resource.RLIMIT_CPU)[0]
    own_files = sum(1 for _ in Path("/proc/self/fd").iterdir()) - 1
    yield np.array([limits[0] / 2**30, *limits[1:], no_new_privileges, cpu_s, own_files, len(os.environ)], np.float32)


def _tell_times() -> Blocks:
    for _ in range(10):
        yield np.full(320_000, time.monotonic() % 1000, np.float32)


_HARM: dict[bytes, Callable[[], Blocks]] = {
    CRASH: _crash,
    b"abort": _abort,
    b"late!": _crash_late,
    SLEEP: _sleep,
    b"loop!": _compute,
    b"bomb!": _allocate,
    b"raise": _raise,
    b"write": _write,
    b"limit": _tell_limits,
    b"times": _tell_times,
}
