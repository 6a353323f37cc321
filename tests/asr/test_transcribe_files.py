"""``voice-stack transcribe`` with a fake engine: formats, names of the outputs, errors."""

import json
import logging
import os
import resource
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pysubs2
import pytest

from tests.conftest import SettingsFactory
from tests.support.engines import FakeAsrEngine, Gate
from tests.support.speech import wav_bytes
from voice_stack.asr.batch.command import BatchOptions, parse_formats, transcribe_files
from voice_stack.asr.subtitles.files import MEDIA_TYPES
from voice_stack.cli import main
from voice_stack.core.errors import ConfigurationError, InvalidRequestError, ModelLoadError
from voice_stack.core.settings import Settings
from voice_stack.utils.audio.vad import EVERYTHING

TONE = wav_bytes(0.1 * np.sin(np.arange(40_000) * 0.1).astype(np.float32))  # 2.5 s


@pytest.fixture
def settings(make_settings: SettingsFactory) -> Settings:
    return make_settings()


def media(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(TONE)
    return path


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_each_format_is_written_next_to_the_file_and_told_in_one_line(
    tmp_path: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    source = media(tmp_path / "talk.mp3")
    assert transcribe_files([source], settings, BatchOptions(formats=tuple(MEDIA_TYPES)), FakeAsrEngine()) == 0
    outputs = [tmp_path / f"talk.{format_}" for format_ in MEDIA_TYPES]
    assert files_below(tmp_path) == sorted(["talk.mp3", *(path.name for path in outputs)])
    assert capsys.readouterr().out == f"{source} -> {', '.join(map(str, outputs))}\n"
    (cue,) = pysubs2.load(str(tmp_path / "talk.srt"))
    assert (cue.text, cue.start, cue.end) == ("hello world", 0, 2000)
    assert (tmp_path / "talk.vtt").read_text() == "WEBVTT\n\n00:00:00.000 --> 00:00:02.000\nhello world\n\n"
    assert (tmp_path / "talk.txt").read_text() == "hello\nworld\n"
    assert (tmp_path / "talk.tsv").read_text() == "start\tend\ttext\n0\t1000\thello\n1000\t2000\tworld\n"
    whole = json.loads((tmp_path / "talk.json").read_text())
    assert (whole["text"], whole["language"], len(whole["segments"])) == (" hello world", "en", 2)
    lines = [json.loads(line) for line in (tmp_path / "talk.jsonl").read_text().splitlines()]
    assert lines == whole["segments"]


@pytest.mark.parametrize("asked", [True, False])
def test_json_lists_words_where_they_are_asked_for_only(tmp_path: Path, settings: Settings, asked: bool) -> None:
    options = BatchOptions(formats=("srt", "json"), word_timestamps=asked)
    transcribe_files([media(tmp_path / "talk.wav")], settings, options, FakeAsrEngine())
    segments = json.loads((tmp_path / "talk.json").read_text())["segments"]
    assert [[word["word"] for word in segment.get("words", [])] for segment in segments] == (
        [[" hello"], [" world"]] if asked else [[], []]
    )


def test_options_reach_the_engine_with_what_the_settings_say(tmp_path: Path, make_settings: SettingsFactory) -> None:
    engine = FakeAsrEngine()
    settings = make_settings(asr_language="de", asr_vad_enabled=False)
    source = media(tmp_path / "talk.wav")
    transcribe_files([source], settings, BatchOptions(formats=("txt",), prompt="Names"), engine)
    transcribe_files([source], settings, BatchOptions(formats=("srt",), language="French"), engine)
    first, second = engine.options
    assert (first.language, first.prompt, first.word_timestamps, first.vad) == ("de", "Names", False, EVERYTHING)
    assert (second.language, second.prompt, second.word_timestamps) == ("fr", None, True)


def test_subtitles_keep_to_the_lines_that_are_asked_for(tmp_path: Path, settings: Settings) -> None:
    options = BatchOptions(max_line_chars=5, max_lines=1)
    transcribe_files([media(tmp_path / "talk.wav")], settings, options, FakeAsrEngine())
    assert [cue.text for cue in pysubs2.load(str(tmp_path / "talk.srt"))] == ["hello", "world"]


def test_silence_gives_files_without_cues(tmp_path: Path, settings: Settings) -> None:
    options = BatchOptions(formats=("srt", "json"))
    assert transcribe_files([media(tmp_path / "talk.wav")], settings, options, FakeAsrEngine(words=())) == 0
    assert (tmp_path / "talk.srt").read_text() == ""
    assert json.loads((tmp_path / "talk.json").read_text())["segments"] == []


def test_a_folder_is_walked_for_media_and_keeps_its_structure(tmp_path: Path, settings: Settings) -> None:
    folder = tmp_path / "in"
    for name in ("b.MKV", "a.mp3", "deep/er/c.wav", ".hidden.wav", ".trash/d.wav", "notes.txt", "a.json"):
        media(folder / name)
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    out = tmp_path / "out"
    assert transcribe_files([folder], settings, BatchOptions(output_dir=out), FakeAsrEngine()) == 0
    assert files_below(out) == ["a.srt", "b.srt", "deep/er/c.srt"]


def test_a_file_is_taken_whatever_its_name_and_once(tmp_path: Path, settings: Settings) -> None:
    source = media(tmp_path / "voicemail.dat")
    engine = FakeAsrEngine()
    again = tmp_path / "other" / ".." / "voicemail.dat"
    (tmp_path / "other").mkdir()
    assert transcribe_files([source, again], settings, BatchOptions(), engine) == 0
    assert files_below(tmp_path) == ["voicemail.dat", "voicemail.srt"]
    assert len(engine.options) == 1


def test_files_that_differ_in_their_ending_alone_keep_it(tmp_path: Path, settings: Settings) -> None:
    for name in ("a.mp3", "A.wav", "b.wav"):
        media(tmp_path / "in" / name)
    out = tmp_path / "out"
    assert transcribe_files([tmp_path / "in"], settings, BatchOptions(output_dir=out), FakeAsrEngine()) == 0
    assert files_below(out) == ["A.wav.srt", "a.mp3.srt", "b.srt"]


def test_a_file_is_never_its_own_output(tmp_path: Path, settings: Settings) -> None:
    source = media(tmp_path / "talk.txt")
    options = BatchOptions(formats=("txt",), overwrite=True)
    assert transcribe_files([source], settings, options, FakeAsrEngine()) == 0
    assert source.read_bytes() == TONE
    assert (tmp_path / "talk.txt.txt").read_text() == "hello\nworld\n"


def test_two_files_with_one_output_are_refused_before_the_work(tmp_path: Path, settings: Settings) -> None:
    first, second = media(tmp_path / "x" / "a.mp3"), media(tmp_path / "y" / "a.mp3")
    engine = FakeAsrEngine()
    with pytest.raises(ConfigurationError, match="would both be written to"):
        transcribe_files([first, second], settings, BatchOptions(output_dir=tmp_path / "out"), engine)
    assert not engine.options
    assert not (tmp_path / "out").exists()


def test_what_exists_is_kept_and_only_the_rest_is_written(
    tmp_path: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    source = media(tmp_path / "talk.wav")
    (tmp_path / "talk.srt").write_text("mended by hand")
    assert transcribe_files([source], settings, BatchOptions(formats=("srt", "txt")), FakeAsrEngine()) == 0
    assert (tmp_path / "talk.srt").read_text() == "mended by hand"
    assert (tmp_path / "talk.txt").read_text() == "hello\nworld\n"
    captured = capsys.readouterr()
    assert captured.out == f"{source} -> {tmp_path / 'talk.txt'}\n"
    assert f"{tmp_path / 'talk.srt'} exists and is kept" in captured.err


def test_nothing_to_do_needs_no_model(tmp_path: Path, settings: Settings) -> None:
    source = media(tmp_path / "talk.wav")
    (tmp_path / "talk.srt").touch()
    engine = FakeAsrEngine(load_error=ModelLoadError("no model"))
    assert transcribe_files([source], settings, BatchOptions(), engine) == 0
    with pytest.raises(ModelLoadError):
        transcribe_files([source], settings, BatchOptions(overwrite=True), engine)


def test_overwrite_replaces_what_exists(tmp_path: Path, settings: Settings) -> None:
    source = media(tmp_path / "talk.wav")
    (tmp_path / "talk.txt").write_text("old")
    transcribe_files([source], settings, BatchOptions(formats=("txt",), overwrite=True), FakeAsrEngine())
    assert (tmp_path / "talk.txt").read_text() == "hello\nworld\n"


def test_outputs_are_readable_for_others_as_the_umask_says(tmp_path: Path, settings: Settings) -> None:
    before = os.umask(0o022)
    try:
        transcribe_files([media(tmp_path / "talk.wav")], settings, BatchOptions(), FakeAsrEngine())
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "talk.srt").stat().st_mode) == 0o644


def test_a_file_that_fails_is_told_and_the_others_go_on(
    tmp_path: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    good = media(tmp_path / "good.wav")
    broken = tmp_path / "broken.wav"
    broken.write_text("This is no sound at all.")
    cut_off = tmp_path / "cut_off.wav"
    cut_off.write_bytes(TONE[: len(TONE) // 2])
    fifo = tmp_path / "fifo.wav"
    os.mkfifo(fifo)
    missing = tmp_path / "missing.wav"
    engine = FakeAsrEngine()
    assert transcribe_files([broken, cut_off, fifo, missing, good], settings, BatchOptions(quiet=True), engine) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    told = dict(line.removeprefix("voice-stack: ").split(": ", 1) for line in captured.err.splitlines())
    assert told[str(broken)].startswith("The file is not audio or video")
    assert told[str(cut_off)].startswith("The file was cut off")
    assert told[str(fifo)] == "is not a regular file"
    assert told[str(missing)] == "no such file or folder"
    assert [name for name in files_below(tmp_path) if not name.endswith(".wav")] == ["good.srt"]


def test_an_engine_that_fails_in_mid_file_leaves_nothing(
    tmp_path: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    source = media(tmp_path / "talk.wav")
    assert transcribe_files([source], settings, BatchOptions(), FakeAsrEngine(fail_at=1)) == 1
    assert capsys.readouterr().err == f"voice-stack: {source}: The fake engine was told to fail.\n"
    assert files_below(tmp_path) == ["talk.wav"]


def test_a_folder_without_media_is_told(tmp_path: Path, settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert transcribe_files([tmp_path], settings, BatchOptions(), FakeAsrEngine()) == 1
    assert capsys.readouterr().err.startswith(f"voice-stack: {tmp_path}: holds no file")


def test_a_folder_that_cannot_be_made_fails_its_files_alone(
    tmp_path: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one/a.wav", "two/b.wav"):
        media(tmp_path / "in" / name)
    out = tmp_path / "out"
    out.mkdir()
    (out / "one").touch()
    engine = FakeAsrEngine()
    assert transcribe_files([tmp_path / "in"], settings, BatchOptions(output_dir=out), engine) == 1
    assert f"{out / 'one'}" in capsys.readouterr().err
    assert files_below(out) == ["one", "two/b.srt"]
    assert len(engine.options) == 1


@contextmanager
def room_for(size_bytes: int) -> Iterator[None]:
    """A system that takes no file larger than that, as a full disk takes none."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


@pytest.mark.parametrize("words", [2, 20_000])
def test_a_disk_that_takes_no_more_is_told_and_keeps_what_was_there(
    tmp_path: Path, settings: Settings, capsys: pytest.CaptureFixture[str], words: int
) -> None:
    source = media(tmp_path / "talk.wav")
    (tmp_path / "talk.tsv").write_text("old")
    engine = FakeAsrEngine(words=["word"] * words)
    with room_for(20 if words == 2 else 10_000):
        code = transcribe_files([source], settings, BatchOptions(formats=("tsv",), overwrite=True), engine)
    assert code == 1
    assert "cannot be written: File too large" in capsys.readouterr().err
    assert files_below(tmp_path) == ["talk.tsv", "talk.wav"]
    assert (tmp_path / "talk.tsv").read_text() == "old"


@pytest.mark.parametrize("formats", [("srt",), ("json",)])
def test_an_output_that_appears_meanwhile_is_kept(tmp_path: Path, settings: Settings, formats: tuple[str]) -> None:
    target = tmp_path / f"talk.{formats[0]}"

    class SlowEngine(FakeAsrEngine):
        def load(self) -> None:
            target.write_text("somebody else's")

    source = media(tmp_path / "talk.wav")
    assert transcribe_files([source], settings, BatchOptions(formats=formats), SlowEngine()) == 1
    assert target.read_text() == "somebody else's"
    assert files_below(tmp_path) == sorted(["talk.wav", target.name])


def test_an_output_that_cannot_get_its_name_leaves_nothing_beside_it(
    tmp_path: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    source = media(tmp_path / "talk.wav")
    (tmp_path / "talk.srt").mkdir()
    assert transcribe_files([source], settings, BatchOptions(overwrite=True), FakeAsrEngine()) == 1
    assert f"{tmp_path / 'talk.srt'} cannot be written: " in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["talk.srt", "talk.wav"]


def test_what_the_model_cannot_do_is_refused_before_the_work(tmp_path: Path, settings: Settings) -> None:
    source = media(tmp_path / "talk.wav")
    engine = FakeAsrEngine()
    with pytest.raises(InvalidRequestError, match="cannot translate"):
        transcribe_files([source], settings, BatchOptions(task="translate"), engine)
    with pytest.raises(InvalidRequestError, match="knows en, de, fr, not 'pl'"):
        transcribe_files([source], settings, BatchOptions(language="polish"), engine)
    assert not engine.options


def test_ctrl_c_ends_the_work_and_leaves_nothing(tmp_path: Path, settings: Settings) -> None:
    class Pressed(Gate):
        def step(self) -> None:
            signal.raise_signal(signal.SIGINT)

    sources = [media(tmp_path / "a.wav"), media(tmp_path / "b.wav")]
    engine = FakeAsrEngine(gate=Pressed())
    with pytest.raises(KeyboardInterrupt):
        transcribe_files(sources, settings, BatchOptions(), engine)
    assert len(engine.options) == 1
    assert files_below(tmp_path) == ["a.wav", "b.wav"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.fixture
def root_logger() -> Iterator[None]:
    """Undoes what the command does to logging."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_formats_may_be_repeated_or_listed() -> None:
    assert parse_formats(["srt,TXT", "text", " json "]) == ("srt", "txt", "json")


@pytest.mark.usefixtures("root_logger")
@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["talk.wav", "--language", "klingon"],
        ["talk.wav", "-f", "docx"],
        ["talk.wav", "-f", ","],
        ["talk.wav", "--task", "sing"],
        ["talk.wav", "--max-lines", "0"],
        ["talk.wav", "--model", ""],
        ["talk.wav", "-o", "talk.wav"],
    ],
)
def test_what_cannot_be_meant_ends_with_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    media(tmp_path / "talk.wav")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["transcribe", *arguments])
    assert ended.value.code == 2
    assert files_below(tmp_path) == ["talk.wav"]
