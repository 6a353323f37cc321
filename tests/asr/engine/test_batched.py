"""Windows decoded together: what comes of each, and what is tried again."""

import gc
import json
import shutil
import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.support.speech import Sample, decode
from tests.support.wer import character_error_rate, english_word_error_rate
from voice_stack.asr.engine import batched
from voice_stack.asr.engine.base import SAMPLE_RATE_HZ, AudioBlock, Segment, TranscribeOptions
from voice_stack.asr.engine.batched import BatchDecoder, fitted_s
from voice_stack.asr.engine.fasterwhisper import FasterWhisperEngine
from voice_stack.asr.engine.tasks import WindowResult, WindowTask
from voice_stack.core.errors import EngineError
from voice_stack.tts.engine import piper_voice
from voice_stack.tts.engine.base import SynthesisOptions
from voice_stack.tts.engine.piper import PiperEngine
from voice_stack.utils.audio.resample import Resampler
from voice_stack.utils.audio.vad import EVERYTHING
from voice_stack.utils.models.store import ModelStore

Recordings = dict[str, AudioBlock]
ENGLISH = TranscribeOptions(language="en")
LONG = "the quick brown fox and another " * 80


def loaded(model: str, model_dir: Path, **options: Any) -> FasterWhisperEngine:
    engine = FasterWhisperEngine(model, ModelStore(model_dir, offline=True), device="cpu", **options)
    engine.load()
    return engine


def decoder_of(engine: FasterWhisperEngine) -> BatchDecoder:
    assert engine._decoder is not None
    return engine._decoder


@pytest.fixture(scope="module")
def tiny(model_dir: Path) -> FasterWhisperEngine:
    return loaded("tiny.en", model_dir)


@pytest.fixture(scope="module")
def base(model_dir: Path) -> FasterWhisperEngine:
    return loaded("base", model_dir)


@pytest.fixture(scope="module")
def passage() -> str:
    return " ".join((ROOT / "tests/support/passage.txt").read_text(encoding="utf-8").split("\n\n")[:2])


@pytest.fixture(scope="module")
def spoken(passage: str, model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> AudioBlock:
    """The passage as a voice says it, each time the same: half a minute."""
    store, folder = ModelStore(model_dir, offline=True), tmp_path_factory.mktemp("voices")
    voice = next(iter(store.find_piper_voices(folder)))
    steady = json.loads(voice.config_path.read_text(encoding="utf-8"))
    steady["inference"]["noise_scale"] = 0
    shutil.copy(voice.model_path, folder / "steady.onnx")
    (folder / "steady.onnx.json").write_text(json.dumps(steady), encoding="utf-8")
    engine = PiperEngine(store, folder, device="cpu", default_voice="steady")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(piper_voice, "_NOISE_W", 0.0)
        chunks = list(engine.synthesize(passage, SynthesisOptions(engine.voices()[0])))
    resampler = Resampler(chunks[0].sample_rate_hz, SAMPLE_RATE_HZ)
    return np.concatenate([*(resampler.process(chunk.samples) for chunk in chunks), resampler.flush()])


def text_of(result: WindowResult) -> str:
    return "".join(segment.text for segment in result.segments or ())


def task(samples: AudioBlock, options: TranscribeOptions = ENGLISH, window_s: float = 8.0) -> WindowTask:
    return WindowTask(samples, options, window_s=window_s)


def segments_of(engine: FasterWhisperEngine, audio: AudioBlock, options: TranscribeOptions = ENGLISH) -> list[Segment]:
    return [step for step in engine.transcribe(iter([audio]), options) if isinstance(step, Segment)]


def heard(engine: FasterWhisperEngine, audio: AudioBlock, options: TranscribeOptions = ENGLISH) -> str:
    return "".join(segment.text for segment in segments_of(engine, audio, options))


def in_batches(decoder: BatchDecoder, tasks: Sequence[WindowTask]) -> dict[int, WindowResult]:
    """What comes of each, decoded with all that have its key."""
    keys = [decoder.key(task) for task in tasks]
    results: dict[int, WindowResult] = {}
    for key in dict.fromkeys(keys):
        rows = [row for row, other in enumerate(keys) if other == key]
        results.update(zip(rows, decoder.decode([tasks[row] for row in rows]), strict=True))
    return results


def test_each_row_of_a_batch_gives_what_it_gives_alone(base: FasterWhisperEngine, recordings: Recordings) -> None:
    tasks = [
        task(recordings["quick_brown_fox"]),
        task(recordings["bonjour_monde"], TranscribeOptions(task="translate", language="fr")),
        task(recordings["hola_mundo"], TranscribeOptions(language=None, word_timestamps=True)),
        task(recordings["nihao_shijie"], TranscribeOptions(language="zh")),
    ]
    decoder = decoder_of(base)
    assert len({decoder.key(one) for one in tasks}) == 1
    together = decoder.decode(tasks)
    for one, result in zip(tasks, together, strict=True):
        (alone,) = decoder.decode([one])
        assert text_of(result) == text_of(alone) != ""
        assert [segment.avg_logprob for segment in result.segments or ()] == pytest.approx(
            [segment.avg_logprob for segment in alone.segments or ()], abs=0.02
        )
    assert "fox" in text_of(together[0])
    assert "world" in text_of(together[1])
    assert "世界" in text_of(together[3])
    assert max(together[2].languages, key=together[2].languages.__getitem__) == "es"
    assert [segment.words != () for result in together for segment in result.segments or ()].count(True) == 1


def test_windows_that_fit_are_heard_as_well_as_whole_ones(base: FasterWhisperEngine, samples: list[Sample]) -> None:
    """In windows of 30 s 13 were good and 37.8 % of the characters wrong, for the digits in the place of words."""
    # Hindi is written in either of its scripts.
    samples = [sample for sample in samples if sample.language != "hi"]
    blocks = [decode(sample.path.read_bytes()) for sample in samples]
    tasks = [
        task(block, TranscribeOptions(language=sample.language, beam_size=1), fitted_s(block.size / SAMPLE_RATE_HZ))
        for block, sample in zip(blocks, samples, strict=True)
    ]
    results = in_batches(decoder_of(base), tasks)
    rates = [character_error_rate(sample.transcript, text_of(results[row])) for row, sample in enumerate(samples)]
    good = sum(rate < 0.3 for rate in rates)
    print(f"in windows that fit {np.mean(rates):.1%} of the characters were wrong, {good} of {len(rates)} were good")
    assert np.mean(rates) <= 0.45
    assert good >= 11


def test_what_is_said_twice_in_a_short_window_is_tried_again_in_a_whole_one(
    tiny: FasterWhisperEngine, fox: AudioBlock, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = replace(ENGLISH, prompt="Hello.")
    (result,) = decoder_of(tiny).decode([task(fox, options, 4.0)])
    assert text_of(result).count("fox") > 1
    monkeypatch.setattr(tiny, "_window_s", lambda _: 4.0)
    assert heard(tiny, fox, options).count("fox") == 1


@pytest.mark.parametrize("timestamps", [True, False])
def test_what_there_was_no_room_for_is_decoded_after_it_and_nothing_twice(
    tiny: FasterWhisperEngine, spoken: AudioBlock, monkeypatch: pytest.MonkeyPatch, *, timestamps: bool
) -> None:
    audio = spoken[: 12 * SAMPLE_RATE_HZ]
    monkeypatch.setattr(decoder_of(tiny), "_timestamps", timestamps)
    whole = heard(tiny, audio)
    monkeypatch.setattr(batched, "_MOST_NEW", 22)
    (first,) = decoder_of(tiny).decode([task(audio, window_s=20.0)])
    assert first.rest_s is not None
    assert 2 < first.rest_s < 9
    assert max(segment.end_s for segment in first.segments or ()) <= first.rest_s + 0.1
    assert english_word_error_rate([whole], [heard(tiny, audio)]) <= 0.1


def test_a_text_has_the_room_that_whisper_gives_it(tiny: FasterWhisperEngine, fox: AudioBlock) -> None:
    asked: list[int] = []
    real = tiny._model.model

    class Watched:
        def __getattr__(self, name: str) -> object:
            return getattr(real, name)

        def generate(self, features: object, prompts: list[list[int]], *, max_length: int, **_: object) -> None:
            # CTranslate2 takes half of the length, or what is left of it where that is less.
            asked.append(min(max_length // 2, max_length - len(prompts[0])))
            raise RuntimeError

    tiny._model.model = Watched()
    try:
        for options, window_s in ((ENGLISH, 30.0), (replace(ENGLISH, prompt=LONG), 30.0), (ENGLISH, 8.0)):
            with pytest.raises(RuntimeError):
                decoder_of(tiny).decode([task(fox, options, window_s)])
    finally:
        tiny._model.model = real
    assert asked == [220, 220, 128]


def test_both_ways_to_decode_agree_and_sentences_have_times_without_timestamps(
    tiny: FasterWhisperEngine,
    spoken: AudioBlock,
    passage: str,
    model_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of 106 seconds 1.3 % of the words differed, and 0.5 % without timestamps (base: 0.5 % and 0.3 %)."""
    text = heard(tiny, spoken)
    accurate = heard(loaded("tiny.en", model_dir, decode="accurate"), spoken)
    monkeypatch.setattr(decoder_of(tiny), "_timestamps", False)
    segments = segments_of(tiny, spoken)
    by_words = "".join(segment.text for segment in segments)
    assert english_word_error_rate([accurate], [text]) <= 0.04
    assert english_word_error_rate([text], [by_words]) <= 0.04
    assert max(english_word_error_rate([passage], [one]) for one in (text, by_words)) <= 0.1
    times = [time for segment in segments for time in (segment.start_s, segment.end_s)]
    assert times == sorted(times)
    assert 0 <= times[0] <= times[-1] <= spoken.size / SAMPLE_RATE_HZ
    assert len(segments) >= 6
    assert sum(segment.text.endswith((".", "!", "?")) for segment in segments) >= len(segments) - 2


def test_a_batch_too_large_for_the_memory_is_halved(tiny: FasterWhisperEngine, recordings: Recordings) -> None:
    tasks = [task(recordings[name]) for name in ("quick_brown_fox", "counting", "hello_world") * 2][:5]
    tasks = [replace(one, options=replace(ENGLISH, beam_size=1)) for one in tasks]
    expected = [text_of(result) for result in tiny._decode(tasks)]
    real = tiny._model.model

    class Small:
        def __init__(self, most: int) -> None:
            self.most = most
            self.sizes: list[int] = []

        def __getattr__(self, name: str) -> object:
            return getattr(real, name)

        def generate(self, features: object, prompts: list[list[int]], **how: object) -> object:
            self.sizes.append(len(prompts))
            if len(prompts) > self.most:
                raise RuntimeError("CUDA failed with error out of memory")
            return real.generate(features, prompts, **how)

    tiny._model.model = small = Small(2)
    try:
        assert [text_of(result) for result in tiny._decode(tasks)] == expected
        assert small.sizes == [5, 2, 3, 1, 2]
        tiny._model.model = Small(0)
        with pytest.raises(EngineError, match="out of memory"):
            tiny._decode(tasks[:2])
    finally:
        tiny._model.model = real


def test_a_prompt_that_spells_a_special_token_harms_no_other_row(
    tiny: FasterWhisperEngine, fox: AudioBlock, recordings: Recordings
) -> None:
    decoder = decoder_of(tiny)
    strange = replace(ENGLISH, prompt="<|startoftranscript|> hello <|0.00|>", hotwords="<|endoftext|>", beam_size=1)
    tokens = decoder.before(strange)
    plain = replace(strange, prompt="hello " * (len(tokens) - 1), hotwords=None)
    assert len(decoder.before(plain)) == len(tokens)
    tasks = [task(fox, strange), task(recordings["hello_world"], plain)]
    assert decoder.key(tasks[0]) == decoder.key(tasks[1])
    first, second = decoder.decode(tasks)
    assert "fox" in text_of(first)
    assert "world" in text_of(second).lower()


def test_of_a_long_prompt_the_end_is_taken_beside_the_words_to_expect(tiny: FasterWhisperEngine) -> None:
    decoder = decoder_of(tiny)
    expected, said = decoder.tokens_before(TranscribeOptions(prompt=LONG + "the end", hotwords="Phox"))
    tokenizer = decoder.tokenizer("en", "transcribe")
    assert tokenizer.decode(expected) == " Phox"
    assert tokenizer.decode(said).endswith(" the end")
    assert len(expected) + len(said) == 223
    expected, said = decoder.tokens_before(TranscribeOptions(prompt="the end", hotwords=LONG))
    assert (len(expected), said) == (223, [])
    assert decoder.before(TranscribeOptions(prompt=" ", hotwords="")) == decoder.before(TranscribeOptions()) == []


def test_the_accurate_way_takes_long_prompts_with_words_to_expect(model_dir: Path, fox: AudioBlock) -> None:
    engine = loaded("tiny.en", model_dir, decode="accurate")
    options = TranscribeOptions(language="en", prompt=LONG, hotwords=LONG + "<|startoftranscript|>", beam_size=1)
    (result,) = engine._decode([task(fox, options, 30.0)])
    assert "fox" in text_of(result)


def test_a_language_that_the_model_has_no_token_for_is_not_offered(base: FasterWhisperEngine) -> None:
    assert "yue" not in base.capabilities.languages
    assert len(base.capabilities.languages) == 99


@pytest.mark.parametrize("seconds", [0.0001, 0.004, 0.1])
def test_a_moment_of_audio_with_words_is_no_error(tiny: FasterWhisperEngine, fox: AudioBlock, seconds: float) -> None:
    audio = fox[8000 : 8000 + max(1, round(seconds * SAMPLE_RATE_HZ))]
    options = TranscribeOptions(language="en", word_timestamps=True, vad=EVERYTHING, beam_size=1)
    for segment in segments_of(tiny, audio, options):
        assert 0 <= segment.start_s <= segment.end_s <= seconds


def test_two_lanes_decode_with_one_decoder(tiny: FasterWhisperEngine, recordings: Recordings) -> None:
    options = TranscribeOptions(language="en", word_timestamps=True, beam_size=1)
    tasks = [task(recordings[name], options) for name in ("quick_brown_fox", "counting")] * 2
    alone = [decoder_of(tiny).decode([one]) for one in tasks[:2]] * 2
    fresh = BatchDecoder(tiny._model, on_gpu=False)
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda one: fresh.decode([one]), tasks)) == alone


def test_an_unloaded_model_is_gone_at_once(model_dir: Path, fox: AudioBlock) -> None:
    engine = loaded("tiny.en", model_dir)
    decoder_of(engine).decode([task(fox, replace(ENGLISH, beam_size=1))])
    model = weakref.ref(engine._model)
    gc.disable()
    try:
        engine.unload()
        assert model() is None
    finally:
        gc.enable()
    with pytest.raises(EngineError, match="not loaded"):
        engine._key(task(fox))
