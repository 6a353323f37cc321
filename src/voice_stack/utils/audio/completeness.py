"""Whether a media file was cut off."""

import os
import re
import struct
from typing import Any, BinaryIO

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

# Headers round, and encoders count their padding: a file that lacks less than one of these is complete.
_TOLERANCE_S = 0.5
_TOLERANCE_RATIO = 0.02

# What cannot seek back to fill in the size of a WAV leaves 0, 0x7FFFFFFF, 0xFFFFFFFF or a little less.
_UNKNOWN_WAV_SIZE = 0x7FFF0000

# An upload could consist of nothing but empty chunks.
_MOST_WAV_CHUNKS = 1000

# The longest frame of MPEG audio: at most that far before the second frame begins the first one.
_LONGEST_MPEG_FRAME = 2881

# An odd last byte of flags says that the number of frames follows.
_XING = re.compile(rb"(?:Xing|Info)\0\0\0[\x01\x03\x05\x07\x09\x0b\x0d\x0f](?P<frames>.{4})", re.DOTALL)

_MPEG1_RATES_HZ = (44_100, 48_000, 32_000)
_MPEG1_KBIT_S = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MPEG2_KBIT_S = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)


class Completeness:
    """Follows the packets of a media file, and says at their end whether the file was cut off.

    Corrupt packets in the middle count as present: only the end matters.
    """

    def __init__(self, source: BinaryIO, container: InputContainer, stream: AudioStream) -> None:
        self._source = source
        self._container = container
        self._stream = stream
        self._format = container.format.name
        self._matroska = self._format.startswith("matroska")
        self._decoded_s = 0.0
        self._bytes = 0
        self._corrupt_bytes = 0
        self._end_s = 0.0
        self._first_position: int | None = None
        self._last: Packet[Any] | None = None

    @property
    def streams(self) -> list[Stream]:
        """The streams whose packets ``see`` needs.

        Matroska declares one duration for all its streams, and the audio may end before the film does.
        """
        return list(self._container.streams) if self._matroska else [self._stream]

    def see(self, packet: "Packet[Any]", *, decoded_s: float = 0.0, corrupt: bool = False) -> None:
        """Count a packet, and the seconds of audio that its decoding gave."""
        self._decoded_s += decoded_s
        if packet.size and packet.pts is not None:
            end = packet.pts + (packet.duration or 0)
            start = 0 if self._matroska else self._stream.start_time or 0
            self._end_s = max(self._end_s, float((end - start) * packet.time_base))
        if packet.size and packet.stream_index == self._stream.index:
            self._bytes += packet.size
            self._corrupt_bytes += packet.size if corrupt else 0
            self._first_position = packet.pos if self._last is None else self._first_position
            self._last = packet

    def defect(self) -> str | None:
        """Return how the file was cut off; ``None`` where it is complete, or where nothing tells.

        Call it after the last packet: it moves the source.
        """
        declared_s, present_s = self._durations_s()
        if declared_s is not None:
            if declared_s - present_s > max(_TOLERANCE_S, _TOLERANCE_RATIO * declared_s):
                return f"it declares {declared_s:.1f} s of audio and ends after {present_s:.1f} s"
        elif self._last is not None and self._format in _FRAME_SIZES:
            frame_size = _FRAME_SIZES[self._format](bytes(self._last))
            if frame_size is not None and self._last.size < frame_size:
                return f"it ends in the middle of a frame, after {self._decoded_s:.1f} s"
        return None

    def _durations_s(self) -> tuple[float | None, float]:
        """The duration that the file declares, and the one that is there.

        FFmpeg's own duration is taken only where it comes from a header. Elsewhere it is an estimate from the
        bit rate or, for WAV, made to fit the file.
        """
        if self._format == "wav":
            return _wav_durations_s(self._source)
        declared_s: float | None = None
        if self._format == "mp3":
            declared_s = self._mp3_declared_s()
        elif self._matroska and self._container.duration is not None:
            declared_s = self._container.duration / 1_000_000
        elif self._format == "flac" or self._format.startswith("mov"):
            duration, time_base = self._stream.duration, self._stream.time_base
            declared_s = None if duration is None or time_base is None else float(duration * time_base)
        intact_bytes = self._bytes - self._corrupt_bytes
        # Corrupt packets would have lasted about as long as intact ones of their size.
        decoded_s = self._decoded_s * self._bytes / intact_bytes if intact_bytes else 0.0
        return declared_s, max(decoded_s, self._end_s)

    def _mp3_declared_s(self) -> float | None:
        """The duration by the Xing or Info header, which FFmpeg reads but does not hand out as a packet."""
        if not self._first_position:
            return None
        self._source.seek(max(0, self._first_position - _LONGEST_MPEG_FRAME))
        head = self._source.read(min(self._first_position, _LONGEST_MPEG_FRAME))
        header = _XING.search(head)
        if header is None:
            return None
        frame_samples = 1152 if self._stream.rate in _MPEG1_RATES_HZ else 576
        return int.from_bytes(header["frames"], "big") * frame_samples / self._stream.rate


def _wav_durations_s(source: BinaryIO) -> tuple[float | None, float]:
    """The durations of a WAV by its data chunk's size and by the bytes that are there."""
    file_size = source.seek(0, os.SEEK_END)
    source.seek(0)
    position, byte_rate = 12, 0
    if source.read(4) != b"RIFF":
        return None, 0.0
    for _ in range(_MOST_WAV_CHUNKS):
        source.seek(position)
        head = source.read(8)
        if len(head) < 8:
            break
        name, size = struct.unpack("<4sI", head)
        if name == b"fmt ":
            byte_rate = int.from_bytes(source.read(12)[8:12], "little")
        if name == b"data":
            if not byte_rate or not 0 < size < _UNKNOWN_WAV_SIZE:
                break
            return size / byte_rate, (file_size - position - 8) / byte_rate
        position += 8 + size + size % 2
    return None, 0.0


def _mp3_frame_size(data: bytes) -> int | None:
    """The size in bytes that the header of a layer III frame declares; ``None`` where it is no such frame."""
    if len(data) < 4 or data[0] != 0xFF or data[1] & 0xE6 != 0xE2:
        return None
    version, bit_rate, rate = data[1] >> 3 & 3, data[2] >> 4, data[2] >> 2 & 3
    if version == 1 or bit_rate in (0, 15) or rate == 3:
        return None
    kbit_s = (_MPEG1_KBIT_S if version == 3 else _MPEG2_KBIT_S)[bit_rate - 1]
    rate_hz = _MPEG1_RATES_HZ[rate] >> {3: 0, 2: 1, 0: 2}[version]
    return (144_000 if version == 3 else 72_000) * kbit_s // rate_hz + (data[2] >> 1 & 1)


def _adts_frame_size(data: bytes) -> int | None:
    """The size in bytes that an ADTS header declares; ``None`` where it is none."""
    if len(data) < 7 or data[0] != 0xFF or data[1] & 0xF6 != 0xF0:
        return None
    return (data[3] & 3) << 11 | data[4] << 3 | data[5] >> 5


_FRAME_SIZES = {"mp3": _mp3_frame_size, "aac": _adts_frame_size}
