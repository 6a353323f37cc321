"""The faster-whisper engine with the packaged models."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.support.serving import wait_until
from tests.support.speech import Sample, decode
from voice_stack.asr.engine.base import AudioBlock, Language, Position, Segment, TranscribeOptions
from voice_stack.asr.engine.fasterwhisper import FasterWhisperEngine
from voice_stack.core.errors import ModelLoadError, ModelNotFoundError
from voice_stack.utils.audio.vad import EVERYTHING
from voice_stack.utils.models.store import ModelStore
from voice_stack.utils.queue_manager import StepQueue


@pytest.fixture(scope="module")
def engine(model_dir: Path) -> FasterWhisperEngine:
    made = FasterWhisperEngine("tiny.en", ModelStore(model_dir, offline=True), device="cpu")
    made.load()
    return made


@pytest.fixture(scope="module")
def fox(samples: list[Sample]) -> AudioBlock:
    (sample,) = (sample for sample in samples if sample.path.stem == "quick_brown_fox")
    return decode(sample.path.read_bytes())


def test_it_says_what_it_can_do(engine: FasterWhisperEngine) -> None:
    assert (engine.model, engine.device) == ("tiny.en", "cpu")
    assert engine.capabilities.languages == ("en",)
    assert not engine.capabilities.translate
    assert engine.capabilities.word_timestamps


def test_the_language_comes_first_and_segments_at_the_time_of_the_speech(
    engine: FasterWhisperEngine, fox: AudioBlock
) -> None:
    silence = np.zeros(16_000 * 5, np.float32)
    blocks = iter([silence, fox, silence])
    language, *steps = [step for step in engine.transcribe(blocks, TranscribeOptions(word_timestamps=True)) if step]
    assert language == Language("en", 1.0)
    assert steps[-1] == Position(10 + fox.size / 16_000)
    words = [word for segment in steps if isinstance(segment, Segment) for word in segment.words]
    assert "fox" in "".join(word.text for word in words)
    assert 4.6 < words[0].start_s < words[-1].end_s < 5.3 + fox.size / 16_000


def test_silence_and_nothing_at_all_have_no_segments_and_no_language(engine: FasterWhisperEngine) -> None:
    for blocks in ([np.zeros(16_000 * 3, np.float32)], [np.zeros(10, np.float32)], []):
        steps = [step for step in engine.transcribe(blocks, TranscribeOptions()) if step]
        assert steps == [Position(sum(block.size for block in blocks) / 16_000)]


def test_audio_shorter_than_a_window_is_transcribed_without_vad(engine: FasterWhisperEngine, fox: AudioBlock) -> None:
    steps = list(engine.transcribe([fox], TranscribeOptions(vad=EVERYTHING)))
    assert "fox" in "".join(step.text for step in steps if isinstance(step, Segment))


@pytest.mark.anyio
async def test_an_abandoned_request_makes_no_further_call_of_the_model(
    engine: FasterWhisperEngine, fox: AudioBlock
) -> None:
    calls: list[str] = []
    called = threading.Event()
    real = engine._model.model

    class Counting:
        def __getattr__(self, name: str) -> object:
            value: object = getattr(real, name)
            if name in {"encode", "generate"}:
                calls.append(name)
                called.set()
            return value

    engine._model.model = Counting()
    queue = StepQueue("abandoned", max_active=1, max_waiting=1)
    try:
        with queue.job(lambda: engine.transcribe(iter([np.tile(fox, 40)]), TranscribeOptions())):
            await asyncio.to_thread(called.wait, 60)
        at_the_end = len(calls)
        wait_until(lambda: queue.active == 0, 60)
    finally:
        engine._model.model = real
        queue.close()
    # The call in progress cannot be stopped; the next one is not made.
    assert len(calls) <= at_the_end + 1


def test_a_model_that_is_not_there_and_a_device_that_cannot_be_are_told(model_dir: Path, tmp_path: Path) -> None:
    store = ModelStore(model_dir, offline=True)
    with pytest.raises(ModelNotFoundError, match=r"large-v3.*base"):
        FasterWhisperEngine("large-v3", store).load()
    with pytest.raises(ModelLoadError, match="mps"):
        FasterWhisperEngine("tiny.en", store, device="mps").load()
    (tmp_path / "model.bin").write_bytes(b"no weights")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelLoadError, match="cannot load"):
        FasterWhisperEngine(str(tmp_path), store, device="cpu").load()


def test_an_abandoned_iterator_lets_go_of_its_audio(engine: FasterWhisperEngine, fox: AudioBlock) -> None:
    closed = threading.Event()

    def blocks() -> Iterator[AudioBlock]:
        try:
            while True:
                yield fox
        finally:
            closed.set()

    steps = engine.transcribe(blocks(), TranscribeOptions())
    next(steps)
    assert hasattr(steps, "close")
    steps.close()
    del steps
    assert closed.is_set()
