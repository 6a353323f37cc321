"""Streaming encoders: mono float32 in, bytes that are never rewritten out."""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Protocol

import av
import numpy as np
from av.audio.stream import AudioStream
from numpy.typing import NDArray

from voice_stack.core.errors import EngineError
from voice_stack.utils.audio.ffmpeg import AV_ERRORS
from voice_stack.utils.audio.formats import AUDIO_FORMATS, AudioFormat, find_audio_format
from voice_stack.utils.audio.headers import MP3_DELAY, mp3_info_frame, wav_header
from voice_stack.utils.audio.pcm import bounded, float_to_int16
from voice_stack.utils.audio.resample import Resampler

__all__ = ["AUDIO_FORMATS", "AudioEncoder", "AudioFormat", "find_audio_format"]

# Where a codec does not take the caller's rate: every codec here takes this one.
_FALLBACK_RATE_HZ = 48_000

# An ADTS frame (AAC-LC, 48 kHz, mono) with a fill element and no audio. One or two frames FFmpeg takes for MP3 as
# readily as for AAC; a third settles it. This one decodes to nothing.
_EMPTY_AAC_FRAME = bytes.fromhex("fff14c40013ffcc1c0")
_FEWEST_AAC_FRAMES = 3
# From so many frames on FFmpeg is sure that an MP3 is one, whatever stands in them. The frame before them that says
# so, and how much to drop, is heeded by FFmpeg and browsers, not by mpg123 and libsndfile.
_SURE_FRAMES = 7

QUIET = 10 ** (-50 / 20)
"""Samples up to this, -50 dBFS, may be left out at the ends of a stream whose frames do not fit its length."""

MOST_EXCESS_S = 0.0195
"""How much longer than its samples a stream may be, where what could be left out is quiet."""


class AudioEncoder:
    """Encode mono float32 samples as they come.

    The bytes are a true stream: in order, final, never rewritten. How the samples are cut into pieces makes
    no difference to the whole.

    The stream decodes to the samples' own length: exactly in opus, flac, wav and pcm. In mp3 and aac, which are
    made of whole frames, within 20 ms where the samples begin with 40 ms of quiet (`QUIET`) and end with 7 ms (mp3) or
    2 ms (aac): up to 2 ms of it are missing at the start, and so many at the end. Where they begin or end loudly
    nothing of them is left out, and the stream may be up to 27 ms (mp3) or 43 ms (aac) longer than they are.

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
        self._header = wav_header(rate_hz) if audio_format == "wav" else b""

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
        self._format = audio_format
        self._rate_hz = rate_hz
        self._sink = _Sink()
        self._samples_in = 0
        self._packets = 0
        # bitexact: equal samples give equal bytes (Ogg's serial number would be random).
        options = {**audio_format.options, "fflags": "+bitexact"}
        self._container = av.open(self._sink, "w", format=audio_format.muxer, container_options=options)
        stream = self._container.add_stream(audio_format.codec, rate=rate_hz, options=dict(audio_format.codec_options))
        if not isinstance(stream, AudioStream):
            raise TypeError(f"{audio_format.codec} is no audio encoder")
        self._stream = stream
        self._stream.codec_context.layout = "mono"
        self._stream.codec_context.format = audio_format.sample_format
        if audio_format.bit_rate is not None:
            self._stream.codec_context.bit_rate = audio_format.bit_rate
        self._container.start_encoding()
        # Held back until it is known whether the stream begins or ends with them.
        self._held = np.zeros(0, np.float32)
        self._begun = not audio_format.priming_samples
        self._packets_to_drop = 0
        self._lead = 0
        self._most_surplus = 0 if self._begun else self._kept_lead + self._frame_samples - self._most_excess

    def write(self, samples: NDArray[np.float32]) -> bytes:
        samples = np.concatenate([self._held, samples])
        ready = max(0, samples.size - self._most_surplus)
        if not self._begun:
            if ready <= _SURE_FRAMES * self._frame_samples:
                ready = 0
            else:
                self._begin(samples, keep=False)
        self._feed(samples[:ready])
        self._held = samples[ready:]
        return self._sink.take()

    def finish(self) -> bytes:
        if not self._begun:
            self._begin(self._held, keep=self._format.name == "mp3")
        self._feed(self._held[: self._held.size - self._surplus()])
        self._mux(None)
        self._container.close()
        last = self._sink.take()
        if self._format.name == "aac" and self._samples_in:
            last += _EMPTY_AAC_FRAME * (_FEWEST_AAC_FRAMES - self._packets)
        return last

    def close(self) -> None:
        self._container.close()

    @property
    def _frame_samples(self) -> int:
        return self._stream.codec_context.frame_size

    @property
    def _most_excess(self) -> int:
        return round(MOST_EXCESS_S * self._rate_hz)

    @property
    def _kept_lead(self) -> int:
        """By how many samples a stream begins late that keeps its first frames."""
        dropped = MP3_DELAY if self._format.name == "mp3" else 0
        return self._format.priming_samples - dropped

    def _begin(self, samples: NDArray[np.float32], *, keep: bool) -> None:
        """Leave out the first frames, where the samples begin quietly and these frames need not be kept."""
        self._begun = True
        if not keep and np.abs(samples[: self._format.settling_samples]).max(initial=0.0) <= QUIET:
            self._packets_to_drop = self._format.priming_samples // self._frame_samples
            return
        self._lead = self._kept_lead
        if self._format.name == "mp3":
            self._sink.write(mp3_info_frame(self._rate_hz))

    def _surplus(self) -> int:
        """How many samples to leave out at the end, all of them quiet, so that the last frame is not too long."""
        if not self._most_surplus:
            return 0
        count = self._samples_in + self._held.size
        loud = np.flatnonzero(np.abs(self._held) > QUIET)
        quiet = self._held.size - (int(loud[-1]) + 1 if loud.size else 0)
        surplus, frame = 0, self._frame_samples
        while count and self._lead + -(-(count - surplus) // frame) * frame - count > self._most_excess:
            more = surplus + (count - surplus - 1) % frame + 1
            if more > quiet or more >= count:
                break
            surplus = more
        return surplus

    def _feed(self, samples: NDArray[np.float32]) -> None:
        if samples.size:
            pcm = float_to_int16(samples) if self._format.sample_format == "s16" else np.ascontiguousarray(samples)
            frame = av.AudioFrame.from_ndarray(pcm[np.newaxis], self._format.sample_format, "mono")
            frame.sample_rate = self._rate_hz
            frame.time_base = Fraction(1, self._rate_hz)
            frame.pts = self._samples_in
            self._samples_in += samples.size
            self._mux(frame)

    def _mux(self, frame: av.AudioFrame | None) -> None:
        for packet in self._stream.encode(frame):
            if self._packets_to_drop:
                self._packets_to_drop -= 1
            else:
                self._packets += 1
                self._container.mux(packet)


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
