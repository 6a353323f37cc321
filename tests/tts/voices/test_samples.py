"""Which recordings voices are cloned from: real ones pass, spoilt ones are refused with the reason."""

import io
import time
from pathlib import Path

import numpy as np
import pytest

from tests.support.speech import Sample, decode, wav_bytes
from tests.utils.audio.helpers import Samples, mux, needs_proc, noise, resident_bytes, wav
from voice_stack.core.errors import InvalidAudioError
from voice_stack.tts.voices.samples import MIN_DURATION_S, check_sample, decode_recording
from voice_stack.utils.audio.resample import Resampler

RATE_HZ = 16_000


@pytest.fixture(scope="module")
def speech(samples: list[Sample]) -> Samples:
    """Some seconds of real speech at 16 kHz."""
    return decode(next(sample.path for sample in samples if sample.path.stem == "quick_brown_fox").read_bytes())


def refusal(data: bytes) -> str:
    with pytest.raises(InvalidAudioError) as caught:
        check_sample(io.BytesIO(data))
    assert caught.value.param == "audio_sample"
    return caught.value.message


def with_noise(speech: Samples, below_db: float) -> bytes:
    """Speech with white noise so far below its louder parts."""
    loud = np.percentile(np.abs(speech), 90)
    return wav_bytes(speech + noise(len(speech), amplitude=float(loud) * 10 ** (-below_db / 20)))


def driven(speech: Samples, by_db: float) -> Samples:
    """Speech whose highest peak is so far beyond full scale, cut off there."""
    louder: Samples = speech / np.abs(speech).max() * np.float32(10 ** (by_db / 20))
    return np.clip(louder, -1, 1)


def test_every_real_recording_that_is_long_enough_passes(samples: list[Sample]) -> None:
    passed = 0
    for sample in samples:
        with sample.path.open("rb") as file:
            if decode_recording(file).duration_s < MIN_DURATION_S:
                continue
            report = check_sample(file)
        assert report.level_dbfs - report.noise_dbfs > 20, sample.path
        assert report.clipped == 0, sample.path
        passed += 1
    assert passed >= 18


@pytest.mark.parametrize(
    ("container", "codec", "rate_hz", "layout"),
    [("wav", "pcm_s16le", 8_000, "mono"), ("flac", "flac", 44_100, "stereo"), ("mp3", "libmp3lame", 48_000, "stereo")],
)
def test_any_rate_format_and_number_of_channels_passes(
    speech: Samples, container: str, codec: str, rate_hz: int, layout: str
) -> None:
    resampler = Resampler(RATE_HZ, rate_hz)
    samples = np.concatenate([resampler.process(speech), resampler.flush()])
    planes = np.stack([samples, samples]) if layout == "stereo" else samples
    source = io.BytesIO(mux(container, codec, planes, rate_hz, layout=layout))
    assert check_sample(source).duration_s == pytest.approx(len(speech) / RATE_HZ, abs=0.1)
    assert decode_recording(source).sample_rate_hz == rate_hz


def test_a_recording_of_a_higher_rate_is_brought_to_48_khz(speech: Samples) -> None:
    assert decode_recording(io.BytesIO(wav_bytes(speech, 96_000))).sample_rate_hz == 48_000


def test_noise_is_refused_from_where_it_drowns_the_voice(speech: Samples) -> None:
    for below_db in (40, 30, 25):
        check_sample(io.BytesIO(with_noise(speech, below_db)))
    for below_db in (10, 5, 0):
        assert "too noisy" in refusal(with_noise(speech, below_db))
    assert "too noisy" in refusal(wav_bytes(noise(5 * RATE_HZ)))


def test_clipping_is_refused_wherever_its_top_is(speech: Samples) -> None:
    check_sample(io.BytesIO(wav_bytes(driven(speech, 0))))
    for by_db in (6, 10, 20):
        assert "clipped" in refusal(wav_bytes(driven(speech, by_db)))
        assert "clipped" in refusal(wav_bytes(driven(speech, by_db) * np.float32(0.3)))


def test_too_quiet_or_silent_is_refused(speech: Samples) -> None:
    check_sample(io.BytesIO(wav_bytes(speech * np.float32(0.1))))
    assert "too quiet" in refusal(wav_bytes(speech * np.float32(0.03)))
    assert "silent" in refusal(wav_bytes(np.zeros(5 * RATE_HZ, np.float32)))
    assert "silent" in refusal(wav_bytes(np.full(5 * RATE_HZ, 0.3, np.float32)))


def test_too_short_or_too_long_is_refused(speech: Samples) -> None:
    assert "lasts 1.9 s" in refusal(wav_bytes(speech[: round(1.9 * RATE_HZ)]))
    padded = np.concatenate([speech[: RATE_HZ // 2], np.zeros(10 * RATE_HZ, np.float32)])
    assert "of speech" in refusal(wav_bytes(padded))
    repeated = np.tile(speech, 42)
    check_sample(io.BytesIO(wav_bytes(repeated[: 120 * RATE_HZ])))
    assert "longer than 120 s" in refusal(wav_bytes(repeated[: 121 * RATE_HZ]))


def test_what_is_no_recording_is_refused(speech: Samples) -> None:
    assert "empty" in refusal(b"")
    assert "format" in refusal(b"These are words, and nothing else." * 100)
    assert "cut off" in refusal(wav_bytes(speech)[:40_000])
    assert "no sound" in refusal(wav(b""))


@needs_proc
def test_hours_are_refused_without_being_held_or_decoded(tmp_path: Path) -> None:
    path = tmp_path / "hours.wav"
    path.write_bytes(wav(b"", declared=10 * 3600 * 48_000 * 2, rate_hz=48_000, channels=1))
    with path.open("r+b") as file:
        file.truncate(44 + 10 * 3600 * 48_000 * 2)
        before, started_at = resident_bytes(), time.monotonic()
        with pytest.raises(InvalidAudioError, match="longer than 120 s"):
            check_sample(file)
    assert time.monotonic() - started_at < 10
    assert resident_bytes() - before < 64 * 2**20
