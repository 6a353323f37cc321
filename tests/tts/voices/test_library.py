"""The folder of voices: what becomes of the files in it, and of those that are added and removed."""

import hashlib
import io
import logging
import os
import shutil
import stat
import threading
import time
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.speech import decode, wav_bytes
from tests.tts.voices.test_names import TRICKS
from tests.utils.audio.helpers import mux
from voice_stack.core.errors import (
    ConflictError,
    InvalidAudioError,
    InvalidRequestError,
    UnavailableError,
    VoiceNotFoundError,
)
from voice_stack.tts.engine.base import ANY_LANGUAGE, Voice
from voice_stack.tts.voices.library import VoiceLibrary
from voice_stack.tts.voices.samples import SampleReport, check_sample


@pytest.fixture(scope="module")
def fox(speech_dir: Path) -> Path:
    """A good recording."""
    return speech_dir / "en" / "quick_brown_fox.wav"


@pytest.fixture(scope="module")
def counting(speech_dir: Path) -> Path:
    """Another one."""
    return speech_dir / "en" / "counting.wav"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of voices, with something beside it that must stay as it is."""
    folder = tmp_path / "voices"
    folder.mkdir()
    return folder


def watched(folder: Path) -> VoiceLibrary:
    """A library that looks at its folder each time that it is asked."""
    return VoiceLibrary(folder, rescan_s=0)


def by_id(library: VoiceLibrary) -> dict[str, Voice]:
    return {voice.id: voice for voice in library.voices()}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def put(source: Path, folder: Path, *file_names: str) -> None:
    for file_name in file_names:
        shutil.copy(source, folder / file_name)


def test_samples_of_one_speaker_combine_and_each_language_is_a_voice(folder: Path, fox: Path, counting: Path) -> None:
    put(fox, folder, "anna_en.wav", "bob.wav")
    put(counting, folder, "anna_de.wav", "anna_en_2.wav")
    voices = by_id(watched(folder))
    assert list(voices) == ["anna_de", "anna_en", "bob"]
    assert [(voice.name, voice.language) for voice in voices.values()] == [
        ("anna", "de"),
        ("anna", "en"),
        ("bob", ANY_LANGUAGE),
    ]
    assert [sample.path.name for sample in voices["anna_en"].samples] == ["anna_de.wav", "anna_en.wav", "anna_en_2.wav"]
    assert voices["anna_de"].samples == voices["anna_en"].samples
    assert voices["bob"].samples[0].sha256 == hashlib.sha256(fox.read_bytes()).hexdigest()
    assert voices["bob"].created_at == int((folder / "bob.wav").stat().st_mtime)


def test_a_folder_that_is_not_there_has_no_voices_until_it_is(tmp_path: Path, fox: Path) -> None:
    library = watched(tmp_path / "later")
    assert (library.voices(), library.problems()) == ((), {})
    (tmp_path / "later").mkdir()
    put(fox, tmp_path / "later", "anna_en.wav")
    assert list(by_id(library)) == ["anna_en"]


def test_a_broken_sample_is_told_of_once_and_its_neighbours_are_used(
    folder: Path, fox: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(fox, folder, "anna_en.wav", "anna_en_2.wav")
    (folder / "anna_en_2.wav").write_bytes(b"not audio at all")
    (folder / "bob_en.wav").write_bytes(wav_bytes(np.zeros(80_000, np.float32)))
    (folder / "notes.txt").write_text("not a voice")
    (folder / "folder_en.wav").mkdir()
    library = watched(folder)
    for _ in range(3):
        assert [len(voice.samples) for voice in library.voices()] == [1]
        assert list(library.problems()) == ["bob_en"]
    assert library.problems()["bob_en"].startswith("bob_en.wav: The recording is silent.")
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 2
    assert "'anna_en_2.wav' is not used" in warnings[0]


def test_a_file_becomes_usable_when_its_copy_is_complete(
    folder: Path, fox: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = fox.read_bytes()
    library = watched(folder)
    with (folder / "anna_en.wav").open("wb") as file:
        for piece in (data[:100], data[100:50_000], data[50_000:]):
            assert library.voices() == ()
            file.write(piece)
            file.flush()
    assert list(by_id(library)) == ["anna_en"]
    assert library.problems() == {}
    assert sum(record.levelno == logging.WARNING for record in caplog.records) == 1


def test_a_change_is_seen_and_only_what_changed_is_read_again(
    folder: Path, fox: Path, counting: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def noted(source: BinaryIO) -> SampleReport:
        read.append(Path(source.name).name)
        return check_sample(source)

    monkeypatch.setattr("voice_stack.tts.voices.library.check_sample", noted)
    put(fox, folder, "anna_en.wav", "bob_en.wav")
    library = watched(folder)
    before = by_id(library)
    put(counting, folder, "bob_en.wav")
    after = by_id(library)
    assert after["anna_en"] == before["anna_en"]
    assert after["bob_en"].samples != before["bob_en"].samples
    (folder / "anna_en.wav").unlink()
    assert list(by_id(library)) == ["bob_en"]
    assert read == ["anna_en.wav", "bob_en.wav", "bob_en.wav"]


def test_the_folder_is_looked_at_once_in_a_while(folder: Path, fox: Path) -> None:
    library = VoiceLibrary(folder, rescan_s=0.2)
    assert library.voices() == ()
    put(fox, folder, "anna_en.wav")
    assert library.voices() == ()
    time.sleep(0.25)
    assert list(by_id(library)) == ["anna_en"]


def test_whoever_asks_while_recordings_are_checked_gets_the_voices_of_before(folder: Path, fox: Path) -> None:
    put(fox, folder, "anna_en.wav")
    library = watched(folder)
    before = library.voices()
    os.mkfifo(folder / "pipe")
    (folder / "bob_en.wav").symlink_to(folder / "pipe")
    put(fox, folder, "carl_en.wav")
    with library._lock:
        asked = threading.Thread(target=lambda: results.append(library.voices()))
        results: list[object] = []
        asked.start()
        asked.join(5)
        assert results == [before]
    assert list(by_id(library)) == ["anna_en", "carl_en"]


def test_an_added_voice_is_a_mono_wav_that_passes_its_own_check(folder: Path, fox: Path) -> None:
    speech = decode(fox.read_bytes())
    upload = mux("flac", "flac", np.stack([speech, speech]), 16_000, layout="stereo")
    library = VoiceLibrary(folder)
    assert library.voices() == ()
    voice = library.add("My Voice", "de", io.BytesIO(upload))
    assert (voice.id, voice.name, voice.language) == ("My-Voice_de", "My-Voice", "de")
    assert library.voices() == (voice,)
    path = folder / "My-Voice_de.wav"
    assert names(folder) == [path.name]
    with path.open("rb") as file:
        assert check_sample(file).duration_s == pytest.approx(len(speech) / 16_000)
    assert np.abs(decode(path.read_bytes()) - speech).max() < 2e-4
    plain = folder / "plain"
    plain.touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
    assert voice.created_at == pytest.approx(time.time(), abs=60)


def test_a_bad_recording_leaves_nothing(folder: Path, fox: Path) -> None:
    for data in (b"", b"no audio", fox.read_bytes()[:40_000], wav_bytes(np.zeros(80_000, np.float32))):
        with pytest.raises(InvalidAudioError):
            VoiceLibrary(folder).add("anna", "en", io.BytesIO(data))
    assert names(folder) == []


def test_of_several_that_add_one_name_one_wins(folder: Path, fox: Path) -> None:
    start = threading.Barrier(8)
    outcomes: list[str] = []

    def add(library: VoiceLibrary) -> None:
        start.wait()
        try:
            outcomes.append(library.add("anna", "en", io.BytesIO(fox.read_bytes())).id)
        except ConflictError:
            outcomes.append("conflict")

    # Several libraries: the workers of one service share nothing but the folder.
    libraries = [VoiceLibrary(folder), VoiceLibrary(folder)]
    threads = [threading.Thread(target=add, args=(libraries[number % 2],)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["anna_en", *["conflict"] * 7]
    assert names(folder) == ["anna_en.wav"]


@pytest.mark.parametrize("there", ["anna_en.wav", "Anna_EN.wav", "anna_en_2.wav", "ANNA_en.WAV"])
def test_a_name_that_differs_in_case_or_number_only_is_taken(folder: Path, fox: Path, there: str) -> None:
    put(fox, folder, there)
    with pytest.raises(ConflictError) as caught:
        VoiceLibrary(folder).add("anna", "en", io.BytesIO(fox.read_bytes()))
    assert caught.value.param == "name"
    assert names(folder) == [there]


def test_links_are_read_and_never_followed_by_adding_or_removing(folder: Path, fox: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.wav"
    shutil.copy(fox, outside)
    (folder / "anna_en.wav").symlink_to(outside)
    (folder / "bob_en.wav").symlink_to(tmp_path / "nowhere.wav")
    library = watched(folder)
    assert list(by_id(library)) == ["anna_en"]
    with pytest.raises(ConflictError):
        library.add("bob", "en", io.BytesIO(fox.read_bytes()))
    assert not (tmp_path / "nowhere.wav").exists()
    library.remove("anna_en")
    assert outside.read_bytes() == fox.read_bytes()
    assert names(folder) == ["bob_en.wav"]


def test_removing_a_voice_leaves_the_speakers_other_languages(folder: Path, fox: Path) -> None:
    put(fox, folder, "anna_en.wav", "anna_en_2.wav", "anna_de.wav", "anna.wav", "annabel_en.wav")
    library = watched(folder)
    library.remove("anna_en")
    assert names(folder) == ["anna.wav", "anna_de.wav", "annabel_en.wav"]
    assert "anna_en" not in by_id(library)
    for gone in ("anna_en", "anna_en_2", "ann", "", "*", "../voices/anna_de", "anna_de.wav"):
        with pytest.raises(VoiceNotFoundError):
            library.remove(gone)
    assert names(folder) == ["anna.wav", "anna_de.wav", "annabel_en.wav"]


def test_a_broken_voice_can_be_removed(folder: Path) -> None:
    (folder / "anna_en.wav").write_bytes(b"broken")
    library = watched(folder)
    assert list(library.problems()) == ["anna_en"]
    library.remove("anna_en")
    assert (names(folder), library.problems()) == ([], {})


def test_a_folder_that_cannot_be_written_is_said_to_be(tmp_path: Path, fox: Path) -> None:
    (tmp_path / "voices").write_text("a file, not a folder")
    with pytest.raises(UnavailableError, match="TTS_VOICE_DIR"):
        VoiceLibrary(tmp_path / "voices").add("anna", "en", io.BytesIO(fox.read_bytes()))


def test_a_file_whose_name_is_no_text_is_passed_over(folder: Path, fox: Path) -> None:
    shutil.copy(os.fsencode(fox), os.fsencode(folder) + b"/b\xff_en.wav")
    put(fox, folder, "anna_en.wav")
    assert list(by_id(watched(folder))) == ["anna_en"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.sampled_from(list(TRICKS.values())), st.text(max_size=70)))
def test_whatever_the_name_nothing_is_written_elsewhere_or_strangely(tmp_path: Path, fox: Path, name: str) -> None:
    folder = tmp_path / "inner" / "voices"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        voice = VoiceLibrary(folder).add(name, None, io.BytesIO(fox.read_bytes()))
    except InvalidRequestError:
        assert names(folder) == []
    else:
        assert names(folder) == [f"{voice.id}.wav"]
        VoiceLibrary(folder).remove(voice.id)
    assert names(folder) == []
    assert (names(tmp_path), names(tmp_path / "inner")) == (["inner"], ["voices"])
