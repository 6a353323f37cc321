"""Half an hour without a word: what rooms, devices and pianos make."""

from collections.abc import Callable, Iterator, Sequence
from itertools import cycle

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 16_000

Samples = NDArray[np.float32]


def silence(seconds: float, rng: np.random.Generator) -> Samples:
    """Digital silence."""
    return np.zeros(round(seconds * RATE_HZ), np.float32)


def white_noise(seconds: float, rng: np.random.Generator) -> Samples:
    """As loud at every frequency."""
    return _leveled(rng.standard_normal(round(seconds * RATE_HZ)), rng)


def pink_noise(seconds: float, rng: np.random.Generator) -> Samples:
    """3 dB less with each octave, as rain and air conditioning."""
    spectrum = np.fft.rfft(rng.standard_normal(round(seconds * RATE_HZ)))
    spectrum /= np.sqrt(np.maximum(np.arange(spectrum.size), 1))
    return _leveled(np.fft.irfft(spectrum, round(seconds * RATE_HZ)), rng)


def hum(seconds: float, rng: np.random.Generator) -> Samples:
    """Mains hum with its harmonics, slowly swelling."""
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    base_hz = rng.choice([50.0, 60.0])
    tone = sum(
        np.sin(2 * np.pi * base_hz * harmonic * time_s + rng.uniform(0, 7)) / harmonic for harmonic in range(1, 9)
    )
    return _leveled(np.asarray(tone) * (1 + 0.5 * np.sin(2 * np.pi * 0.2 * time_s)), rng)


def music(seconds: float, rng: np.random.Generator) -> Samples:
    """Chords and melodies of plucked and held tones with overtones, vibrato and a drum."""
    total = round(seconds * RATE_HZ)
    mix = np.zeros(total)
    scale_hz = 110 * 2 ** (np.array([0, 2, 4, 5, 7, 9, 11, 12, 14, 16]) / 12)
    beat_s = float(rng.uniform(0.25, 0.6))
    for beat in range(int(seconds / beat_s)):
        at = round(beat * beat_s * RATE_HZ)
        for _ in range(int(rng.integers(1, 4))):
            note = _tone(
                float(rng.choice(scale_hz)) * int(rng.choice([1, 2, 4])), beat_s * int(rng.integers(1, 5)), rng
            )
            mix[at : at + note.size] += note[: total - at]
        if beat % 2 == 0:
            drum = rng.standard_normal(1600) * np.exp(-np.arange(1600) / 250)
            mix[at : at + drum.size] += 0.5 * drum[: total - at]
    return _leveled(mix, rng)


KINDS: Sequence[Callable[[float, np.random.Generator], Samples]] = (silence, white_noise, pink_noise, hum, music)


def wordless(minutes: float, *, seed: int = 0) -> Iterator[tuple[str, Samples]]:
    """Pieces of 5 to 60 seconds of each kind in turn, with their names, until ``minutes`` are full."""
    rng = np.random.default_rng(seed)
    left_s = minutes * 60
    for kind in cycle(KINDS):
        seconds = min(float(rng.uniform(5, 60)), left_s)
        yield kind.__name__, kind(seconds, rng)
        left_s -= seconds
        if left_s <= 0:
            return


def _tone(pitch_hz: float, seconds: float, rng: np.random.Generator) -> NDArray[np.float64]:
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    phase = 2 * np.pi * pitch_hz * time_s + 0.1 * np.sin(2 * np.pi * 5.5 * time_s) * rng.integers(0, 2) * 3
    overtones = sum(np.sin(number * phase) / number**1.5 for number in range(1, 6) if number * pitch_hz < 7000)
    decay = np.exp(-time_s * rng.choice([0.5, 3.0, 8.0]))
    attack = np.minimum(1, time_s / 0.02) * np.minimum(1, (seconds - time_s) / 0.02)
    return np.asarray(overtones * decay * attack, np.float64)


def _leveled(samples: NDArray[np.float64], rng: np.random.Generator) -> Samples:
    """Scale to a level between -50 and -12 dB below full scale."""
    loudest = max(float(np.abs(samples).max()), 1e-9)
    return (samples / loudest * 10 ** (rng.uniform(-50, -12) / 20)).astype(np.float32)
