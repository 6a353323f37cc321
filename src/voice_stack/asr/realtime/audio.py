"""The audio of a session, as its client sends it, to what the model hears."""

import base64
import binascii
from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from voice_stack.asr.engine.base import SAMPLE_RATE_HZ
from voice_stack.core.errors import InvalidRequestError
from voice_stack.utils.audio.g711 import decode_alaw, decode_ulaw
from voice_stack.utils.audio.resample import Resampler

Encoding = Literal["audio/pcm", "audio/pcmu", "audio/pcma"]


class AudioInput:
    """Turns one stream of bytes into float32 samples, mono, 16 kHz.

    How the bytes are cut into pieces makes no difference: half a sample waits for its other half.

    Args:
        encoding: ``audio/pcm`` is s16le mono; ``audio/pcmu`` and ``audio/pcma`` are G.711.
    """

    def __init__(self, encoding: Encoding, sample_rate_hz: int) -> None:
        self._decode, self._sample_bytes = _DECODERS[encoding]
        self._resampler = Resampler(sample_rate_hz, SAMPLE_RATE_HZ)
        self._rest = b""

    def take(self, data: bytes) -> NDArray[np.float32]:
        """The samples that are ready now, maybe none. Takes a while: not for the event loop."""
        data = self._rest + data
        whole = len(data) - len(data) % self._sample_bytes
        self._rest = data[whole:]
        return self._resampler.process(self._decode(data[:whole]))

    def take_base64(self, text: str) -> NDArray[np.float32]:
        """The same of bytes in base64.

        Raises:
            InvalidRequestError: it is no base64; nothing of it was taken.
        """
        return self.take(decode_base64(text))

    def flush(self) -> NDArray[np.float32]:
        """The last samples of what was taken; what is taken next begins anew, but for half a sample."""
        return self._resampler.flush()


def decode_base64(text: str) -> bytes:
    """Decode the ``audio`` of an event.

    Raises:
        InvalidRequestError: it is no base64.
    """
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequestError(
            "The audio is not valid base64; send standard base64 with its padding.",
            param="audio",
            code="invalid_audio",
        ) from error


def _decode_pcm(data: bytes) -> NDArray[np.float32]:
    samples: NDArray[np.float32] = np.frombuffer(data, "<i2").astype(np.float32) / np.float32(32768)
    return samples


_DECODERS: dict[Encoding, tuple[Callable[[bytes], NDArray[np.float32]], int]] = {
    "audio/pcm": (_decode_pcm, 2),
    "audio/pcmu": (decode_ulaw, 1),
    "audio/pcma": (decode_alaw, 1),
}
