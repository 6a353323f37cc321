"""The recordings that voices are cloned from, and whether they are good enough.

The thresholds were set by measuring 18 recordings in nine languages and 22 cuts of 10 s from two longer ones, as they
are and with noise or clipping added. In each of them speech stood 22.6 dB or more above the noise; with white noise
10 dB below the speech it was 14.1 to 16.3 dB, at 8 dB 12.1 to 14.5. Of their samples at most 0.14 in 10,000 lay on a
flat top (at 48 kHz; none at 16 kHz); driven 6 dB into clipping it was 2.6 to 430. What a lossy codec makes of clipping
is not found.
"""

from contextlib import closing
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from voice_stack.core.errors import InvalidAudioError
from voice_stack.utils.audio.isolation import declared_rate_isolated_hz, decode_isolated
from voice_stack.utils.audio.pcm import float_to_int16

MIN_DURATION_S = 2.0
MAX_DURATION_S = 120.0
MIN_SPEECH_S = 1.0
MAX_SAMPLE_RATE_HZ = 48_000

SILENCE_DBFS = -60.0
MIN_LEVEL_DBFS = -45.0
MIN_ABOVE_NOISE_DB = 16.0
MAX_CLIPPED = 2e-4  # of all samples

_MIN_SAMPLE_RATE_HZ = 8_000
_FRAME_S = 0.02
_SPEECH_RANGE_DB = 25.0  # from the loud vowels down to what still counts as speech
_DIGITAL_SILENCE_DBFS = -80.0  # padding and noise gates: it tells nothing of the room
_FLAT_TOP = 0.995  # of the highest sample
_PARAM = "audio_sample"


@dataclass(frozen=True)
class Recording:
    """A decoded recording."""

    samples: NDArray[np.int16]  # mono
    sample_rate_hz: int

    @property
    def duration_s(self) -> float:
        """Its length."""
        return len(self.samples) / self.sample_rate_hz


@dataclass(frozen=True)
class SampleReport:
    """What was measured of a recording."""

    duration_s: float
    speech_s: float  # without its pauses
    level_dbfs: float  # of the louder speech: exceeded in one of twenty frames of 20 ms
    noise_dbfs: float  # of what is left in the pauses
    clipped: float  # part of the samples that lie on flat tops


def check_sample(source: BinaryIO) -> SampleReport:
    """Decode a recording and see whether a voice can be cloned from it.

    Args:
        source: a seekable file of any format, rate and number of channels.

    Raises:
        InvalidAudioError: it cannot be decoded, or is silent, too quiet, too short, too long, clipped or noisy.
    """
    return check_recording(decode_recording(source))


def decode_recording(source: BinaryIO, *, param: str = _PARAM) -> Recording:
    """Decode a recording to mono at its own rate, or the nearest of 8 to 48 kHz.

    No more than ``MAX_DURATION_S`` and a block is decoded or held.

    Args:
        param: the request parameter that errors name.

    Raises:
        InvalidAudioError: it cannot be decoded, or is too long.
    """
    blocks: list[NDArray[np.int16]] = []
    samples = 0
    try:
        rate_hz = min(max(declared_rate_isolated_hz(source), _MIN_SAMPLE_RATE_HZ), MAX_SAMPLE_RATE_HZ)
        with closing(decode_isolated(source, sample_rate_hz=rate_hz)) as decoding:
            for block in decoding:
                blocks.append(float_to_int16(block))
                samples += len(block)
                if samples > MAX_DURATION_S * rate_hz:
                    break
    except InvalidAudioError as error:
        raise InvalidAudioError(error.message, param=param) from error
    if samples > MAX_DURATION_S * rate_hz:
        raise InvalidAudioError(
            f"The recording is longer than {MAX_DURATION_S:g} s. Send the best part of it: 6 to 30 s of one person "
            "speaking are enough.",
            param=param,
        )
    return Recording(np.concatenate(blocks), rate_hz)


def check_audible(recording: Recording, *, param: str = _PARAM) -> None:
    """See whether a recording holds any sound.

    Raises:
        InvalidAudioError: it is silent.
    """
    levels = _levels_dbfs(recording)
    if not len(levels) or levels.max() < SILENCE_DBFS:
        raise InvalidAudioError("The recording is silent. Check the microphone and record it again.", param=param)


def check_recording(recording: Recording) -> SampleReport:
    """See whether a voice can be cloned from a recording.

    Raises:
        InvalidAudioError: it is silent, too quiet, too short, clipped or noisy.
    """
    if recording.duration_s < MIN_DURATION_S:
        raise _unfit(
            f"The recording lasts {recording.duration_s:.1f} s; a voice needs {MIN_DURATION_S:g} s at least, and 6 to "
            "30 s are better."
        )
    check_audible(recording)
    report = _measure(recording)
    if report.level_dbfs < MIN_LEVEL_DBFS:
        raise _unfit(
            f"The recording is too quiet: its speech is at {report.level_dbfs:.0f} dBFS, and {MIN_LEVEL_DBFS:.0f} is "
            "the least. Move nearer to the microphone or raise its gain; -20 dBFS is good."
        )
    if report.clipped > MAX_CLIPPED:
        raise _unfit(
            f"The recording is clipped: {report.clipped:.2%} of its samples are cut off at the top. Record it again "
            "with less gain; lowering the volume afterwards does not help."
        )
    above_noise_db = report.level_dbfs - report.noise_dbfs
    if above_noise_db < MIN_ABOVE_NOISE_DB:
        raise _unfit(
            f"The recording is too noisy: speech is only {above_noise_db:.0f} dB above the noise, and "
            f"{MIN_ABOVE_NOISE_DB:.0f} dB is the least. Record it in a quiet room, near the microphone, without music."
        )
    if report.speech_s < MIN_SPEECH_S:
        raise _unfit(
            f"The recording holds {report.speech_s:.1f} s of speech; a voice needs {MIN_SPEECH_S:g} s at least, and 6 "
            "to 30 s are better."
        )
    return report


def _measure(recording: Recording) -> SampleReport:
    levels = _levels_dbfs(recording)
    sounding = levels[levels > _DIGITAL_SILENCE_DBFS]
    loud, faint = np.percentile(sounding, [95, 5])
    return SampleReport(
        duration_s=recording.duration_s,
        speech_s=float(np.count_nonzero(levels > loud - _SPEECH_RANGE_DB)) * _FRAME_S,
        level_dbfs=float(loud),
        noise_dbfs=float(faint),
        clipped=_clipped(recording.samples),
    )


def _levels_dbfs(recording: Recording) -> NDArray[np.float32]:
    """The level of each frame of 20 ms, without its direct current."""
    frame = round(_FRAME_S * recording.sample_rate_hz)
    frames = recording.samples[: len(recording.samples) // frame * frame].reshape(-1, frame)
    powers = np.var(frames, axis=1, dtype=np.float32) / np.float32(2**30)
    decibels: NDArray[np.float32] = 10 * np.log10(powers + np.float32(1e-12))
    return decibels


def _clipped(samples: NDArray[np.int16]) -> float:
    """The part of the samples that are the third or later in a row on the highest or the lowest level."""
    flat = 0
    for on_top in (samples >= _FLAT_TOP * int(samples.max()), samples <= _FLAT_TOP * int(samples.min())):
        flat += np.count_nonzero(on_top[2:] & on_top[1:-1] & on_top[:-2])
    return flat / len(samples)


def _unfit(message: str) -> InvalidAudioError:
    return InvalidAudioError(message, param=_PARAM)
