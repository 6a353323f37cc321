"""Where the audio comes from that is listened to, block by block as it comes."""

import os
import select
import wave
from collections.abc import Generator
from typing import IO, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from voice_stack.asr.engine.base import SAMPLE_RATE_HZ, AudioBlock
from voice_stack.core.errors import InvalidAudioError, VoiceStackError
from voice_stack.utils.audio.resample import Resampler

_READ_BYTES = 65_536  # what a pipe of Linux holds
_LOOK_AGAIN_S = 0.1
_MAGIC_BYTES = 12
_SAMPLE_BYTES = 2
_COMPRESSED = (b"OggS", b"fLaC", b"ID3", b"\x1aE\xdf\xa3")  # the last one: Matroska and WebM
_ADVICE = "decode it first: ffmpeg -i FILE -f s16le -ar 16000 -ac 1 - | voice-stack listen -"


class Source(Protocol):
    """Audio that comes as time goes by."""

    name: str

    def blocks(self) -> Generator[AudioBlock, None, None]:
        """The audio as it comes, each block of any length; blocks while there is none. To be read once.

        Raises:
            InvalidAudioError: what comes is no audio.
            VoiceStackError: it stopped coming.
        """

    def stop(self) -> None:
        """Let ``blocks`` end soon, with what came until now; from any thread."""


class PipeSource:
    """Raw PCM (s16le, mono), or a WAV file of 16 bits, from a file descriptor as it comes.

    The blocks are as long as what is there at a time. Half a sample at the end is left out.

    Args:
        descriptor: a pipe, a file, a device; it stays open.
        rate_hz: of raw PCM; a WAV file tells its own.
    """

    name = "standard input"

    def __init__(self, descriptor: int, *, rate_hz: int = SAMPLE_RATE_HZ) -> None:
        self._input = _Input(descriptor)
        self._rate_hz = rate_hz

    def stop(self) -> None:
        self._input.stop()

    def blocks(self) -> Generator[AudioBlock, None, None]:
        channels, frame = 1, b""
        begin = self._input.peek(_MAGIC_BYTES)
        if begin.startswith(b"RIFF") and begin.endswith(b"WAVE"):
            self._rate_hz, channels = self._wav_layout()
        elif begin.startswith(_COMPRESSED):
            raise InvalidAudioError(f"{self.name} is compressed audio, not raw PCM; {_ADVICE}")
        resampler = Resampler(self._rate_hz, SAMPLE_RATE_HZ)
        while data := self._input.read_some():
            data = frame + data
            whole = len(data) - len(data) % (_SAMPLE_BYTES * channels)
            data, frame = data[:whole], data[whole:]
            yield resampler.process(_mono(data, channels))
        yield resampler.flush()

    def _wav_layout(self) -> tuple[int, int]:
        """The sample rate and the channels; the next to be read is the first sample."""
        try:
            with wave.open(cast("IO[bytes]", self._input), "rb") as header:
                layout = header.getparams()
        except (wave.Error, EOFError) as error:
            raise InvalidAudioError(f"{self.name} is a WAV file that cannot be read ({error}); {_ADVICE}") from error
        if layout.sampwidth != _SAMPLE_BYTES:
            raise InvalidAudioError(f"{self.name} is a WAV file of {8 * layout.sampwidth} bits, not 16; {_ADVICE}")
        return layout.framerate, layout.nchannels


class _Input:
    """Reads a file descriptor until its end, or until it shall stop, as a file that cannot seek."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._ahead = b""
        self._stopped = self._drained = False

    def stop(self) -> None:
        """Let there be no more than is waiting now."""
        self._stopped = True

    def peek(self, size: int) -> bytes:
        """The next bytes, fewer at the end."""
        self._ahead = self.read(size)
        return self._ahead

    def read(self, size: int) -> bytes:
        """So many bytes, fewer only at the end."""
        data = bytearray()
        while len(data) < size and (some := self.read_some(size - len(data))):
            data += some
        return bytes(data)

    def read_some(self, most: int = _READ_BYTES) -> bytes:
        """Some bytes as soon as there are any; none at the end."""
        if self._ahead:
            data, self._ahead = self._ahead[:most], self._ahead[most:]
            return data
        try:
            while not self._drained:
                self._drained = self._stopped
                if select.select([self._descriptor], [], [], 0 if self._stopped else _LOOK_AGAIN_S)[0]:
                    return os.read(self._descriptor, most)
        except OSError as error:
            raise VoiceStackError(f"standard input cannot be read: {error.strerror or error}") from error
        return b""


def _mono(data: bytes, channels: int) -> NDArray[np.float32]:
    samples = np.frombuffer(data, "<i2").reshape(-1, channels)
    mono: NDArray[np.float32] = samples.mean(axis=1, dtype=np.float32) / np.float32(32_768)
    return mono
