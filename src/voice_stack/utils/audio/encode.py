"""Streaming encoders: mono float32 in, bytes that are never rewritten out."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType
from typing import Protocol

import av
import numpy as np
from av.audio.stream import AudioStream
from numpy.typing import NDArray

from voice_stack.core.errors import EngineError, InvalidRequestError
from voice_stack.utils.audio.ffmpeg import AV_ERRORS
from voice_stack.utils.audio.headers import mp3_info_frame, wav_header
from voice_stack.utils.audio.pcm import bounded, float_to_int16
from voice_stack.utils.audio.resample import Resampler

# Where a codec does not take the caller's rate: every codec here takes this one.
_FALLBACK_RATE_HZ = 48_000

# An ADTS frame (AAC-LC, 48 kHz, mono) with a fill element and no audio. Two frames, all that a clip of up to
# 1024 samples makes, FFmpeg takes for MP3 as readily as for AAC; a third settles it. This one decodes to nothing.
_EMPTY_AAC_FRAME = bytes.fromhex("fff14c40013ffcc1c0")
_AAC_FRAME_SAMPLES = 1024


@dataclass(frozen=True)
class AudioFormat:
    """One value of ``response_format``."""

    name: str
    media_type: str
    extension: str  # without a dot
    codec: str = ""  # FFmpeg's encoder; empty: the samples go out as s16le
    muxer: str = ""  # FFmpeg's muxer
    sample_format: str = ""  # what the encoder takes
    rates_hz: tuple[int, ...] = ()  # rates the codec takes as they are; empty: any
    bit_rate: int | None = None  # bits per second
    options: Mapping[str, str] = field(default_factory=dict)  # the muxer's


AUDIO_FORMATS: Mapping[str, AudioFormat] = MappingProxyType(
    {
        audio_format.name: audio_format
        for audio_format in (
            AudioFormat(
                name="mp3",
                media_type="audio/mpeg",
                extension="mp3",
                codec="libmp3lame",
                muxer="mp3",
                sample_format="fltp",
                rates_hz=(16_000, 22_050, 24_000, 32_000, 44_100, 48_000),
                bit_rate=96_000,
                options={"write_xing": "0", "id3v2_version": "0"},
            ),
            AudioFormat(
                name="opus",
                media_type="audio/ogg",
                extension="ogg",
                codec="libopus",
                muxer="ogg",
                sample_format="flt",
                rates_hz=(8_000, 12_000, 16_000, 24_000, 48_000),
                bit_rate=64_000,
                # In microseconds. The muxer holds one page back, so a client is at most two pages behind.
                options={"page_duration": "100000"},
            ),
            AudioFormat(
                name="aac",
                media_type="audio/aac",
                extension="aac",
                codec="aac",
                muxer="adts",
                sample_format="fltp",
                # ADTS cannot say how many samples are priming (the first 1024) or padding. At 48 kHz both
                # together stay below 60 ms.
                rates_hz=(48_000,),
                bit_rate=112_000,
            ),
            AudioFormat(
                name="flac",
                media_type="audio/flac",
                extension="flac",
                codec="flac",
                muxer="flac",
                sample_format="s16",
                # Without it 8 KiB of padding come before the first sample.
                options={"metadata_header_padding": "0"},
            ),
            AudioFormat(name="wav", media_type="audio/wav", extension="wav"),
            AudioFormat(name="pcm", media_type="audio/pcm", extension="pcm"),
        )
    }
)


def find_audio_format(name: str) -> AudioFormat:
    """Return the format of that name. Raises ``InvalidRequestError`` where there is none."""
    try:
        return AUDIO_FORMATS[name]
    except KeyError:
        raise InvalidRequestError(
            f"The response format {name!r} is not known. Use one of: {', '.join(AUDIO_FORMATS)}.",
            param="response_format",
        ) from None


class AudioEncoder:
    """Encode mono float32 samples as they come.

    The bytes are a true stream: in order, final, never rewritten. How the samples are cut into pieces makes
    no difference to the whole. The stream decodes to the samples' own length within 60 ms: mp3 and aac pad
    their last frame, and aac begins with 21 ms of priming that ADTS cannot declare.

    Raises ``InvalidRequestError`` for an unknown format. ``encode`` and ``flush`` raise ``EngineError`` where
    the encoder fails, and ``encode`` also after ``flush`` or ``close``.
    """

    def __init__(self, audio_format: str, sample_rate_hz: int) -> None:
        self.audio_format = find_audio_format(audio_format)
        rates_hz = self.audio_format.rates_hz
        rate_hz = sample_rate_hz if sample_rate_hz in rates_hz or not rates_hz else _FALLBACK_RATE_HZ
        self._resampler = Resampler(sample_rate_hz, rate_hz)
        self._writer: _Writer | None = None
        with self._engine_errors():
            self._writer = _CodecWriter(self.audio_format, rate_hz) if self.audio_format.codec else _PcmWriter()
        self._header = _header(self.audio_format, rate_hz)

    def encode(self, samples: NDArray[np.float32]) -> bytes:
        """Take mono float32 samples of any number; return the bytes that are ready, maybe none.

        Samples outside [-1, 1] are clipped, NaN is silence.
        """
        if self._writer is None:
            raise EngineError(f"The {self.audio_format.name} stream has ended already.")
        with self._engine_errors():
            return self._take(self._writer.write(self._resampler.process(bounded(samples))))

    def flush(self) -> bytes:
        """End the stream and return all bytes that are left. A second call returns none."""
        if self._writer is None:
            return b""
        with self._engine_errors():
            rest = self._writer.write(self._resampler.flush())
            last = self._take(rest + self._writer.finish())
        self.close()
        return last

    def close(self) -> None:
        """Release the encoder, whatever state it is in. What it still held is lost: call ``flush`` first."""
        writer, self._writer = self._writer, None
        if writer is not None:
            with self._engine_errors():
                writer.close()

    def _take(self, encoded: bytes) -> bytes:
        header, self._header = self._header, b""
        return header + encoded

    @contextmanager
    def _engine_errors(self) -> Iterator[None]:
        try:
            yield
        except AV_ERRORS as error:
            raise EngineError(f"The {self.audio_format.name} encoder failed: {error}") from error


class _Writer(Protocol):
    """What turns samples, in [-1, 1] and at the format's rate, into bytes."""

    def write(self, samples: NDArray[np.float32]) -> bytes: ...

    def finish(self) -> bytes: ...

    def close(self) -> None: ...


class _PcmWriter:
    def write(self, samples: NDArray[np.float32]) -> bytes:
        return float_to_int16(samples).astype("<i2", copy=False).tobytes()

    def finish(self) -> bytes:
        return b""

    def close(self) -> None:
        pass


class _CodecWriter:
    def __init__(self, audio_format: AudioFormat, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._codec = audio_format.codec
        self._sample_format = audio_format.sample_format
        self._sink = _Sink()
        self._samples_in = 0
        # bitexact: equal samples give equal bytes (Ogg's serial number would be random).
        options = {**audio_format.options, "fflags": "+bitexact"}
        self._container = av.open(self._sink, "w", format=audio_format.muxer, container_options=options)
        stream = self._container.add_stream(audio_format.codec, rate=rate_hz)
        if not isinstance(stream, AudioStream):
            raise TypeError(f"{audio_format.codec} is no audio encoder")
        self._stream = stream
        self._stream.codec_context.layout = "mono"
        self._stream.codec_context.format = audio_format.sample_format
        if audio_format.bit_rate is not None:
            self._stream.codec_context.bit_rate = audio_format.bit_rate
        self._container.start_encoding()

    def write(self, samples: NDArray[np.float32]) -> bytes:
        if len(samples):
            pcm = float_to_int16(samples) if self._sample_format == "s16" else np.ascontiguousarray(samples)
            frame = av.AudioFrame.from_ndarray(pcm[np.newaxis], self._sample_format, "mono")
            frame.sample_rate = self._rate_hz
            frame.time_base = Fraction(1, self._rate_hz)
            frame.pts = self._samples_in
            self._samples_in += len(samples)
            self._container.mux(self._stream.encode(frame))
        return self._sink.take()

    def finish(self) -> bytes:
        self._container.mux(self._stream.encode(None))
        self._container.close()
        last = self._sink.take()
        if self._codec == "aac" and 0 < self._samples_in <= _AAC_FRAME_SAMPLES:
            last += _EMPTY_AAC_FRAME
        return last

    def close(self) -> None:
        self._container.close()


class _Sink:
    """A file that can only be appended to: without ``seek`` no muxer goes back to what it has written."""

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, data: bytes) -> int:
        self._written += data
        return len(data)

    def take(self) -> bytes:
        data = bytes(self._written)
        self._written.clear()
        return data


def _header(audio_format: AudioFormat, rate_hz: int) -> bytes:
    """What goes before the writer's own bytes."""
    if audio_format.name == "mp3":
        return mp3_info_frame(rate_hz)
    if audio_format.name == "wav":
        return wav_header(rate_hz)
    return b""
