"""Whether a media file was cut off."""

import os
import re
import struct
from typing import Any, BinaryIO

import av
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

# A file could consist of nothing but empty boxes; an hour in fragments of 20 ms has fewer.
_MOST_MP4_BOXES = 500_000

# The header of a page, with the sizes of 255 segments of 255 bytes each.
_OGG_HEADER_BYTES = 27
_LARGEST_OGG_PAGE = _OGG_HEADER_BYTES + 255 + 255 * 255
_OGG_PAGE = b"OggS\0"

# Their headers tell how long they are, and FFmpeg hands that out as the duration of the stream.
_DECLARING_FORMATS = frozenset({"aiff", "au", "flac", "mov,mp4,m4a,3gp,3g2,mj2", "tta", "wv"})

# The longest frame of MPEG audio: at most that far before the second frame begins the first one.
_LONGEST_MPEG_FRAME = 2881

# An odd last byte of flags says that the number of frames follows.
_XING = re.compile(rb"(?:Xing|Info)\0\0\0[\x01\x03\x05\x07\x09\x0b\x0d\x0f](?P<frames>.{4})", re.DOTALL)

_MPEG1_RATES_HZ = (44_100, 48_000, 32_000)
_MPEG1_KBIT_S = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MPEG2_KBIT_S = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)


class Completeness:
    """Follows the packets of a media file, and says at their end whether the file was cut off.

    Corrupt packets in the middle count as present: only the end matters. Nothing tells for an MPEG transport
    stream, which ends wherever its recording did, nor for AVI, ASF, W64 and AMR, nor for what was streamed without a
    duration: Matroska and WebM anywhere, MP4 between two fragments, Ogg between two pages.
    """

    def __init__(self, source: BinaryIO, container: InputContainer, stream: AudioStream) -> None:
        self._source = source
        self._container = container
        self._stream = stream
        self._format = container.format.name
        self._one_duration = self._format in ("matroska,webm", "flv")
        self._decoded_s = 0.0
        self._bytes = 0
        self._corrupt_bytes = 0
        self._end_s = 0.0
        self._first_position: int | None = None
        self._last: Packet[Any] | None = None

    @property
    def streams(self) -> list[Stream]:
        """The streams whose packets ``see`` needs.

        Matroska and FLV declare one duration for all their streams, and the audio may end before the film does.
        """
        return list(self._container.streams) if self._one_duration else [self._stream]

    def see(self, packet: "Packet[Any]", *, decoded_s: float = 0.0, corrupt: bool = False) -> None:
        """Count a packet, and the seconds of audio that its decoding gave."""
        self._decoded_s += decoded_s
        if packet.size and packet.pts is not None:
            end = packet.pts + (packet.duration or 0)
            start = 0 if self._one_duration else self._stream.start_time or 0
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
        if declared_s is not None and declared_s - present_s > max(_TOLERANCE_S, _TOLERANCE_RATIO * declared_s):
            return f"it declares {declared_s:.1f} s of audio and ends after {present_s:.1f} s"
        if self._format == "ogg" and _ends_within_ogg_page(self._source):
            return f"it ends in the middle of a page, after {present_s:.1f} s"
        if self._format.startswith("mov") and _ends_within_mp4_fragment(self._source):
            return f"it ends in the middle of a fragment, after {present_s:.1f} s"
        if declared_s is None and self._last is not None and self._format in _FRAME_SIZES:
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
        elif self._one_duration:
            # An FLV that was streamed declares 0, or nothing.
            declared_s = (self._container.duration or 0) / av.time_base or None
        elif self._format == "caf":
            # The duration is made to fit the file.
            declared_s = self._stream.frames / self._stream.rate or None
        elif self._format in _DECLARING_FORMATS:
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
    position, byte_rate, size_64 = 12, 0, 0
    if source.read(4) not in (b"RIFF", b"RF64"):
        return None, 0.0
    for _ in range(_MOST_WAV_CHUNKS):
        source.seek(position)
        head = source.read(8)
        if len(head) < 8:
            break
        name, size = struct.unpack("<4sI", head)
        if name == b"fmt ":
            byte_rate = int.from_bytes(source.read(12)[8:12], "little")
        if name == b"ds64":
            size_64 = int.from_bytes(source.read(16)[8:16], "little")
        if name == b"data":
            size = size_64 or size
            if not byte_rate or not (0 < size < _UNKNOWN_WAV_SIZE or size_64):
                break
            return size / byte_rate, (file_size - position - 8) / byte_rate
        position += 8 + size + size % 2
    return None, 0.0


def _ends_within_ogg_page(source: BinaryIO) -> bool:
    """Whether the last page, or the last packet in it, is incomplete. Tags or padding may follow the last page."""
    source.seek(max(0, source.seek(0, os.SEEK_END) - 2 * _LARGEST_OGG_PAGE))
    tail = source.read()
    position = tail.rfind(_OGG_PAGE)
    if position < 0:
        return False
    header = tail[position : position + _OGG_HEADER_BYTES]
    if len(header) < _OGG_HEADER_BYTES:
        return True
    segments = tail[position + _OGG_HEADER_BYTES :][: header[-1]]
    end = position + _OGG_HEADER_BYTES + header[-1] + sum(segments)
    if len(segments) < header[-1] or end > len(tail):
        return True
    rest = tail[end:]
    # A packet whose last segment is full goes on in the next page.
    return _OGG_PAGE.startswith(rest) if rest else segments.endswith(b"\xff")


def _ends_within_mp4_fragment(source: BinaryIO) -> bool:
    """Whether an MP4 has fragments, and its last box is incomplete."""
    file_size = source.seek(0, os.SEEK_END)
    position, fragmented = 0, False
    for _ in range(_MOST_MP4_BOXES):
        source.seek(position)
        head = source.read(16)
        size, name = int.from_bytes(head[:4], "big"), head[4:8]
        size = int.from_bytes(head[8:16], "big") if size == 1 else size
        # A size of 0 means the rest of the file. What is no box may be padding.
        if size < 8 or not name.isalnum():
            break
        fragmented = fragmented or name == b"moof"
        position += size
        if position > file_size:
            return fragmented
    return False


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
