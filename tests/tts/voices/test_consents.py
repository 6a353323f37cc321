"""Consent recordings on disk."""

import io
import stat
from pathlib import Path

import pytest

from voice_stack.core.errors import InvalidAudioError, InvalidRequestError, NotFoundError
from voice_stack.tts.voices.consents import ConsentStore


@pytest.fixture
def recording(speech_dir: Path) -> io.BytesIO:
    """Somebody who says something."""
    return io.BytesIO((speech_dir / "en" / "quick_brown_fox.wav").read_bytes())


def test_a_consent_outlives_the_process_and_is_the_operators_alone(tmp_path: Path, recording: io.BytesIO) -> None:
    folder = tmp_path / "voices" / ".consents"
    made = ConsentStore(folder).create(" Anna's yes ", "en-US", recording)
    assert (made.name, made.language) == ("Anna's yes", "en-US")
    assert list(ConsentStore(folder).list()) == [made] == [ConsentStore(folder).get(made.id)]
    about, kept = sorted(folder.iterdir())
    assert kept.read_bytes() == recording.getvalue()
    assert [stat.S_IMODE(path.stat().st_mode) for path in (folder, about, kept)] == [0o700, 0o600, 0o600]


def test_a_consent_can_be_renamed_and_removed_with_its_recording(tmp_path: Path, recording: io.BytesIO) -> None:
    store = ConsentStore(tmp_path)
    made = store.create("Anna", "en", recording)
    assert store.rename(made.id, "Anna B.").name == "Anna B." == store.get(made.id).name
    assert store.get(made.id).created_at == made.created_at
    store.remove(made.id)
    assert list(tmp_path.iterdir()) == []
    for call in (lambda: store.get(made.id), lambda: store.rename(made.id, "x"), lambda: store.remove(made.id)):
        with pytest.raises(NotFoundError):
            call()


@pytest.mark.parametrize(
    "consent_id", ["", "cons_", "../secret", "cons_../../secret", f"cons_{'0' * 32}/..", "cons_\0"]
)
def test_no_id_reaches_out_of_the_folder(tmp_path: Path, consent_id: str) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text('{"name": "s", "language": "en", "created_at": 1}')
    (tmp_path / "consents").mkdir()
    store = ConsentStore(tmp_path / "consents")
    for call in (store.get, store.remove, lambda id_: store.rename(id_, "x")):
        with pytest.raises(NotFoundError):
            call(consent_id)
    assert secret.exists()


def test_what_is_no_recording_or_no_label_leaves_nothing(tmp_path: Path, recording: io.BytesIO) -> None:
    store = ConsentStore(tmp_path / "consents")
    with pytest.raises(InvalidAudioError) as caught:
        store.create("Anna", "en", io.BytesIO(b"no audio"))
    assert caught.value.param == "recording"
    for name, language in [("", "en"), ("x" * 257, "en"), ("a\nb", "en"), ("Anna", "english please"), ("Anna", "../x")]:
        with pytest.raises(InvalidRequestError):
            store.create(name, language, recording)
    assert list(store.list()) == []
    assert not (tmp_path / "consents").exists()


def test_a_damaged_consent_is_passed_over(tmp_path: Path, recording: io.BytesIO) -> None:
    store = ConsentStore(tmp_path)
    made = store.create("Anna", "en", recording)
    (tmp_path / f"cons_{'0' * 32}.json").write_text("{half")
    (tmp_path / f"cons_{'1' * 32}.json").write_text('["a list"]')
    assert list(store.list()) == [made]
