"""``voice-stack say`` and ``voices`` with a fake engine: what is made, what is kept, and what is said of it."""

import io
import json
import logging
import signal
import sys
import wave
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.conftest import SettingsFactory
from tests.support.engines import FakeTtsEngine
from tests.support.serving import client_of
from tests.support.speech import wav_bytes
from voice_stack.cli import main
from voice_stack.core.errors import EngineError, InvalidRequestError, VoiceNotFoundError
from voice_stack.core.settings import Settings
from voice_stack.tts.app import create_app
from voice_stack.tts.batch.command import SayOptions, say_text
from voice_stack.tts.batch.inputs import choose_output, read_text
from voice_stack.tts.batch.outputs import StagedSpeech
from voice_stack.tts.batch.voices import list_voices
from voice_stack.tts.engine.base import ANY_LANGUAGE, AudioChunk, Capabilities, SynthesisOptions, Voice, VoiceSample
from voice_stack.utils.audio import encode
from voice_stack.utils.audio.formats import AUDIO_FORMATS

TEXT = "It rains in the morning. The sun shines at noon. Snow falls at night.\n\nThe next day is like that one. End it."
CHUNKS = 4  # the last words are too few for a chunk of their own


class Singer(FakeTtsEngine):
    """Each text has a sound, a loudness and silences of its own; the samples come in pieces, at another rate."""

    def __init__(self, *, stop_at: int | None = None, stop: BaseException | None = None) -> None:
        super().__init__()
        self._stop_at = stop_at
        self._stop = stop or KeyboardInterrupt()

    def synthesize(self, text: str, options: SynthesisOptions) -> Iterator[AudioChunk]:
        random = np.random.default_rng(zlib.crc32(f"{text} {options.voice.id} {options.seed}".encode()))
        samples = random.uniform(0.05, 0.3) * random.standard_normal(400 * len(text)).astype(np.float32)
        samples[: random.integers(2000)] = 0
        for number, piece in enumerate(np.array_split(samples.clip(-1, 1).astype(np.float32), 3)):
            if number == 1 and len(self.said) == self._stop_at:
                raise self._stop
            yield AudioChunk(piece, 22_050)
        self.said.append((text, options))


class Say:
    """Says a text into a file of its own folder."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.target = folder / "out.pcm"
        self.settings = settings

    def __call__(self, engine: FakeTtsEngine, text: str = TEXT, **options: Any) -> int:
        given = SayOptions(**{"target": self.target, "audio_format": "pcm", **options})
        return say_text(text, self.settings, given, engine=engine)

    def stopped(self, after: int, **options: Any) -> None:
        with pytest.raises(KeyboardInterrupt):
            self(Singer(stop_at=after), **options)
        assert not self.target.exists()

    @property
    def folder(self) -> Path:
        return self.target.with_name(f".{self.target.name}.part")


@pytest.fixture
def say(tmp_path: Path, make_settings: SettingsFactory) -> Say:
    return Say(tmp_path / "out", make_settings())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What a run that nothing stops makes of ``TEXT``."""
    say = Say(tmp_path_factory.mktemp("whole"), Settings(_env_file=None))
    assert say(Singer()) == 0
    assert [path.name for path in say.target.parent.iterdir()] == ["out.pcm"]
    return say.target.read_bytes()


@pytest.mark.anyio
@pytest.mark.parametrize("audio_format", ["mp3", "opus", "pcm"])
async def test_a_file_holds_the_bytes_that_the_service_sends(
    make_settings: SettingsFactory, say: Say, audio_format: str
) -> None:
    body = {"model": "tts-1", "voice": "cleo", "input": TEXT, "response_format": audio_format, "speed": 1.5, "seed": 7}
    async with client_of(create_app(make_settings(), Singer())) as client:
        answer = await client.post("/v1/audio/speech", json=body)
    assert say(Singer(), audio_format=audio_format, voice="cleo", speed=1.5, seed=7) == 0
    assert say.target.read_bytes() == answer.content


@pytest.mark.parametrize("after", range(CHUNKS))
def test_a_run_goes_on_where_one_was_stopped_and_makes_the_same_file(
    say: Say, whole: bytes, capsys: pytest.CaptureFixture[str], after: int
) -> None:
    say.stopped(after)
    assert say.folder.exists() == (after > 0)
    told = capsys.readouterr().err
    assert ("the same command goes on from there" in told) == (after > 0)
    engine = Singer()
    assert say(engine) == 0
    assert say.target.read_bytes() == whole
    assert len(engine.said) == CHUNKS - after
    assert not say.folder.exists()


def test_a_run_that_is_stopped_again_and_again_comes_to_its_end(say: Say, whole: bytes) -> None:
    for _ in range(CHUNKS - 1):
        say.stopped(1)
    engine = Singer()
    assert say(engine) == 0
    assert (say.target.read_bytes(), len(engine.said)) == (whole, 1)


def test_what_a_crash_left_half_written_is_made_again(say: Say, whole: bytes) -> None:
    say.stopped(2)
    kept = (say.folder / "chunks").read_bytes()
    first = kept.index(b'{"key"', 1)
    damaged = [kept[:size] for size in (0, 1, 40, first - 1, first, first + 1, first + 60, len(kept) - 1)]
    damaged += [kept + bytes(5000), kept + b"\xff{}\n", kept + b'{"key": 1}\n[]', kept[:-9] + bytes(4) + kept[-5:]]
    spoken = [4, 4, 4, 4, 3, 3, 3, 3, 2, 2, 2, 3]
    for data, anew in zip(damaged, spoken, strict=True):
        say.folder.mkdir(exist_ok=True)
        (say.folder / "chunks").write_bytes(data)
        engine = Singer()
        assert say(engine, overwrite=True) == 0
        assert (say.target.read_bytes(), len(engine.said)) == (whole, anew)


def test_what_is_spoken_after_a_crash_is_kept_as_well(say: Say, whole: bytes) -> None:
    say.stopped(2)
    chunks = say.folder / "chunks"
    chunks.write_bytes(chunks.read_bytes()[:-1])
    say.stopped(2)
    engine = Singer()
    assert say(engine) == 0
    assert (say.target.read_bytes(), len(engine.said)) == (whole, 1)


@pytest.mark.parametrize(
    ("changed", "anew"),
    [
        ({"text": f"First of all: {TEXT}"}, 4),
        ({"text": TEXT.replace("Snow", "Rain")}, 2),
        ({"voice": "cleo"}, 4),
        ({"seed": 1}, 4),
        ({"audio_format": "wav"}, 1),
        ({"speed": 2.0}, 1),  # the fake engine has one speed; the tempo is changed afterwards
    ],
)
def test_what_is_to_be_another_is_spoken_anew(
    tmp_path: Path, say: Say, capsys: pytest.CaptureFixture[str], changed: dict[str, Any], anew: int
) -> None:
    say.stopped(3)
    engine = Singer()
    assert say(engine, **changed) == 0
    assert len(engine.said) == anew
    assert ("is another than in the earlier run" in capsys.readouterr().err) == (anew > 1)
    fresh = Say(tmp_path / "fresh", say.settings)
    assert fresh(Singer(), **changed) == 0
    assert say.target.read_bytes() == fresh.target.read_bytes()


def test_a_voice_that_was_replaced_is_another_and_a_sample_that_was_only_copied_is_not(say: Say) -> None:
    class Renewed(Singer):
        def __init__(self, created_at: int, *samples: str, stop_at: int | None = None) -> None:
            super().__init__(stop_at=stop_at)
            self._files = tuple(VoiceSample(Path(f"{created_at}.wav"), sha256) for sha256 in samples)
            self._created_at = created_at

        def voices(self) -> Sequence[Voice]:
            return [Voice("ann_en", "ann", "en", self._files, self._created_at)]

    for first, second, anew in [
        (Renewed(1, stop_at=2), Renewed(2), 4),
        (Renewed(1, "a", "b", stop_at=2), Renewed(2, "b", "a"), 2),
        (Renewed(1, "a", "b", stop_at=2), Renewed(1, "a", "c"), 4),
    ]:
        with pytest.raises(KeyboardInterrupt):
            say(first, overwrite=True)
        assert say(second, overwrite=True) == 0
        assert len(second.said) == anew


def test_an_engine_that_fails_ends_the_run_with_what_was_spoken_kept(
    say: Say, whole: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    assert say(Singer(stop_at=2, stop=EngineError("The voice broke."))) == 1
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith(f"voice-stack: {say.target}: The voice broke. It was at 'Snow falls at night.'; ")
    assert not say.target.exists()
    engine = Singer()
    assert say(engine) == 0
    assert (say.target.read_bytes(), len(engine.said)) == (whole, 2)


def test_ctrl_c_while_the_encoder_writes_is_not_lost(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    # PyAV ignores what is raised there.
    write = encode._Sink.write

    def interrupted(sink: encode._Sink, data: bytes) -> int:
        if not pressed:
            pressed.append(True)
            signal.raise_signal(signal.SIGINT)
        return write(sink, data)

    pressed: list[bool] = []
    monkeypatch.setattr(encode._Sink, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        say(Singer(), audio_format="mp3")
    assert pressed
    assert not say.target.exists()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_standard_output_gets_the_audio_and_nothing_else(
    say: Say, whole: bytes, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    class Talkative(Singer):
        def load(self) -> None:
            print("I am loading.")

    assert say(Talkative(), target=None) == 0
    told = capfdbinary.readouterr()
    assert (told.out, told.err) == (whole, b"I am loading.\n")


def test_a_file_that_exists_is_kept_unless_it_may_be_replaced(
    say: Say, whole: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    say.target.parent.mkdir()
    say.target.write_text("mine")
    engine = Singer()
    assert say(engine) == 1
    assert capsys.readouterr().err == f"voice-stack: {say.target} exists and is kept; replace it with --overwrite\n"
    assert engine.said == []
    with pytest.raises(KeyboardInterrupt):
        say(Singer(stop_at=3), overwrite=True)
    assert say.target.read_text() == "mine"
    assert say(Singer(), overwrite=True) == 0
    assert say.target.read_bytes() == whole


def test_a_file_that_appears_meanwhile_is_kept(say: Say) -> None:
    class Slow(Singer):
        def synthesize(self, text: str, options: SynthesisOptions) -> Iterator[AudioChunk]:
            say.target.write_text("theirs")
            return super().synthesize(text, options)

    assert say(Slow()) == 1
    assert say.target.read_text() == "theirs"
    assert (say.folder / "chunks").stat().st_size


def test_two_runs_do_not_write_one_file(say: Say, capsys: pytest.CaptureFixture[str]) -> None:
    other = StagedSpeech(say.target, AUDIO_FORMATS["pcm"], overwrite=False)
    assert say(Singer()) == 1
    assert "another process" in capsys.readouterr().err
    other.close()
    assert say(Singer()) == 0


def test_only_regular_files_are_replaced(say: Say, tmp_path: Path) -> None:
    assert say(Singer(), target=tmp_path, overwrite=True) == 1
    assert tmp_path.is_dir()
    (tmp_path / "file").touch()
    assert say(Singer(), target=tmp_path / "file" / "out.pcm") == 1


def test_wav_and_flac_files_tell_their_length(say: Say, whole: bytes) -> None:
    for audio_format in ("wav", "flac"):
        assert say(Singer(), audio_format=audio_format, overwrite=True) == 0
        data = say.target.read_bytes()
        with av.open(io.BytesIO(data)) as container:
            stream = container.streams.audio[0]
            assert stream.duration is not None
            assert stream.time_base is not None
            assert stream.duration * stream.time_base * 24_000 == len(whole) / 2
            decoded = np.concatenate([frame.to_ndarray().reshape(-1) for frame in container.decode(stream)])
        assert decoded.astype("<i2").tobytes() == whole
        if audio_format == "wav":
            with wave.open(io.BytesIO(data)) as reader:
                assert reader.readframes(reader.getnframes()) == whole
            assert int.from_bytes(data[4:8], "little") == len(data) - 8


def test_the_limit_of_the_service_does_not_hold_here(tmp_path: Path, make_settings: SettingsFactory) -> None:
    say = Say(tmp_path, make_settings(tts_max_input_chars=10))
    assert say(Singer()) == 0


def test_a_text_that_cannot_be_spoken_leaves_nothing_behind(say: Say) -> None:
    class Speechless(Singer):
        def synthesize(self, text: str, options: SynthesisOptions) -> Iterator[AudioChunk]:
            yield AudioChunk(np.zeros(0, np.float32), 22_050)

    with pytest.raises(InvalidRequestError):
        say(Singer(), text="...")
    with pytest.raises(InvalidRequestError):
        say(Speechless())
    with pytest.raises(InvalidRequestError):
        say(Singer(), language="fr")
    with pytest.raises(VoiceNotFoundError):
        say(Singer(), voice="zoe")
    assert list(say.target.parent.iterdir()) == []


def test_what_is_made_is_told_unless_it_shall_be_quiet(
    say: Say, whole: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    assert say(Singer()) == 0
    assert capsys.readouterr() == (f"{say.target}: {len(whole) / 48_000:.1f} s\n", "")
    with pytest.raises(KeyboardInterrupt):
        say(Singer(stop_at=2), overwrite=True, quiet=True)
    assert say(Singer(), overwrite=True, quiet=True) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["-o", "a.mp3"], "give a text, or -f FILE, or -"),
        (["Hello.", "-f", "a.txt", "-o", "a.mp3"], "not both"),
        (["Hello."], "-o FILE"),
        (["-"], "-o FILE"),
        (["Hello.", "-o", "speech"], "does not tell the format"),
        (["Hello.", "-o", "speech.m4a"], "does not tell the format"),
        (["-f", "none.txt"], "none.txt cannot be read: No such file"),
        (["-f", "latin.txt"], "latin.txt is no text in UTF-8 (byte 3)"),
        (["-f", "text.wav", "--format", "wav"], "is the text itself"),
        (["?!", "-o", "a.mp3"], "no letter or digit"),
        (["Hello.", "-o", "a.mp3", "--speed", "5"], "0.25 to 4"),
        (["Hello.", "-o", "a.mp3", "--speed", "nan"], "0.25 to 4"),
        (["Hello.", "-o", "a.mp3", "--seed", "-1"], "whole number"),
    ],
)
def test_a_command_that_cannot_be_carried_out_is_a_clear_error_and_exit_code_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    error: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "sounddevice", None)  # no loudspeaker
    (tmp_path / "latin.txt").write_bytes("Caf\u00e9.".encode("latin-1"))
    (tmp_path / "text.wav").write_text("Hello.")
    with pytest.raises(SystemExit) as exit_:
        main(["say", *arguments])
    assert exit_.value.code == 2
    assert error in capsys.readouterr().err.splitlines()[-1]


def test_the_text_comes_from_words_a_file_or_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book = tmp_path / "book.txt"
    book.write_bytes("\ufeffCaf\u00e9.\r\nEnd.".encode())
    assert read_text(["Hello", "there."], None) == "Hello there."
    assert read_text([], str(book)) == "Caf\u00e9.\r\nEnd."
    for words, file in (["-"], None), ([], "-"):
        with book.open(encoding="utf-8") as standard_input:
            monkeypatch.setattr("sys.stdin", standard_input)
            assert read_text(words, file) == "Caf\u00e9.\r\nEnd."


def test_the_output_is_named_after_the_text_and_its_name_tells_the_format() -> None:
    assert choose_output(None, None, "books/one.txt") == (Path("books/one.mp3"), "mp3")
    assert choose_output(None, "opus", "one.txt") == (Path("one.ogg"), "opus")
    assert choose_output("-", None, "one.txt") == (None, "mp3")
    assert choose_output("one.WAV", "flac", None) == (Path("one.WAV"), "flac")
    for name in ("mp3", "ogg", "opus", "aac", "flac", "WAV", "pcm"):
        wanted = "opus" if name == "ogg" else name.lower()
        assert choose_output(f"one.two.{name}", None, None) == (Path(f"one.two.{name}"), wanted)


class Cloning(FakeTtsEngine):
    """Has a voice for every language, which it knows from its model."""

    capabilities = Capabilities(cloning=True, languages=("en", "de"))
    loaded = False

    def load(self) -> None:
        self.loaded = True

    def voices(self) -> Sequence[Voice]:
        return [Voice("Ana Florence", "Ana Florence", ANY_LANGUAGE)] if self.loaded else []


def test_voices_are_listed_with_where_they_come_from(
    tmp_path: Path,
    make_settings: SettingsFactory,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    noise = np.random.default_rng(1).standard_normal(16_000 * 8).astype(np.float32)
    syllables = np.where(np.arange(noise.size) % 4000 < 3000, 0.1, 0.0001).astype(np.float32)
    (tmp_path / "zoe_de.wav").write_bytes(wav_bytes(noise * syllables))
    (tmp_path / "bad_en.wav").write_bytes(b"RIFF")
    settings = make_settings(tts_voice_dir=tmp_path, tts_default_voice="Ana Florence")
    with caplog.at_level(logging.WARNING):
        assert list_voices(settings, as_json=False, engine=Cloning()) == 0
        listed = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
        assert list_voices(settings, as_json=True, engine=Cloning()) == 0
    assert [[cell.strip() for cell in row if cell.strip()] for row in listed] == [
        ["VOICE", "SPEAKER", "SOURCE", "LANGUAGES"],
        ["Ana Florence", "Ana Florence", "fake", "en de"],
        ["zoe_de", "zoe", "1 sample", "de en"],
    ]
    assert [(voice["id"], voice["language"]) for voice in json.loads(capsys.readouterr().out)] == [
        ("Ana Florence", "mul"),
        ("zoe_de", "de"),
    ]
    assert "'bad_en.wav' is not used" in caplog.text


def test_voices_that_are_files_are_listed_without_loading_one(
    make_settings: SettingsFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = FakeTtsEngine(load_error=EngineError("It was loaded."))
    assert list_voices(make_settings(), as_json=False, engine=engine) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == ["en_US-ann-medium", "ann", "fake", "en-US"]
