"""Audio that tests make, mux, encode and decode with PyAV alone."""

import io
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
import pytest
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.stream import Disposition
from av.video.stream import VideoStream
from numpy.typing import NDArray
from typing_extensions import Buffer

from voice_stack.utils.audio.decode import decode_audio

Samples = NDArray[np.float32]

RATE_HZ = 16_000

NO_XING = {"write_xing": "0", "id3v2_version": "0"}

needs_proc = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from Linux's /proc")


def tone(duration_s: float, rate_hz: int, *, frequency_hz: float = 440.0, amplitude: float = 0.5) -> Samples:
    """A sine, mono float32."""
    times = np.arange(round(duration_s * rate_hz)) / rate_hz
    return (amplitude * np.sin(2 * np.pi * frequency_hz * times)).astype(np.float32)


def noise(samples: int, *, seed: int = 0, amplitude: float = 0.2) -> Samples:
    """White noise, mono float32."""
    return (amplitude * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def chirp(samples: int, rate_hz: int) -> Samples:
    """A sweep of 300 Hz a second from 200 Hz, mono float32: no part of it resembles another."""
    times = np.arange(samples) / rate_hz
    return (0.5 * np.sin(2 * np.pi * (200 * times + 150 * times**2))).astype(np.float32)


class WriteOnly(io.RawIOBase):
    """A pipe: what is written stays, nothing can be sought."""

    def __init__(self) -> None:
        super().__init__()
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer, /) -> int:
        self.data += memoryview(data)
        return memoryview(data).nbytes


def mux(
    container: str,
    codec: str,
    samples: Samples,
    rate_hz: int,
    *,
    layout: str = "mono",
    tracks: int = 1,
    sounding: int = 0,
    video: bool = False,
    seekable: bool = True,
    file: Path | None = None,
    options: Mapping[str, str] | None = None,
) -> bytes:
    """Encode float32 samples, of shape (n,) or (channels, n), into a file of FFmpeg's container and codec.

    Of several tracks all but ``sounding`` are silent, and that is the default one. ``video`` adds a second of grey
    before the audio's packets. ``file`` is for muxers that open their output again.
    """
    pipe, buffer = WriteOnly(), io.BytesIO()
    target: Any = str(file) if file is not None else buffer if seekable else pipe
    with av.open(target, "w", format=container, container_options=dict(options or {})) as output:
        pictures = _video_stream(output) if video else None
        streams = [_audio_stream(output, codec, rate_hz, layout) for _ in range(tracks)]
        if sounding:
            # PyAV 15 takes a number only.
            flag: Any = Disposition.default.value
            streams[sounding].disposition = flag
        if pictures is not None:
            for _ in range(25):
                grey = np.full((96, 64), 128, np.uint8)
                output.mux(pictures.encode(av.VideoFrame.from_ndarray(grey, "yuv420p")))
            output.mux(pictures.encode(None))
        for number, stream in enumerate(streams):
            planes = np.atleast_2d(samples) * np.float32(number == sounding)
            for start in range(0, planes.shape[1], 4096):
                piece = np.ascontiguousarray(planes[:, start : start + 4096])
                frame = av.AudioFrame.from_ndarray(piece, "fltp", layout)
                frame.sample_rate = rate_hz
                frame.pts = start
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
    if file is not None:
        return file.read_bytes()
    return buffer.getvalue() if seekable else bytes(pipe.data)


def _audio_stream(output: OutputContainer, codec: str, rate_hz: int, layout: str) -> AudioStream:
    # FFmpeg's own encoder for Vorbis is an experimental one.
    stream = output.add_stream(codec, rate=rate_hz, options={"strict": "experimental"})
    assert isinstance(stream, AudioStream)
    stream.layout = layout
    stream.bit_rate = 64_000
    return stream


def _video_stream(output: OutputContainer) -> VideoStream:
    stream = output.add_stream("mpeg4", rate=25)
    assert isinstance(stream, VideoStream)
    stream.width = stream.height = 64
    stream.pix_fmt = "yuv420p"
    return stream


def wav(
    data: bytes,
    *,
    declared: int | None = None,
    rate_hz: int = RATE_HZ,
    channels: int = 1,
    bytes_per_sample: int = 2,
    format_tag: int = 1,
) -> bytes:
    """A WAV whose header says whatever a test wants it to say."""
    block = channels * bytes_per_sample
    layout = (
        format_tag.to_bytes(2, "little")
        + channels.to_bytes(2, "little")
        + rate_hz.to_bytes(4, "little")
        + (rate_hz * block % 2**32).to_bytes(4, "little")
        + block.to_bytes(2, "little")
        + (8 * bytes_per_sample).to_bytes(2, "little")
    )
    size = len(data) if declared is None else declared
    riff = b"RIFF" + min(size + 36, 2**32 - 1).to_bytes(4, "little") + b"WAVEfmt " + bytes((16, 0, 0, 0))
    return riff + layout + b"data" + size.to_bytes(4, "little") + data


def decode(data: bytes | BinaryIO, sample_rate_hz: int = RATE_HZ) -> Samples:
    """All that ``decode_audio`` makes of a file."""
    source = io.BytesIO(data) if isinstance(data, bytes) else data
    blocks = list(decode_audio(source, sample_rate_hz=sample_rate_hz))
    assert all(block.dtype == np.float32 and block.ndim == 1 for block in blocks)
    return np.concatenate(blocks)


def decode_plainly(data: bytes | BinaryIO) -> tuple[Samples, int]:
    """What a player makes of a mono file: float32 samples and their rate in Hz.

    As players do, it passes over what cannot be decoded: once in some thousand clips of noise, FFmpeg's FLAC parser
    puts out the last bytes a second time.
    """
    pieces: list[Samples] = [np.zeros(0, np.float32)]
    rate_hz = 0
    with av.open(io.BytesIO(data) if isinstance(data, bytes) else data) as container:
        stream = container.streams.audio[0]
        for packet in container.demux(stream):
            with suppress(av.error.InvalidDataError):
                for frame in stream.decode(packet):
                    samples = frame.to_ndarray().reshape(-1)
                    scale = 32768.0 if frame.format.name.startswith("s16") else 1.0
                    pieces.append((samples / scale).astype(np.float32))
                    rate_hz = frame.sample_rate
    return np.concatenate(pieces), rate_hz


def lag_samples(delayed: Samples, reference: Samples) -> int:
    """By how many samples ``delayed`` comes after ``reference``, by their cross-correlation."""
    size = len(delayed) + len(reference)
    spectrum = np.fft.rfft(delayed, size) * np.conj(np.fft.rfft(reference, size))
    lag = int(np.argmax(np.fft.irfft(spectrum, size)))
    return lag - size if lag > size // 2 else lag


def level_db(samples: Samples, reference: Samples) -> float:
    """The power of one signal relative to another, in dB."""
    return float(10 * np.log10(np.mean(np.square(samples, dtype=np.float64)) / np.mean(np.square(reference))))


def resident_bytes() -> int:
    """The memory that this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def open_files() -> int:
    """How many file descriptors this process has open."""
    return len(list(Path("/dev/fd").iterdir()))
