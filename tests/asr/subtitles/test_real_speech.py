"""Subtitles of real speech, by a real model."""

from pathlib import Path

import numpy as np
import pytest

from tests.support.speech import Sample, decode
from voice_stack.asr.engine.base import SAMPLE_RATE_HZ, Segment, TranscribeOptions
from voice_stack.asr.engine.fasterwhisper import FasterWhisperEngine
from voice_stack.asr.subtitles.layout import lay_out
from voice_stack.asr.subtitles.timing import spoken_words
from voice_stack.utils.glyphs import columns
from voice_stack.utils.models.store import ModelStore


@pytest.fixture(scope="module")
def engine(model_dir: Path) -> FasterWhisperEngine:
    engine = FasterWhisperEngine("base", ModelStore(model_dir, offline=True), device="cpu")
    engine.load()
    return engine


@pytest.mark.parametrize("language", ["en", "es", "zh"])
def test_real_speech_gets_cues_where_it_is_spoken(
    engine: FasterWhisperEngine, samples: list[Sample], language: str
) -> None:
    recordings = [decode(sample.path.read_bytes()) for sample in samples if sample.language == language]
    silence = np.zeros(2 * SAMPLE_RATE_HZ, np.float32)
    audio = np.concatenate([part for recording in recordings for part in (recording, silence)])
    steps = list(engine.transcribe([audio], TranscribeOptions(language=language, word_timestamps=True)))
    segments = [step for step in steps if isinstance(step, Segment)]
    cues = list(lay_out(spoken_words(segments), audio.size / SAMPLE_RATE_HZ))

    starts_s = np.cumsum([0, *(recording.size / SAMPLE_RATE_HZ + 2 for recording in recordings)])
    for start_s, recording in zip(starts_s[:-1], recordings, strict=True):
        end_s = start_s + recording.size / SAMPLE_RATE_HZ
        inside = [cue for cue in cues if start_s - 0.5 <= cue.start_s and cue.end_s <= end_s + 0.8]
        assert inside, f"no cue from {start_s} to {end_s} s in {cues}"
    for cue in cues:
        assert 0.8 <= cue.end_s - cue.start_s + 1e-6 <= 7.0 + 1e-5
        assert len(cue.lines) <= 2
        assert max(map(columns, cue.lines)) <= 42
