"""Telephone audio: the u-law and A-law of ITU-T G.711, one byte a sample, usually at 8 kHz."""

import numpy as np
from numpy.typing import NDArray


def decode_ulaw(data: bytes) -> NDArray[np.float32]:
    """Convert u-law bytes to float32 samples in (-1, 1)."""
    return _ULAW[np.frombuffer(data, np.uint8)]


def decode_alaw(data: bytes) -> NDArray[np.float32]:
    """Convert A-law bytes to float32 samples in (-1, 1)."""
    return _ALAW[np.frombuffer(data, np.uint8)]


def _ulaw_table() -> NDArray[np.float32]:
    # The standard's 14 bits, shifted to 16; it sends all bits inverted, and biases each magnitude by 33.
    code = ~np.arange(256, dtype=np.uint8)
    exponent = (code >> 4 & 7).astype(np.int32)
    magnitude = (((code & 15).astype(np.int32) << 3) + 0x84 << exponent) - 0x84
    return _signed(magnitude, negative=code & 0x80 != 0)


def _alaw_table() -> NDArray[np.float32]:
    # The standard's 13 bits, shifted to 16; it sends every other bit inverted.
    code = np.arange(256, dtype=np.uint8) ^ 0x55
    exponent = (code >> 4 & 7).astype(np.int32)
    step = ((code & 15).astype(np.int32) << 4) + 8
    magnitude = np.where(exponent == 0, step, step + 0x100 << np.maximum(exponent - 1, 0))
    return _signed(magnitude, negative=code & 0x80 == 0)


def _signed(magnitude: NDArray[np.int32], *, negative: NDArray[np.bool_]) -> NDArray[np.float32]:
    samples: NDArray[np.float32] = np.where(negative, -magnitude, magnitude) / np.float32(32768)
    return samples.astype(np.float32)


_ULAW = _ulaw_table()
_ALAW = _alaw_table()
