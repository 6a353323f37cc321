"""Text as it is spoken: in words, each chunk in one language."""

import re
from itertools import cycle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.utils.test_sentence_ends import SENTENCES
from tests.utils.test_text import MIXED, REALISTIC, chunks
from voice_stack.utils.language.detect import LanguageDetector
from voice_stack.utils.normalise import plain_text
from voice_stack.utils.text import Boundary, TextChunk, has_speech, spoken_chunks

DETECTOR = LanguageDetector(["en", "de", "fr"])


def spoken(text: str, max_chars: int = 180, **options: Any) -> list[tuple[str, str | None]]:
    return [(chunk.text, chunk.language) for chunk in spoken_chunks(text, max_chars=lambda _: max_chars, **options)]


def test_each_sentence_is_spoken_in_its_language() -> None:
    text = "Das ist gut. This is English. Et voilà du français."
    assert spoken(text, language_of=DETECTOR.detect) == [
        ("Das ist gut.", "de"),
        ("This is English.", "en"),
        ("Et voilà du français.", "fr"),
    ]


def test_a_sentence_of_no_language_has_that_of_its_neighbour() -> None:
    options: dict[str, Any] = {"language_of": DETECTOR.detect, "default_language": "en"}
    assert spoken("OK. Das Wetter ist schön.", **options) == [("OK. Das Wetter ist schön.", "de")]
    assert spoken("Das Wetter ist heute schön. OK. 42!", **options)[-1] == ("OK. zweiundvierzig!", "de")
    assert spoken("OK. 42 km.", **options) == [("OK. forty-two kilometers.", "en")]


def test_short_sentences_of_different_languages_are_not_joined() -> None:
    languages = {"Ja.": "de", "Yes.": "en", "No.": "en", "Oui.": "fr"}
    text = "Ja. Yes. No. Oui."
    assert spoken(text, language_of=lambda sentence, _: languages[sentence.strip()]) == [
        ("Ja.", "de"),
        ("Yes. No.", "en"),
        ("Oui.", "fr"),
    ]


def test_figures_are_spoken_in_the_language_of_their_sentence() -> None:
    text = "Das kostet heute 5 €. This costs $5 today."
    assert spoken(text, language_of=DETECTOR.detect) == [
        ("Das kostet heute fünf Euro.", "de"),
        ("This costs five dollars today.", "en"),
    ]


def test_abbreviations_end_no_sentence_and_markup_makes_paragraphs() -> None:
    text = (
        "# The Title\nDr. Smith paid $5.20 at 5 p.m. on Main St. He left at once.\n\n"
        "- one item, e.g. milk\n- **two** items of it"
    )
    assert list(spoken_chunks(text, max_chars=lambda _: 180, default_language="en")) == [
        TextChunk("The Title", Boundary.PARAGRAPH, "en"),
        TextChunk(
            "Doctor Smith paid five dollars and twenty cents at five PM on Main Street.", Boundary.SENTENCE, "en"
        ),
        TextChunk("He left at once.", Boundary.PARAGRAPH, "en"),
        TextChunk("one item, for example milk.", Boundary.SENTENCE, "en"),
        TextChunk("two items of it", Boundary.PARAGRAPH, "en"),
    ]


def test_the_number_of_a_list_item_is_spoken() -> None:
    assert spoken("1. Buy the milk today\n2. Call home at once", default_language="en") == [
        ("one. Buy the milk today.", "en"),
        ("two. Call home at once", "en"),
    ]


def test_the_limit_counts_what_is_spoken_and_depends_on_the_language() -> None:
    text = "Das kostet 1.234.567,89 € und 9.876.543,21 € zusammen. It costs $1,234,567.89 and $9,876,543.21 together."
    chunks_of = list(
        spoken_chunks(text, max_chars={"de": 60, "en": 90}.__getitem__, language_of=DETECTOR.detect)  # type: ignore[arg-type]
    )
    assert {chunk.language for chunk in chunks_of} == {"de", "en"}
    for chunk in chunks_of:
        assert len(chunk.text) <= {"de": 60, "en": 90}[chunk.language or ""] or " " not in chunk.text


def test_text_may_be_left_as_it_is_written() -> None:
    assert spoken("It costs $5.", default_language="en", normalised=False) == [("It costs $5.", "en")]


def test_a_limit_below_one_character_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        list(spoken_chunks("Hello.", max_chars=lambda _: 0))


@pytest.mark.parametrize("text", ["He paid $5 on May 3rd, 2024. " * 4000, "1,234 apples and pears " * 5000])
def test_the_first_chunk_of_a_long_text_does_not_wait_for_the_rest(text: str) -> None:
    asked: list[str] = []

    def language_of(sentence: str, expected: str | None) -> str | None:
        asked.append(sentence)
        return "en"

    next(spoken_chunks(text, max_chars=lambda _: 180, language_of=language_of))
    assert sum(map(len, asked)) < 5000


PLAIN_WORDS = st.sampled_from(
    sorted({word for code in ("en", "de", "fr", "ru") for text in SENTENCES[code] for word in re.findall(r"\w+", text)})
)
ENDS = st.sampled_from(["", "", "", "", ".", ",", "!", "?", ";", ":", "\n", "\n\n"])


@settings(deadline=None, max_examples=1000)
@given(
    st.lists(st.tuples(PLAIN_WORDS, ENDS), max_size=8),
    st.integers(8, 80),
    st.lists(st.sampled_from([None, "en", "de", "pl", "ru", "zh"]), min_size=1, max_size=5),
)
def test_every_word_is_spoken_in_order(
    words: list[tuple[str, str]], max_chars: int, languages: list[str | None]
) -> None:
    tongues = cycle(languages)
    text = " ".join(word + end for word, end in words)
    out = spoken(text, max_chars, language_of=lambda *_: next(tongues), default_language="fr")
    assert re.findall(r"\w+", " ".join(chunk for chunk, _ in out)) == [word for word, _ in words]


@settings(deadline=None, max_examples=200)
@given(
    st.one_of(st.text(max_size=200), MIXED, REALISTIC), st.integers(8, 60), st.sampled_from(["en", "de", "zh", None])
)
def test_what_is_spoken_fits_and_is_not_lost_where_it_is_left_as_written(
    text: str, max_chars: int, language: str | None
) -> None:
    for chunk, _ in spoken(text, max_chars, default_language=language):
        assert has_speech(chunk)
        assert len(chunk) <= max_chars or len(chunk.split()) == 1
    assert bool(spoken(text, max_chars, default_language=language)) == bool(chunks(plain_text(text), max_chars))
