"""Recorded speech, and audio made from it."""

import io
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voice_stack.utils.audio.decode import decode_audio
from voice_stack.utils.audio.pcm import float_to_int16


@dataclass(frozen=True)
class Sample:
    """A recording and what is said in it."""

    language: str
    path: Path
    transcript: str


def load_samples(folder: Path) -> list[Sample]:
    """Every recording below ``folder``, in the order of their paths."""
    return [
        Sample(path.parent.name, path, path.with_suffix(".txt").read_text(encoding="utf-8").strip())
        for path in sorted(folder.glob("*/*.wav"))
    ]


def decode(data: bytes, sample_rate_hz: int = 16_000) -> NDArray[np.float32]:
    """Decode a whole file; mono float32."""
    blocks = list(decode_audio(io.BytesIO(data), sample_rate_hz=sample_rate_hz))
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def wav_bytes(samples: NDArray[np.float32], sample_rate_hz: int = 16_000) -> bytes:
    """Encode mono float32 samples as a 16 bit WAV file."""
    target = io.BytesIO()
    with wave.open(target, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(sample_rate_hz)
        writer.writeframes(float_to_int16(samples).tobytes())
    return target.getvalue()
