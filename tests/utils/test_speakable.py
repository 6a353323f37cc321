# ruff: noqa: RUF001 - the letters and punctuation of other scripts are the point

import re
import sys
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_stack.utils.text import has_speech, strip_unspeakable


def speech_of(text: str) -> str:
    return "".join(character for character in text if has_speech(character))


@pytest.mark.parametrize("text", ["a", "7", "…ok…", "ñ", "你", "ไ", "ا", "क", "Ω", "½", "①", "1️⃣", "👋 hi"])
def test_letters_and_digits_of_any_script_are_speech(text: str) -> None:
    assert has_speech(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        "?!…",
        "👋",
        "👨‍👩‍👧",
        "🇩🇪",
        "\0\x07",
        "\ufe0f",
        "\u200b\u200d",
        "_",
        "$%&",
        "\ud800",
        "\u3164",
        "#️⃣",
    ],
)
def test_punctuation_symbols_and_emoji_are_not_speech(text: str) -> None:
    assert not has_speech(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hi👋there", "hi there"),
        ("hi 👋 there", "hi there"),
        ("👋 hi", "hi"),
        ("a👨‍👩‍👧‍👦b", "a b"),
        ("thumbs👍🏽up", "thumbs up"),
        ("🇩🇪 Deutschland", "Deutschland"),
        ("I ❤️ you", "I you"),
        ("🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f England", "England"),
        ("press 1️⃣ or 2️⃣", "press 1 or 2"),
        ("one\0two\x07three", "one two three"),
        ("wo\u200brd \u202bword\u202c \ufeffword soft\u00adhyphen", "word word word softhyphen"),
        ("a\ud800b", "a b"),
        ("icon \ue000 font", "icon font"),
        ("line\r\nline\rline\u2028line", "line\nline\nline\nline"),
        ("tab\tand\nnewline", "tab\tand\nnewline"),
        ("wo\u200drd wo\u200crd", "word word"),
        ("5 € & 3% + $2 = ½, 20 °C © № #1 @home", "5 € & 3% + $2 = ½, 20 °C © № #1 @home"),
        ("«¿Qué?», “no” – 'yes'…", "«¿Qué?», “no” – 'yes'…"),
        ("می\u200cروم", "می\u200cروم"),
        ("क्\u200dष र्\u200cय", "क्\u200dष र्\u200cय"),
        ("ശ\u0d4d\u200d", "ശ\u0d4d\u200d"),
        ("سلام👋\u200cخوب", "سلام خوب"),
        ("", ""),
    ],
)
def test_what_has_no_sound_is_removed_without_joining_words(text: str, expected: str) -> None:
    assert strip_unspeakable(text) == expected


def test_every_letter_and_digit_of_unicode_survives_the_cleaning() -> None:
    letters = "".join(letter for letter in map(chr, range(sys.maxunicode + 1)) if has_speech(letter))
    assert len(letters) > 130_000
    assert strip_unspeakable(letters) == letters


ANY_TEXT = st.one_of(
    st.text(),
    st.text(alphabet="ab .!?\n\r\t\0你เ้กखि्م\u200b\u200c\u200d\u202e1\ufe0f\u20e3👋👨👩🏽🇩🇪❤\ud800\ue000"),
)


@settings(deadline=None)
@given(ANY_TEXT)
def test_cleaned_text_is_free_of_what_has_no_sound(text: str) -> None:
    cleaned = strip_unspeakable(text)
    assert not [c for c in cleaned if unicodedata.category(c) in {"Cc", "Cs", "Co"} and c not in "\n\t"]
    assert not re.search("[\u200b\u200e\u200f\u202a-\u202e\ufe00-\ufe0f\ufeff\U0001f300-\U0001faff]", cleaned)


@settings(deadline=None)
@given(ANY_TEXT)
def test_cleaning_keeps_speech_and_happens_once(text: str) -> None:
    cleaned = strip_unspeakable(text)
    assert speech_of(cleaned) == speech_of(text)
    assert strip_unspeakable(cleaned) == cleaned


@settings(deadline=None)
@given(st.text(alphabet=st.characters(max_codepoint=0x17F, categories=["L", "N", "P", "Sc", "Sm", "Zs"])))
def test_text_without_emoji_or_controls_is_unchanged(text: str) -> None:
    assert strip_unspeakable(text) == text


# Sized so that anything quadratic would take hours.
@pytest.mark.parametrize(
    "text",
    [
        " " * 200_000,
        "👋" * 200_000,
        "👋 " * 100_000,
        "a👋" * 100_000,
        "م\u200c" * 100_000,
        "\u200d" * 200_000,
        "\r" * 200_000,
    ],
    ids=["spaces", "emoji", "spaced emoji", "emoji in words", "joined letters", "joiners", "line ends"],
)
def test_long_hostile_text_is_cleaned_in_linear_time(text: str) -> None:
    assert speech_of(strip_unspeakable(text)) == speech_of(text)
