"""The same speech in every format that a realtime session takes is the same text, from the real model."""

from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.realtime import TRANSCRIPTION, pcm, realtime
from tests.support.serving import ServiceProcess
from tests.support.speech import Sample, decode
from tests.support.wer import english_word_error_rate

FOX = "the quick brown fox jumps over the lazy dog"
FORMATS: dict[str, tuple[dict[str, Any], int]] = {
    "24 kHz": ({"type": "audio/pcm"}, 24_000),
    "8 kHz": ({"type": "audio/pcm", "rate": 8000}, 8000),
    "16 kHz": ({"type": "audio/pcm", "rate": 16_000}, 16_000),
    "44.1 kHz": ({"type": "audio/pcm", "rate": 44_100}, 44_100),
    "48 kHz": ({"type": "audio/pcm", "rate": 48_000}, 48_000),
    "u-law": ({"type": "audio/pcmu"}, 8000),
    "A-law": ({"type": "audio/pcma"}, 8000),
}
CODECS = {"audio/pcmu": "pcm_mulaw", "audio/pcma": "pcm_alaw"}


@pytest.fixture(scope="module")
def fox(samples: list[Sample]) -> NDArray[np.float32]:
    return next(decode(sample.path.read_bytes()) for sample in samples if sample.path.stem == "quick_brown_fox")


def encoded(samples: NDArray[np.float32], audio_format: dict[str, Any], rate_hz: int) -> bytes:
    """Speech of 16 kHz in a format."""
    data = pcm(samples, rate_hz)
    if audio_format["type"] == "audio/pcm":
        return data
    encoder = av.CodecContext.create(CODECS[audio_format["type"]], "w")
    assert isinstance(encoder, av.AudioCodecContext)
    encoder.sample_rate, encoder.layout, encoder.format = rate_hz, "mono", "s16"
    frame = av.AudioFrame.from_ndarray(np.frombuffer(data, "<i2")[np.newaxis], "s16", "mono")
    frame.sample_rate = rate_hz
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_is_heard(asr: ServiceProcess, fox: NDArray[np.float32], name: str) -> None:
    audio_format, rate_hz = FORMATS[name]
    with realtime(asr.base_url) as client:
        client.configure(format=audio_format, turn_detection=None)
        client.append(encoded(fox, audio_format, rate_hz), chunk_bytes=3001)
        client.send("input_audio_buffer.commit")
        completed = client.next(f"{TRANSCRIPTION}.completed")
        assert english_word_error_rate([FOX], [completed["transcript"]]) <= 0.12
        assert completed["usage"]["seconds"] == pytest.approx(fox.size / 16_000, abs=0.002)
        assert completed["languages"] == [{"code": "en"}]


def test_a_format_may_change_in_the_middle_of_a_sentence(asr: ServiceProcess, fox: NDArray[np.float32]) -> None:
    with realtime(asr.base_url) as client:
        client.configure(turn_detection=None)
        parts = np.array_split(fox, len(FORMATS))
        for part, (audio_format, rate_hz) in zip(parts, FORMATS.values(), strict=True):
            client.configure(format=audio_format)
            client.append(encoded(part, audio_format, rate_hz))
        client.send("input_audio_buffer.commit")
        completed = client.next(f"{TRANSCRIPTION}.completed")
        assert english_word_error_rate([FOX], [completed["transcript"]]) <= 0.12
        assert completed["usage"]["seconds"] == pytest.approx(fox.size / 16_000, abs=0.01)
