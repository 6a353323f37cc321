"""The openai-whisper engine: which files, devices and downloads it takes, and what it leaves on the model."""

import asyncio
import hashlib
import json
import pickle
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.asr.engine.conftest import HAS_WHISPER, NO_WHISPER
from tests.conftest import SettingsFactory
from tests.support.serving import client_of, wait_until
from tests.support.speech import Sample
from voice_stack.asr.app import create_app
from voice_stack.asr.engine.base import AudioBlock, TranscribeOptions
from voice_stack.asr.engine.whisper import WhisperEngine
from voice_stack.core.errors import ModelLoadError, ModelNotFoundError
from voice_stack.utils.models.openai_whisper import find_checkpoint
from voice_stack.utils.models.store import ModelStore
from voice_stack.utils.queue_manager import StepQueue
from voice_stack.utils.scheduling import Kind

if not HAS_WHISPER:
    pytest.skip(NO_WHISPER, allow_module_level=True)

TURBO = {
    "n_mels": 128,
    "n_audio_ctx": 1500,
    "n_audio_state": 80,
    "n_audio_head": 20,
    "n_audio_layer": 5,
    "n_vocab": 51866,
    "n_text_ctx": 448,
    "n_text_state": 80,
    "n_text_head": 20,
    "n_text_layer": 4,
}
"""Turbo's vocabulary, heads and shallow decoder, but narrow: it says nothing, and takes 10 MB."""


@pytest.fixture(scope="module")
def turbo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of turbo's make, with random weights."""
    import torch
    from whisper.model import ModelDimensions, Whisper

    torch.manual_seed(0)
    shapes = Whisper(ModelDimensions(**TURBO)).state_dict()
    state = {name: torch.randn(value.shape, dtype=torch.float16) / 50 for name, value in shapes.items()}
    path = tmp_path_factory.mktemp("turbo") / "large-v3-turbo.pt"
    torch.save({"dims": TURBO, "model_state_dict": state}, path)
    return path


def loaded(name: str, store: ModelStore) -> WhisperEngine:
    engine = WhisperEngine(name, store, device="cpu")
    engine.load()
    return engine


def offline(folder: Path) -> ModelStore:
    return ModelStore(folder, offline=True)


def online(folder: Path) -> ModelStore:
    return ModelStore(folder, offline=False)


def test_turbo_knows_cantonese_and_cannot_translate(turbo: Path) -> None:
    engine = loaded("turbo", offline(turbo.parent))
    assert "yue" in engine.capabilities.languages
    assert not engine.capabilities.translate
    probabilities = engine._languages(np.zeros(16_000, np.float32))
    assert set(probabilities) == set(engine.capabilities.languages)
    assert sum(probabilities.values()) == pytest.approx(1, abs=1e-3)


def test_the_languages_are_those_of_the_model(checkpoint_dir: Path) -> None:
    engine = loaded("base", offline(checkpoint_dir))
    assert set(engine._languages(np.zeros(16_000, np.float32))) == set(engine.capabilities.languages)


def test_a_path_is_loaded_and_words_are_timed_by_the_heads_made_for_it(checkpoint_dir: Path, model_dir: Path) -> None:
    engine = loaded(str(checkpoint_dir / "tiny.en.pt"), offline(Path("/nowhere")))
    config = json.loads((offline(model_dir).find_whisper("tiny.en") / "config.json").read_text(encoding="utf-8"))
    assert engine._model.alignment_heads.indices().T.tolist() == config["alignment_heads"]


def test_a_model_of_another_make_may_have_the_name_of_a_known_one(turbo: Path, tmp_path: Path) -> None:
    (tmp_path / "base.pt").write_bytes(turbo.read_bytes())
    assert "yue" in loaded("base", offline(tmp_path)).capabilities.languages


class Malicious:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[Path]]:
        return Path.touch, (self.path,)


def test_a_file_that_is_no_checkpoint_is_told_and_its_code_is_not_run(turbo: Path, tmp_path: Path) -> None:
    import torch

    whole = turbo.read_bytes()
    mark, path = tmp_path / "mark", tmp_path / "model.pt"
    contents: dict[str, bytes | object] = {
        "nothing": b"",
        "garbage": b"\x00 no weights \xff" * 100,
        "a web page": b"<!doctype html><title>Not found</title>",
        "half of one": whole[: len(whole) // 2],
        "no weights": {"dims": TURBO, "model_state_dict": {}},
        "no dimensions": {"model_state_dict": {}},
        "odd dimensions": {"dims": {"n_mels": "many"}, "model_state_dict": {}},
        "a list": [1, 2, 3],
        "code": Malicious(mark),
        "code without torch's envelope": pickle.dumps(Malicious(mark)),
    }
    for content in contents.values():
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            torch.save(content, path)
        with pytest.raises(ModelLoadError, match=r"cannot load .*model\.pt on cpu: \S"):
            loaded(str(path), offline(tmp_path))
    assert not mark.exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("/no/such/model.pt", "does not exist"),
        ("relative.pt", "does not exist"),
        ("~nobody-of-this-name/x.pt", "cannot be a path"),
        ("a\0b.pt", "does not exist"),
        ("/" + "x" * 5000, "cannot be a path"),
        ("..", "no model name"),
        ("a/../../b", "no model name"),
        ("large-v2", "large-v2.pt.*has: base, tiny.en.*HF_HUB_OFFLINE"),
        ("distil-large-v3", "has: base, tiny.en.*can be downloaded: tiny.en"),
        ("Systran/faster-whisper-base", "own format only"),
    ],
)
def test_a_model_that_is_not_there_is_told(checkpoint_dir: Path, name: str, words: str) -> None:
    with pytest.raises(ModelNotFoundError, match=words):
        find_checkpoint(name, offline(checkpoint_dir))


def test_a_folder_is_not_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="is a folder"):
        find_checkpoint(str(tmp_path), offline(tmp_path))


@pytest.mark.parametrize(
    ("device", "compute_type", "words"),
    [
        ("cuda:99", "auto", "no cuda:99"),
        ("cpu", "float16", "float16 on cpu"),
        ("cpu", "int8", "int8 on cpu"),
    ],
)
def test_what_the_machine_or_the_library_cannot_do_is_told(
    checkpoint_dir: Path, device: str, compute_type: str, words: str
) -> None:
    with pytest.raises(ModelLoadError, match=words):
        WhisperEngine("tiny.en", offline(checkpoint_dir), device=device, compute_type=compute_type).load()


def test_a_device_that_this_machine_lacks_is_told_and_auto_does_not_choose_it(checkpoint_dir: Path) -> None:
    import torch

    engine = WhisperEngine("tiny.en", offline(checkpoint_dir))
    engine.load()
    assert engine.device == ("cuda:0" if torch.cuda.is_available() else "cpu")
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    for device in (name for name, is_there in there.items() if not is_there):
        with pytest.raises(ModelLoadError, match=f"{device}.*ASR_DEVICE"):
            WhisperEngine("tiny.en", offline(checkpoint_dir), device=device).load()


@contextmanager
def published(folder: Path, monkeypatch: pytest.MonkeyPatch, path: Path, name: str) -> Iterator[list[str]]:
    """Let openai-whisper download ``name`` from a server on this machine; gives the paths that are asked for."""
    import whisper

    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            super().do_GET()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name in the base class)
            """Nothing on stderr."""

    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    served = folder / checksum / path.name
    served.parent.mkdir(parents=True)
    served.write_bytes(path.read_bytes())
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/{checksum}/{path.name}"
        monkeypatch.setitem(whisper._MODELS, name, url)
        try:
            yield asked
        finally:
            server.shutdown()
            thread.join()


def test_a_model_is_downloaded_once_into_model_dir(
    turbo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = online(tmp_path / "models")
    with published(tmp_path / "www", monkeypatch, turbo, "turbo") as asked, ThreadPoolExecutor(2) as pool:
        found = list(pool.map(partial(find_checkpoint, store=store), ["turbo", "turbo"]))
    assert found == [store.model_dir / "large-v3-turbo.pt"] * 2
    assert found[0].read_bytes() == turbo.read_bytes()
    assert len(asked) == 1
    assert "yue" in loaded("turbo", offline(store.model_dir)).capabilities.languages


def test_a_download_that_arrives_damaged_or_fails_leaves_no_model_behind(
    turbo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = online(tmp_path / "models")
    with published(tmp_path / "www", monkeypatch, turbo, "turbo") as asked:
        (served,) = (tmp_path / "www").glob("*/*.pt")
        served.write_bytes(served.read_bytes()[:-1])
        with pytest.raises(ModelLoadError, match=r"could not download 'turbo'.*checksum"):
            find_checkpoint("turbo", store)
        served.unlink()
        with pytest.raises(ModelLoadError, match=r"could not download 'turbo'.*404"):
            find_checkpoint("turbo", store)
        assert len(asked) == 2
    assert list(store.model_dir.rglob("*.pt")) == []


def test_a_model_dir_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ModelLoadError, match="MODEL_DIR"):
        find_checkpoint("tiny", online(tmp_path / "file"))


def hooks(engine: WhisperEngine) -> int:
    modules = list(engine._model.modules())
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in modules)


@pytest.mark.anyio
@pytest.mark.parametrize("doing", ["saying", "timing words"])
async def test_what_is_abandoned_ends_at_the_next_token_and_leaves_the_model_as_it_was(
    checkpoint_dir: Path, fox: AudioBlock, doing: str
) -> None:
    engine = loaded("tiny.en", offline(checkpoint_dir))
    before = hooks(engine)
    there, gone = threading.Event(), threading.Event()
    tokens = 0

    def wait_there(_decoder: object, _args: object, kwargs: Mapping[str, Any]) -> None:
        nonlocal tokens
        cached = kwargs.get("kv_cache") is not None
        tokens += cached
        if cached == (doing == "saying"):
            there.set()
            assert gone.wait(60)

    hook = engine._model.decoder.register_forward_pre_hook(wait_there, with_kwargs=True, prepend=True)
    queue = StepQueue("abandoned", max_active={Kind.LONG: 1}, max_waiting=1)
    try:
        options = TranscribeOptions(word_timestamps=True)
        with queue.job(lambda: engine.transcribe(iter([fox, np.zeros(32_000, np.float32), fox]), options)):
            assert await asyncio.to_thread(there.wait, 60)
            said = tokens
        gone.set()
        wait_until(lambda: queue.active == 0, 60)
    finally:
        gone.set()
        queue.close()
        hook.remove()
    assert tokens == said
    assert hooks(engine) == before


@pytest.mark.anyio
async def test_the_service_transcribes_with_it(
    make_settings: SettingsFactory, checkpoint_dir: Path, samples: list[Sample]
) -> None:
    (fox,) = (sample for sample in samples if sample.path.stem == "quick_brown_fox")
    settings = make_settings(asr_engine="whisper", asr_model="tiny.en", asr_device="cpu", model_dir=checkpoint_dir)
    async with client_of(create_app(settings)) as client:
        health = (await client.get("/health")).json()
        assert (health["engine"], health["model"], health["device"]) == ("whisper", "tiny.en", "cpu")
        answer = await client.post(
            "/v1/audio/transcriptions",
            files={"file": ("fox.wav", fox.path.read_bytes())},
            data={"model": "whisper-1", "response_format": "srt"},
        )
    assert answer.status_code == 200
    assert "brown fox" in answer.text
    assert "-->" in answer.text
