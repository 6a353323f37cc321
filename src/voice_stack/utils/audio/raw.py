"""Headerless PCM to mono float32."""

import io
import math
from collections.abc import Generator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from voice_stack.core.errors import InvalidAudioError
from voice_stack.utils.audio.decode import BLOCK_S, too_long
from voice_stack.utils.audio.source import UntilClosed


def decode_pcm(
    source: BinaryIO, *, sample_rate_hz: int = 16_000, block_s: int = BLOCK_S, max_s: float = math.inf
) -> Generator[NDArray[np.float32], None, None]:
    """Yield headerless s16le mono PCM as float32 samples in [-1, 1), in blocks of ``block_s`` (the last is shorter).

    ``source`` is a seekable binary file; it is read from its start and stays open. ``sample_rate_hz`` is the rate
    that it is in, and that comes out. Half a sample at the end is left out. Where its owner closes the file, the
    audio ends.

    Raises ``InvalidAudioError`` where the file holds no sample, or more than ``max_s`` seconds of them.
    """
    file = UntilClosed(source)
    if file.seek(0, io.SEEK_END) > 2 * sample_rate_hz * max_s:
        raise too_long(max_s)
    file.seek(0)
    empty = True
    while data := _read(file, 2 * block_s * sample_rate_hz):
        samples = np.frombuffer(data, "<i2", count=len(data) // 2)
        if len(samples):
            yield samples.astype(np.float32) / np.float32(32768)
            empty = False
    if empty and not source.closed:
        raise InvalidAudioError("The file is empty: no sample of PCM is in it. Send audio.", param="file")


def _read(file: UntilClosed, size: int) -> bytes:
    """Read ``size`` bytes, fewer only at the end: an unbuffered file may hand out less at a time."""
    data = bytearray()
    while len(data) < size and (piece := file.read(size - len(data))):
        data += piece
    return bytes(data)
