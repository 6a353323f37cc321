"""Small files that hold days of audio."""

import struct

_FRAME_SAMPLES = 65_535


def silent_flac(duration_s: float, rate_hz: int = 16_000, *, declared_s: float | None = None) -> bytes:
    """A FLAC of 14 bytes for each 65,535 samples of silence.

    Args:
        declared_s: the length in its header, if that is another; 0 leaves it open, as encoders to a pipe do.
    """
    declared = round((duration_s if declared_s is None else declared_s) * rate_hz)
    # Block sizes, frame sizes that are unknown, rate, mono, 16 bit, samples, no checksum.
    about = struct.pack(">HH6xQ16x", _FRAME_SAMPLES, _FRAME_SAMPLES, rate_hz << 44 | 15 << 36 | declared)
    head = b"fLaC" + b"\x80" + len(about).to_bytes(3, "big") + about
    return head + b"".join(map(_silent_frame, range(round(duration_s * rate_hz / _FRAME_SAMPLES))))


def _silent_frame(number: int) -> bytes:
    # The length of a block follows, the rate is the header's; mono, 16 bit.
    header = b"\xff\xf8\x70\x08" + chr(number).encode("utf-8", "surrogatepass") + struct.pack(">H", _FRAME_SAMPLES - 1)
    frame = header + bytes([_crc(header, 8, 0x07)]) + bytes(3)  # one constant of 16 bits for all samples
    return frame + _crc(frame, 16, 0x8005).to_bytes(2, "big")


def _crc(data: bytes, bits: int, polynomial: int) -> int:
    remainder = 0
    for byte in data:
        remainder ^= byte << (bits - 8)
        for _ in range(8):
            remainder = (remainder << 1) ^ (polynomial if remainder >> (bits - 1) & 1 else 0)
        remainder &= (1 << bits) - 1
    return remainder
