"""The names of voices: what a file's says, and which a client may give."""

import re
import unicodedata
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_stack.core.errors import InvalidRequestError
from voice_stack.tts.engine.base import ANY_LANGUAGE
from voice_stack.tts.voices.names import collision_key, name_new_voice, parse_file_name, parse_voice_id

XTTS = "en es fr de it pt pl tr ru nl cs ar zh ja hu ko hi".split()  # noqa: SIM905 - codes read better

TRICKS = {
    "parent": "../x",
    "windows parent": "..\\x",
    "folder": "a/b",
    "absolute": "/etc/passwd",
    "drive": "C:x",
    "percent": "%2e%2e",
    "percent slash": "a%2fb",
    "fullwidth slash": "a\uff0fb",
    "fullwidth dots": "\uff0e\uff0e",
    "division slash": "a\u2215b",
    "fraction slash": "a\u2044b",
    "one dot leader": "\u2024\u2024",
    "NUL": "a\0b",
    "line feed": "a\nb",
    "escape": "\x1b[2Ja",
    "right to left override": "a\u202egpj",
    "zero width space": "a\u200bb",
    "zero width joiner": "a\u200db",
    "byte order mark": "\ufeffa",
    "hangul filler": "a\u3164",
    "hangul choseong filler": "a\u115f",
    "variation selector": "a\ufe0f",
    "tag letters": "a\U000e0041",
    "lone surrogate": "a\udc80",
    "private use": "a\ue000",
    "no-break space": "a\u00a0b",
    "ligature": "\ufb01n",
    "superscript": "a\u00b2",
    "hidden": ".a",
    "extension": "a.wav",
    "emoji": "a\U0001f600",
    "dash first": "-rf",
    "underscore first": "_a",
    "underscore last": "a_",
    "mark first": "\u0301a",
    "many marks": "a" + "\u0301\u0316\u0325\u0330\u0334",
    "long": "a" * 65,
    "long in bytes": "\U00010330" * 60,
    "endless": "a" * 1_000_000,
    "empty": "",
    "blank": "   ",
    "device": "CON",
    "device with language": "nul_en",
    "numbered": "anna_en_2",
    "first of several": "anna_en_1",
}


@pytest.mark.parametrize(
    ("file_name", "expected"),
    [
        ("anna_en.wav", ("anna", "en", "anna_en", 1)),
        ("anna_en_2.wav", ("anna", "en", "anna_en", 2)),
        ("anna_de_13.WAV", ("anna", "de", "anna_de", 13)),
        ("Anna_EN.wav", ("Anna", "en", "Anna_EN", 1)),
        ("anna_zh-cn.wav", ("anna", "zh-CN", "anna_zh-cn", 1)),
        ("anna_pt-BR_2.wav", ("anna", "pt-BR", "anna_pt-BR", 2)),
        ("old_man_fr.wav", ("old_man", "fr", "old_man_fr", 1)),
        ("anna_2_en.wav", ("anna_2", "en", "anna_2_en", 1)),
        ("narrator.wav", ("narrator", ANY_LANGUAGE, "narrator", 1)),
        ("narrator_2.wav", ("narrator_2", ANY_LANGUAGE, "narrator_2", 1)),
        ("anna_xx.wav", ("anna_xx", ANY_LANGUAGE, "anna_xx", 1)),
        ("_en.wav", ("_en", ANY_LANGUAGE, "_en", 1)),
        (unicodedata.normalize("NFD", "zoë_nl.wav"), ("zoë", "nl", "zoë_nl", 1)),
        (".anna_en.wav", None),
        (".wav", None),
        ("anna_en.mp3", None),
        ("anna_en.wav.part", None),
    ],
)
def test_a_file_name_says_speaker_language_and_number(file_name: str, expected: tuple[str, str, str, int]) -> None:
    parsed = parse_file_name(file_name)
    assert (parsed and (parsed.speaker, parsed.language, parsed.voice_id, parsed.number)) == expected


@pytest.mark.parametrize("language", XTTS)
def test_every_language_of_xtts_can_end_a_file_name(language: str) -> None:
    parsed = parse_file_name(f"anna_{language}.wav")
    assert parsed is not None
    assert (parsed.speaker, parsed.language) == ("anna", language)


@pytest.mark.parametrize(
    ("name", "language", "voice_id"),
    [
        ("anna", None, "anna_en"),
        ("anna", "de", "anna_de"),
        ("anna_de", None, "anna_de"),
        ("anna_de", "de", "anna_de"),
        ("anna", "pt_br", "anna_pt-br"),
        ("anna", "zh-cn", "anna_zh-cn"),
        ("  My own Voice ", "en", "My-own-Voice_en"),
        ("e\u0301lodie", "fr", "\u00e9lodie_fr"),
        ("हिन्दी", "hi", "हिन्दी_hi"),
        ("张伟", "zh", "张伟_zh"),
        ("محمد", "ar", "محمد_ar"),
        ("anna_2", "en", "anna_2_en"),
    ],
)
def test_a_new_voice_is_called_by_its_name_and_language(name: str, language: str | None, voice_id: str) -> None:
    made = name_new_voice(name, language)
    assert made.voice_id == voice_id
    assert parse_voice_id(voice_id) == made


@pytest.mark.parametrize("trick", TRICKS)
def test_a_name_that_plays_tricks_is_refused(trick: str) -> None:
    for language in (None, "en"):
        with pytest.raises(InvalidRequestError) as caught:
            name_new_voice(TRICKS[trick], language)
        assert caught.value.param == "name"
        assert caught.value.message.isprintable()
        assert len(caught.value.message) < 400


@pytest.mark.parametrize("language", ["xx", "english", "e", "../en", "en\0", "de-", "en-US-x"])
def test_a_language_that_is_none_is_refused(language: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        name_new_voice("anna", language)
    assert caught.value.param == "language"


def test_a_name_and_a_language_that_differ_are_refused() -> None:
    with pytest.raises(InvalidRequestError, match=r"ends in the language de, but language is fr"):
        name_new_voice("anna_de", "fr")


# Whatever is sent, what comes out is one plain file name that reads back as the same voice.
@given(st.one_of(st.text(), st.text("abAB_-./\\%: en12\u0301\u202e\uff0f", max_size=70)), st.sampled_from([None, "de"]))
def test_whatever_the_name_the_file_name_is_plain_or_none(name: str, language: str | None) -> None:
    try:
        made = name_new_voice(name, language)
    except InvalidRequestError:
        return
    file_name = f"{made.voice_id}.wav"
    assert parse_file_name(file_name) == made
    assert PurePosixPath(file_name).name == PureWindowsPath(file_name).name == file_name
    assert unicodedata.normalize("NFKC", file_name) == file_name
    assert file_name.isprintable()
    assert re.fullmatch(r"[^\s./\\:%]+\.wav", file_name)
    assert not file_name.startswith(("-", "_"))
    assert len(file_name.encode()) <= 255


def test_names_that_look_alike_collide() -> None:
    assert collision_key("Anna_EN") == collision_key("anna_en")
    assert collision_key("Straße_de") == collision_key("STRASSE_DE")
    assert collision_key("anna_en") != collision_key("anna_de")
