"""The quickstart's client: what it reads from the settings, and how it judges what was heard."""

import socket
from pathlib import Path

import pytest
from scripts.round_trip import ENOUGH, SENTENCE, RoundTripError, is_ready, overlap, setting, speak


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("API_KEYS=one,two", "one,two"),
        ("export API_KEYS = 'one, two' # mine", "one, two"),
        ('api_keys="one#1"', "one#1"),
        ("API_KEYS=one#1 # a comment", "one#1"),
        ("# API_KEYS=one", ""),
        ("API_KEYS=", ""),
        ("OTHER=1", ""),
    ],
)
def test_a_setting_is_read_from_the_env_file(tmp_path: Path, line: str, value: str) -> None:
    (tmp_path / ".env").write_text(f"FIRST=1\n{line}\n", encoding="utf-8")
    assert setting("API_KEYS", {}, tmp_path / ".env") == value


def test_the_environment_comes_before_the_env_file_unless_it_is_empty(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("API_KEYS=file\n", encoding="utf-8")
    assert setting("API_KEYS", {"API_KEYS": "shell"}, tmp_path / ".env") == "shell"
    assert setting("API_KEYS", {"API_KEYS": ""}, tmp_path / ".env") == "file"


def test_a_missing_env_file_is_no_setting(tmp_path: Path) -> None:
    assert setting("API_KEYS", {}, tmp_path / ".env") == ""


def test_case_and_punctuation_do_not_count() -> None:
    assert overlap(SENTENCE, SENTENCE.upper().replace(".", ", ")) == 1


@pytest.mark.parametrize("heard", ["", "Good morning.", "Thank you for watching.", SENTENCE * 2])
def test_too_few_or_invented_words_are_not_enough(heard: str) -> None:
    assert overlap(SENTENCE, heard) < ENOUGH


def test_one_misheard_word_is_enough() -> None:
    assert ENOUGH <= overlap(SENTENCE, SENTENCE.replace("cloud", "crowd")) < 1


def test_a_service_that_is_not_there_is_not_ready_and_says_so() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # bound but not listening: every connection is refused
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        assert not is_ready(url)
        with pytest.raises(RoundTripError, match="could not be reached"):
            speak(url, "Hello")
