"""The first bytes of WAV and MP3 streams whose length is not known yet."""

import struct

_UNKNOWN_SIZE = 0xFFFFFFFF

# MPEG-1 and MPEG-2 layer III: (first two header bytes, rates in the order of their index, samples in a frame,
# bytes of side information of a mono frame, index of 64 kbit/s).
_MPEG1 = (b"\xff\xfb", (44_100, 48_000, 32_000), 1152, 17, 5)
_MPEG2 = (b"\xff\xf3", (22_050, 24_000, 16_000), 576, 9, 8)
_INFO_BIT_RATE = 64_000
_MONO = 0xC0

# What LAME puts before the first sample, and what a decoder adds.
_LAME_DELAY = 576
_DECODER_DELAY = 529

MP3_DELAY = _LAME_DELAY + _DECODER_DELAY
"""Samples before the first one of an MP3 stream, unless its first frames are left out or a tag is heeded."""

# FFmpeg takes a clip of a few frames for H.263 if 00 00 8x, the start of a picture, happens to stand in it.
# One start that no picture follows, here in the padding, convinces it otherwise.
_NOT_H263 = bytes.fromhex("0000800000")


def wav_header(sample_rate_hz: int) -> bytes:
    """Return the 44 bytes before mono s16le samples, both sizes 0xFFFFFFFF: until the stream ends."""
    form = struct.pack("<4sI4s", b"RIFF", _UNKNOWN_SIZE, b"WAVE")
    layout = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, sample_rate_hz, 2 * sample_rate_hz, 2, 16)
    return form + layout + struct.pack("<4sI", b"data", _UNKNOWN_SIZE)


def mp3_info_frame(sample_rate_hz: int) -> bytes:
    """Return the silent frame that tells decoders how many samples to drop at the start (LAME's tag).

    Its counts of frames and bytes are left out (flags 0), as they are unknown when the first byte leaves.
    FFmpeg's own muxer writes the frame only to outputs in which it can seek back to fill those in. Layout:
    G. Bouvigne, "Mp3 Info Tag revision 1". Raises ``ValueError`` for a rate that MPEG-1 and MPEG-2 lack.
    """
    sync, rates, samples, side_information, bit_rate_index = _MPEG1 if sample_rate_hz in _MPEG1[1] else _MPEG2
    frame_size = samples // 8 * _INFO_BIT_RATE // sample_rate_hz
    header = sync + bytes((bit_rate_index << 4 | rates.index(sample_rate_hz) << 2, _MONO))
    delays = (_LAME_DELAY << 12).to_bytes(3, "big")
    tag = b"Info" + bytes(4) + b"LAME3.100" + bytes(12) + delays
    frame = header + bytes(side_information) + tag
    return frame.ljust(frame_size - len(_NOT_H263), b"\0") + _NOT_H263
