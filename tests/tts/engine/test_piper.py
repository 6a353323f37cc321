"""The Piper engine with tiny models of its own kind, made byte by byte: ONNX is protobuf, and needs no package."""

import json
import os
import shutil
import struct
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from voice_stack.core.errors import ModelNotFoundError, VoiceNotFoundError
from voice_stack.tts.engine import piper
from voice_stack.tts.engine.base import SynthesisOptions, Voice
from voice_stack.tts.engine.piper import PiperEngine
from voice_stack.utils.models.store import ModelStore

FRAME = 100
FLOAT, INT64 = 1, 7


def varint(number: int) -> bytes:
    head = b""
    while number > 127:
        head += bytes([number & 127 | 128])
        number >>= 7
    return head + bytes([number])


def field(number: int, value: int | bytes | str) -> bytes:
    """One protobuf field."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def node(kind: str, inputs: list[str], output: str, *attributes: bytes) -> bytes:
    parts = [field(1, name) for name in inputs] + [field(2, output), field(4, kind)]
    return field(1, b"".join([*parts, *(field(5, attribute) for attribute in attributes)]))


def cast(name: str, output: str, kind: int) -> bytes:
    return node("Cast", [name], output, field(1, "to") + field(3, kind) + field(20, 2))


def constant(name: str, kind: int, shape: list[int], values: bytes) -> bytes:
    dims = b"".join(field(1, size) for size in shape)
    return field(5, dims + field(2, kind) + field(8, name) + field(9, values))


def value_info(number: int, name: str, kind: int, rank: int) -> bytes:
    dims = b"".join(field(1, field(2, f"{name}{axis}")) for axis in range(rank))
    return field(number, field(1, name) + field(2, field(1, field(1, kind) + field(2, dims))))


def onnx_model(*, speakers: bool, level: float = 0.1) -> bytes:
    """Speech of ``level * (sid + 1)`` throughout, ``FRAME * length_scale`` samples for each phoneme."""
    graph = [
        cast("input", "ids", FLOAT),
        node("Mul", ["ids", "zero"], "flat"),
        cast("sid", "speaker", FLOAT) if speakers else node("Identity", ["zero"], "speaker"),
        node("Add", ["speaker", "one"], "number"),
        node("Mul", ["number", "level"], "loud"),
        node("Add", ["flat", "loud"], "row"),
        node("Gather", ["scales", "second"], "scale"),
        node("Mul", ["scale", "frame"], "long"),
        cast("long", "count", INT64),
        node("Concat", ["once", "count"], "repeats", field(1, "axis") + field(3, 0) + field(20, 2)),
        node("Tile", ["row", "repeats"], "output"),
        field(2, "voice"),
        constant("zero", FLOAT, [1], struct.pack("<f", 0)),
        constant("one", FLOAT, [1], struct.pack("<f", 1)),
        constant("level", FLOAT, [1], struct.pack("<f", level)),
        constant("frame", FLOAT, [1], struct.pack("<f", FRAME)),
        constant("second", INT64, [1], struct.pack("<q", 1)),
        constant("once", INT64, [1], struct.pack("<q", 1)),
        value_info(11, "input", INT64, 2),
        value_info(11, "input_lengths", INT64, 1),
        value_info(11, "scales", FLOAT, 1),
        *([value_info(11, "sid", INT64, 1)] if speakers else []),
        value_info(12, "output", FLOAT, 2),
    ]
    return field(1, 8) + field(7, b"".join(graph)) + field(8, field(1, "") + field(2, 13))


def make_voice(
    folder: Path, voice_id: str, speakers: dict[str, int] | None = None, *, level: float = 0.1, **more: object
) -> Path:
    """Write a voice of single letters, which says each in ``FRAME`` samples; return its model's path."""
    folder.mkdir(parents=True, exist_ok=True)
    letters = {letter: [number] for number, letter in enumerate("_^$abcdefghijklmnopqrstuvwxyz ")}
    config = {
        "audio": {"sample_rate": 16_000},
        "espeak": {"voice": "en"},
        "phoneme_type": "text",
        "num_symbols": len(letters),
        "num_speakers": len(speakers or {}) or 1,
        "speaker_id_map": speakers or {},
        "phoneme_id_map": letters,
        **more,
    }
    path = folder / f"{voice_id}.onnx"
    path.with_name(f"{path.name}.json").write_text(json.dumps(config), encoding="utf-8")
    path.write_bytes(onnx_model(speakers=bool(config["num_speakers"] != 1), level=level))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "voices"


@pytest.fixture
def engine(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PiperEngine:
    monkeypatch.setattr(piper, "_LOOK_EVERY_S", 0.0)
    make_voice(folder, "en_GB-vctk-medium", {"p239": 0, "p 300": 1, "p/7": 2})
    return PiperEngine(ModelStore(tmp_path / "models", offline=True), folder, device="cpu")


def ids(engine: PiperEngine) -> list[str]:
    """The voices of the folder, without those that travel as packages."""
    return [voice.id for voice in engine.voices() if not voice.id.startswith("en_US-joe")]


def say(engine: PiperEngine, voice_id: str, text: str = "hello") -> NDArray[np.float32]:
    voice = next((voice for voice in engine.voices() if voice.id == voice_id), Voice(voice_id, "", ""))
    chunks = engine.synthesize(text, SynthesisOptions(voice))
    return np.concatenate([chunk.samples for chunk in chunks])


def test_each_speaker_of_a_model_is_a_voice(engine: PiperEngine) -> None:
    engine.load()

    own = {voice.id: voice for voice in engine.voices() if "vctk" in voice.id}

    assert [(voice.id, voice.name) for voice in own.values()] == [
        ("en_GB-vctk-medium", "vctk"),
        ("en_GB-vctk-medium-p239", "p239"),
        ("en_GB-vctk-medium-p_300", "p 300"),
        ("en_GB-vctk-medium-p_7", "p/7"),
    ]
    assert {voice.language for voice in own.values()} == {"en-GB"}
    levels = [float(np.median(say(engine, voice_id))) for voice_id in own]
    assert levels == pytest.approx([0.1, 0.1, 0.2, 0.3], abs=0.001)


def test_speakers_without_names_are_called_by_their_numbers(engine: PiperEngine, folder: Path) -> None:
    make_voice(folder, "de_DE-many-low", num_speakers=3)

    assert [voice for voice in ids(engine) if "many" in voice] == [
        "de_DE-many-low",
        *(f"de_DE-many-low-{number}" for number in range(3)),
    ]
    assert np.median(say(engine, "de_DE-many-low-2")) == pytest.approx(0.3, abs=0.001)


def test_a_files_own_name_goes_before_that_of_a_speaker(engine: PiperEngine, tmp_path: Path) -> None:
    # Found after the model whose speaker has the same name.
    make_voice(tmp_path / "models" / "piper", "en_GB-vctk-medium-p239", level=0.7)

    assert ids(engine).count("en_GB-vctk-medium-p239") == 1
    assert np.median(say(engine, "en_GB-vctk-medium-p239")) == pytest.approx(0.7, abs=0.001)


def test_a_new_voice_is_offered_and_a_removed_one_is_not(engine: PiperEngine, folder: Path) -> None:
    engine.load()
    ann = make_voice(folder, "en_US-ann-low", level=0.5)

    assert "en_US-ann-low" in ids(engine)
    assert np.median(say(engine, "en_US-ann-low")) == pytest.approx(0.5, abs=0.001)

    ann.unlink()
    assert "en_US-ann-low" not in ids(engine)
    assert [model.files.voice_id for model in engine._loaded] == ["en_GB-vctk-medium"]
    with pytest.raises(VoiceNotFoundError, match="en_US-ann-low"):
        say(engine, "en_US-ann-low")


def test_a_replaced_voice_is_loaded_anew_and_others_are_kept(engine: PiperEngine, folder: Path) -> None:
    make_voice(folder, "en_US-ann-low", level=0.5)
    say(engine, "en_US-ann-low")
    say(engine, "en_GB-vctk-medium")
    kept = {model.files.voice_id: voice for model, voice in engine._loaded.items()}

    os.utime(make_voice(folder, "en_US-ann-low", level=0.6), ns=(1, 1))

    assert np.median(say(engine, "en_US-ann-low")) == pytest.approx(0.6, abs=0.001)
    loaded = {model.files.voice_id: voice for model, voice in engine._loaded.items()}
    assert loaded["en_GB-vctk-medium"] is kept["en_GB-vctk-medium"]
    assert loaded["en_US-ann-low"] is not kept["en_US-ann-low"]


def test_speech_goes_on_while_its_voice_is_removed(engine: PiperEngine, folder: Path) -> None:
    engine.load()
    voice = engine.voices()[0]
    speech = engine.synthesize("hello", SynthesisOptions(voice))
    engine._load_voice(voice.id)
    first = next(speech)

    shutil.rmtree(folder)

    assert voice not in engine.voices()
    assert first.samples.size
    assert list(speech) == []


def test_the_folders_are_not_listed_more_than_once_a_second_unless_asked(
    engine: PiperEngine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(piper, "_LOOK_EVERY_S", 3600)
    before = ids(engine)

    make_voice(folder, "en_US-ann-low")

    assert ids(engine) == before
    engine.look_again()
    assert "en_US-ann-low" in ids(engine)


def test_processes_that_share_the_processors_make_fewer_sentences_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(12)), raising=False)
    steps = [
        PiperEngine(ModelStore(tmp_path, offline=True), tmp_path, sharers=sharers).max_steps
        for sharers in (1, 2, 4, 12, 20)
    ]
    assert steps == [4, 4, 3, 1, 1]


def test_a_voice_tells_when_its_file_was_changed(engine: PiperEngine, folder: Path) -> None:
    os.utime(folder / "en_GB-vctk-medium.onnx", (1_700_000_000, 1_700_000_000))

    assert {voice.created_at for voice in engine.voices() if "vctk" in voice.id} == {1_700_000_000}


@pytest.mark.parametrize(
    "broken",
    [{"num_speakers": "two"}, {"speaker_id_map": ["a"], "num_speakers": 2}, {"language": "en", "espeak": None}],
)
def test_a_strange_description_harms_no_other_voice(engine: PiperEngine, folder: Path, broken: dict[str, Any]) -> None:
    make_voice(folder, "odd", **broken)

    assert "odd" in ids(engine)
    assert "en_GB-vctk-medium" in ids(engine)


def test_the_default_voice_must_be_there(engine: PiperEngine, folder: Path, tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "models", offline=True)

    PiperEngine(store, folder, default_voice="p 300", device="cpu").load()
    with pytest.raises(ModelNotFoundError, match="en_GB-vctk-medium"):
        PiperEngine(store, folder, default_voice="nobody", device="cpu").load()


def test_voices_come_and_go_while_others_speak(engine: PiperEngine, folder: Path) -> None:
    engine.load()
    stop = threading.Event()
    failures: list[BaseException] = []

    def look() -> None:
        try:
            while not stop.is_set():
                assert "en_GB-vctk-medium" in ids(engine)
        except BaseException as error:  # noqa: BLE001 - shown by the assertion below
            failures.append(error)

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    ends_at = time.monotonic() + 0.3
    while time.monotonic() < ends_at:
        make_voice(folder, "en_US-ann-low").unlink()
        assert np.median(say(engine, "en_GB-vctk-medium-p_7")) == pytest.approx(0.3, abs=0.001)
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
