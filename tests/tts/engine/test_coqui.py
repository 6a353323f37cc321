"""The XTTS engine on the real coqui-tts code, with random weights: what it says is noise, its form is exact."""

# ruff: noqa: RUF001 - other scripts

import asyncio
import gc
import os
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.speech import Sample, decode
from tests.tts.engine.conftest import HAS_COQUI, NO_COQUI, cloned
from voice_stack.core.errors import (
    DeviceLostError,
    EngineError,
    InvalidRequestError,
    ModelLoadError,
    ModelNotFoundError,
    VoiceNotFoundError,
    VoiceStackError,
)
from voice_stack.tts.engine.base import AudioChunk, SynthesisOptions, Voice
from voice_stack.utils.audio.encode import AudioEncoder
from voice_stack.utils.models.coqui import XTTS_V2
from voice_stack.utils.models.store import ModelStore
from voice_stack.utils.queue_manager import StepQueue
from voice_stack.utils.scheduling import Kind

if not HAS_COQUI:
    pytest.skip(NO_COQUI, allow_module_level=True)

import torch

from tests.support.xtts_checkpoint import make_xtts_checkpoint
from voice_stack.tts.engine.coqui import FIRST_LATENTS, LANGUAGES, CoquiEngine, _translated
from voice_stack.tts.engine.xtts_gpt import Sampling, stream_latents
from voice_stack.tts.engine.xtts_vocoder import StreamingVocoder

HELLO = {
    "en": "Hello, Dr. Smith.", "es": "Hola a los 12.", "fr": "Bonjour à tous.", "de": "Guten Tag.", "it": "Buongiorno.",
    "pt": "Olá, tudo bem?", "pl": "Dzień dobry.", "tr": "Merhaba.", "ru": "Привет, мир.", "nl": "Goedendag.",
    "cs": "Dobrý den.", "ar": "مرحبا بالعالم", "zh": "你好，世界。", "ja": "こんにちは、世界。", "hu": "Jó napot.",
    "ko": "안녕하세요.", "hi": "नमस्ते दुनिया",
}  # fmt: skip
LONG_SEED = 1
"""With it the random weights go on for some seconds."""


@pytest.fixture(scope="module")
def engine(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> CoquiEngine:
    return loaded(checkpoint, tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def voice(samples: list[Sample]) -> Voice:
    return cloned(samples[0].path)


def loaded(checkpoint: Path, model_dir: Path) -> CoquiEngine:
    engine = CoquiEngine(str(checkpoint), ModelStore(model_dir, offline=True), device="cpu")
    engine.load()
    return engine


def spoken(chunks: Iterator[AudioChunk]) -> NDArray[np.float32]:
    return np.concatenate([chunk.samples for chunk in chunks])


def error_db(made: NDArray[np.float32], right: NDArray[np.float32]) -> float:
    return float(20 * np.log10(np.linalg.norm(made - right) / np.linalg.norm(right)))


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_of_the_17_languages_is_spoken_by_a_cloned_voice(engine: CoquiEngine, voice: Voice, language: str) -> None:
    audio = spoken(engine.synthesize(HELLO[language], SynthesisOptions(voice, language, seed=4)))
    assert audio.size > 2_400
    assert np.isfinite(audio).all()


def test_a_region_belongs_to_its_language_and_others_are_refused(engine: CoquiEngine, voice: Voice) -> None:
    assert spoken(engine.synthesize("Hello.", SynthesisOptions(voice, "en-GB", seed=4))).size
    with pytest.raises(InvalidRequestError, match="does not speak 'sv'"):
        next(engine.synthesize("Hej.", SynthesisOptions(voice, "sv")))


def test_built_in_speakers_are_voices(engine: CoquiEngine) -> None:
    assert [voice.id for voice in engine.voices()] == ["Ana Noise", "Ben Noise"]
    ana, ben = (spoken(engine.synthesize("Hello.", SynthesisOptions(voice, "en", seed=4))) for voice in engine.voices())
    assert ana.size != ben.size or not np.allclose(ana, ben)


@pytest.mark.parametrize("seed", [0, LONG_SEED, 2])
def test_the_latents_are_those_of_upstream_for_the_same_seed(engine: CoquiEngine, seed: int) -> None:
    model = engine._model
    conditioning = model.speaker_manager.speakers["Ana Noise"]["gpt_cond_latent"]
    tokens = torch.tensor([model.tokenizer.encode("hello there", lang="en")], dtype=torch.int32)
    ours = list(stream_latents(model.gpt, conditioning, tokens, Sampling(0.75, 5.0, 50, 0.85), seed))
    torch.manual_seed(seed)
    with torch.inference_mode():
        stream = model.gpt.get_generator(
            fake_inputs=model.gpt.compute_embeddings(conditioning, tokens), do_sample=True, num_beams=1,
            num_return_sequences=1, length_penalty=1.0, temperature=0.75, repetition_penalty=5.0, top_k=50, top_p=0.85,
            output_attentions=False, output_hidden_states=True, return_dict_in_generate=True,
        )  # fmt: skip
        upstream = [latent for _, latent in stream]
    assert len(ours) == len(upstream)
    assert all(torch.allclose(one, other, atol=1e-6) for one, other in zip(ours, upstream, strict=True))


@pytest.mark.parametrize(
    "sizes", [[1] * 30, [8, 16, 6], [30], [29, 1], [2, 3, 5, 7, 11, 2]], ids=lambda sizes: "-".join(map(str, sizes))
)
def test_the_streamed_waveform_is_that_of_decoding_at_once(engine: CoquiEngine, sizes: list[int]) -> None:
    decoder = engine._model.hifigan_decoder
    embedding = engine._model.speaker_manager.speakers["Ana Noise"]["speaker_embedding"]
    latents = torch.randn(30, 64, generator=torch.Generator().manual_seed(5))
    with torch.inference_mode():
        at_once = decoder(latents[None], g=embedding)[0, 0].numpy()
    vocoder = StreamingVocoder(decoder, embedding)
    pieces, start = [], 0
    for size in sizes:
        part = [latent[None] for latent in latents[start : start + size]]
        start += size
        pieces.append(vocoder.process(part, last=start == 30))
    streamed = np.concatenate(pieces)
    assert streamed.shape == at_once.shape
    assert error_db(streamed, at_once) < -100


def test_an_end_without_new_latents_gives_the_rest(engine: CoquiEngine) -> None:
    decoder = engine._model.hifigan_decoder
    embedding = engine._model.speaker_manager.speakers["Ana Noise"]["speaker_embedding"]
    latents = torch.randn(12, 64, generator=torch.Generator().manual_seed(6))
    with torch.inference_mode():
        at_once = decoder(latents[None], g=embedding)[0, 0].numpy()
    vocoder = StreamingVocoder(decoder, embedding)
    first = vocoder.process([latent[None] for latent in latents])
    streamed = np.concatenate([first, vocoder.process([], last=True)])
    assert 0 < first.size < at_once.size
    assert error_db(streamed, at_once) < -100


def test_the_first_piece_comes_long_before_the_utterance_has_ended(engine: CoquiEngine) -> None:
    options = SynthesisOptions(engine.voices()[0], "en", seed=LONG_SEED)
    pieces = [chunk.samples.size for chunk in engine.synthesize("hello there my friend", options)]
    sounding = [size for size in pieces if size]
    assert sum(sounding) > 2 * 24_000
    assert 0 < sounding[0] <= FIRST_LATENTS * 0.0465 * 24_000
    # In between, the stream can be abandoned.
    assert pieces.count(0) >= 2


def test_a_text_with_more_tokens_than_the_model_takes_is_said_in_parts(engine: CoquiEngine, voice: Voice) -> None:
    text = "word " * 200
    parts = list(engine._parts(text, "en"))
    assert len(parts) > 1
    assert all(len(part) < engine._model.args.gpt_max_text_tokens for part in parts)
    words = sum(engine._model.tokenizer.decode(list(part)).count("word") for part in parts)
    assert words == 200


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def stereo_wav(samples: NDArray[np.float32], path: Path) -> Path:
    pcm = (np.repeat(samples[:, None], 2, axis=1) * 32767).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(pcm.tobytes())
    return path


def encoded(samples: NDArray[np.float32], audio_format: str, path: Path) -> Path:
    encoder = AudioEncoder(audio_format, 16_000)
    path.write_bytes(encoder.encode(samples) + encoder.flush())
    return path


def test_voices_are_cloned_from_stereo_wav_mp3_and_flac(
    engine: CoquiEngine, samples: list[Sample], tmp_path: Path
) -> None:
    audio = decode(samples[0].path.read_bytes())
    files = [stereo_wav(audio, tmp_path / "a_en.wav")]
    files += [encoded(audio, audio_format, tmp_path / f"a_en.{audio_format}") for audio_format in ("mp3", "flac")]
    speakers = [engine._speaker(cloned(path)) for path in files]
    reference = speakers[0].embedding.flatten()
    for path, speaker in zip(files, speakers, strict=True):
        assert float(torch.nn.functional.cosine_similarity(reference, speaker.embedding.flatten(), dim=0)) > 0.98
        options = SynthesisOptions(cloned(path), "de", seed=4)
        assert spoken(engine.synthesize("Guten Tag.", options)).size > 2_400


def test_several_samples_make_one_speaker_whatever_their_order(engine: CoquiEngine, samples: list[Sample]) -> None:
    first, second = samples[0].path, samples[1].path
    both, turned, alone = (engine._speaker(cloned(*paths)) for paths in ((first, second), (second, first), (first,)))
    assert torch.equal(both.conditioning, turned.conditioning)
    assert torch.equal(both.embedding, turned.embedding)
    other = engine._speaker(cloned(second))
    assert torch.allclose(both.embedding, (alone.embedding + other.embedding) / 2)
    assert not torch.allclose(both.conditioning, alone.conditioning)


def test_a_speaker_is_computed_once_and_found_on_disk_later(
    checkpoint: Path, samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    voice = cloned(samples[0].path)
    first = loaded(checkpoint, tmp_path)._speaker(voice)
    again = loaded(checkpoint, tmp_path)
    monkeypatch.setattr(type(again._model), "get_speaker_embedding", None)
    assert torch.equal(again._speaker(voice).embedding, first.embedding)
    assert torch.equal(again._speaker(voice).conditioning, first.conditioning)


def test_a_damaged_file_of_a_speaker_is_computed_again(checkpoint: Path, samples: list[Sample], tmp_path: Path) -> None:
    voice = cloned(samples[0].path)
    first = loaded(checkpoint, tmp_path)._speaker(voice)
    (kept,) = tmp_path.rglob("*.npz")
    whole = kept.read_bytes()
    kept.write_bytes(whole[: len(whole) // 2])
    assert torch.equal(loaded(checkpoint, tmp_path)._speaker(voice).embedding, first.embedding)
    assert len(kept.read_bytes()) == len(whole)


def test_a_voice_whose_file_went_meanwhile_is_not_found(
    engine: CoquiEngine, samples: list[Sample], tmp_path: Path
) -> None:
    path = tmp_path / "gone_en.wav"
    path.write_bytes(samples[2].path.read_bytes())
    voice = cloned(path)
    path.unlink()
    with pytest.raises(VoiceNotFoundError, match="not here any more"):
        next(engine.synthesize("Hello.", SynthesisOptions(voice)))


async def streamed(queue: StepQueue, engine: CoquiEngine, options: SynthesisOptions, most: int | None = None) -> bytes:
    def steps() -> Iterator[AudioChunk | None]:
        for chunk in engine.synthesize("hello there my friend", options):
            yield chunk if chunk.samples.size else None

    audio = b""
    with queue.job(steps) as job:
        async for chunk in job:
            audio += chunk.samples.tobytes()
            if most is not None and len(audio) >= most:
                break
    return audio


@pytest.mark.anyio
async def test_of_8_streams_one_killed_in_the_middle_leaves_the_others_bit_identical(
    engine: CoquiEngine, voice: Voice
) -> None:
    queue = StepQueue("test", max_active={Kind.LONG: 8}, max_waiting=8)
    try:
        speakers = [voice, *engine.voices()]
        wanted = [SynthesisOptions(speakers[seed % 3], "en", seed=seed) for seed in range(1, 9)]
        alone = [await streamed(queue, engine, options) for options in wanted]
        killed = next(number for number, audio in enumerate(alone) if len(audio) > 4 * 24_000)
        together = await asyncio.gather(
            *(streamed(queue, engine, options, 1 if n == killed else None) for n, options in enumerate(wanted))
        )
        assert len(together[killed]) < len(alone[killed])
        assert [n for n in range(8) if together[n] != alone[n]] == [killed]
    finally:
        queue.close()


def test_memory_stays_flat_over_500_requests_with_50_voices(samples: list[Sample], tmp_path: Path) -> None:
    # It says as little as can be: the memory is not in the words.
    engine = loaded(make_xtts_checkpoint(tmp_path / "checkpoint", stop_bias=50.0), tmp_path / "models")
    audio = decode(samples[0].path.read_bytes())
    voices = [
        cloned(encoded(audio[: 48_000 + 160 * number], "wav", tmp_path / f"v{number}_en.wav"), voice_id=f"v{number}_en")
        for number in range(50)
    ]
    memory = []
    for number in range(500):
        options = SynthesisOptions(voices[number % 50], "en", seed=4)
        assert spoken(engine.synthesize("hi", options)).size
        if number % 50 == 49:
            gc.collect()
            memory.append(resident_mb())
    # The allocator settles in the first rounds.
    assert max(memory[5:]) - memory[0] < 30, memory
    assert memory[-1] - memory[5] < 10, memory


def test_the_licence_must_be_accepted_for_the_model_by_name(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TTS_HOME", str(tmp_path / "home"))
    store = ModelStore(tmp_path / "models", offline=True)
    with pytest.raises(ModelLoadError, match="COQUI_TOS_AGREED=1"):
        CoquiEngine(XTTS_V2, store).load()
    with pytest.raises(ModelNotFoundError, match="HF_HUB_OFFLINE"):
        CoquiEngine(XTTS_V2, store, licence_accepted=True).load()

    place = tmp_path / "home" / "tts" / XTTS_V2.replace("/", "--")
    place.parent.mkdir(parents=True)
    place.symlink_to(checkpoint)
    with pytest.raises(ModelLoadError, match="COQUI_TOS_AGREED=1"):
        CoquiEngine(XTTS_V2, store).load()
    engine = CoquiEngine(XTTS_V2, store, licence_accepted=True)
    engine.load()
    assert engine.model == XTTS_V2
    assert engine.voices()


def test_a_licence_accepted_in_coquis_own_way_counts(checkpoint: Path, tmp_path: Path) -> None:
    place = tmp_path / XTTS_V2.replace("/", "--")
    place.mkdir()
    for file in checkpoint.iterdir():
        (place / file.name).symlink_to(file)
    (place / "tos_agreed.txt").touch()
    engine = CoquiEngine(XTTS_V2, ModelStore(tmp_path, offline=True))
    engine.load()
    assert engine.voices()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tts_models/en/ljspeech/tacotron2", "is no XTTS-v2"),
        ("no/such/folder", "there is no such folder"),
        ("", "lacks config.json, model.pth, vocab.json"),
    ],
)
def test_a_model_that_is_none_is_refused(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(ModelNotFoundError, match=message):
        CoquiEngine(name or str(tmp_path), ModelStore(tmp_path, offline=True)).load()


def test_a_damaged_checkpoint_is_refused_with_the_reason(checkpoint: Path, tmp_path: Path) -> None:
    for file in checkpoint.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes()[: 2**20])
    with pytest.raises(ModelLoadError, match="cannot load"):
        CoquiEngine(str(tmp_path), ModelStore(tmp_path, offline=True)).load()


def test_without_a_gpu_cuda_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ModelLoadError, match="no CUDA device"):
        CoquiEngine(str(checkpoint), ModelStore(tmp_path, offline=True), device="cuda").load()


@pytest.mark.parametrize(
    ("make_error", "expected"),
    [
        (lambda: torch.AcceleratorError("CUDA error: device-side assert triggered"), DeviceLostError),
        (lambda: RuntimeError("CUDA error: an illegal memory access was encountered"), DeviceLostError),
        (lambda: RuntimeError("CUBLAS_STATUS_EXECUTION_FAILED when calling cublasSgemm"), DeviceLostError),
        (lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), EngineError),
        (lambda: RuntimeError("The size of tensor a must match"), EngineError),
        (lambda: InvalidRequestError("no"), InvalidRequestError),
    ],
)
def test_a_gpu_that_is_lost_is_told_from_one_failed_text(
    make_error: Callable[[], Exception], expected: type[VoiceStackError]
) -> None:
    with pytest.raises(VoiceStackError) as caught, _translated():
        raise make_error()
    assert type(caught.value) is expected
