"""Recorded speech for live transcriptions."""

import numpy as np
import pytest

from tests.support.speech import Sample, decode
from voice_stack.asr.engine.base import SAMPLE_RATE_HZ, AudioBlock


@pytest.fixture(scope="session")
def fox(samples: list[Sample]) -> AudioBlock:
    """Three seconds of English."""
    (path,) = [sample.path for sample in samples if sample.path.stem == "quick_brown_fox"]
    return decode(path.read_bytes())


def silence(seconds: float) -> AudioBlock:
    """Nothing to hear."""
    return np.zeros(round(seconds * SAMPLE_RATE_HZ), np.float32)


@pytest.fixture(scope="session")
def three_foxes(fox: AudioBlock) -> AudioBlock:
    """The same sentence three times, with pauses."""
    return np.concatenate([silence(0.5), fox, silence(1), fox, silence(1), fox, silence(1)])
