"""What hypotheses agree on: given out once, never taken back, whole words only."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_stack.asr.engine.base import Piece
from voice_stack.asr.live.agreement import SURE, Agreement
from voice_stack.asr.live.text import Text
from voice_stack.asr.live.words import find_words

SPELLINGS = [
    " the",
    " The",
    " cat",
    " cats",
    ",",
    ".",
    " -",
    "'s",
    " $",
    "5",
    ".50",
    " \u3053",
    "\u3093",
    "\u0e40\u0e01",
    "\u0e49",
    " ",
    "  \u00bf",
    "x",
]

pieces_of_text = st.lists(
    st.builds(
        lambda number, probability: Piece(SPELLINGS[number], (number,), probability=probability),
        st.integers(0, len(SPELLINGS) - 1),
        st.floats(0, 1),
    ),
    max_size=8,
)


def said(*texts: str, probability: float = 1.0) -> list[Piece]:
    return [Piece(text, (hash(text),), probability=probability) for text in texts]


def text_of(pieces: Sequence[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(pieces_of_text, st.booleans()), max_size=8), st.lists(pieces_of_text, max_size=3))
def test_deltas_add_up_to_the_text_and_the_last_hypothesis_whatever_came_before(
    hypotheses: list[tuple[list[Piece], bool]], endings: list[list[Piece]]
) -> None:
    text = Text()
    deltas = []
    written = ""
    for ending in [*endings, []]:
        agreement = Agreement()
        text.begin_part()
        for tail, cut_off in hypotheses:
            before = list(agreement.given)
            # As the engine does: every hypothesis begins with what was given out.
            deltas.append(text.add(agreement.add([*before, *tail], cut_off=cut_off)))
            assert agreement.given[: len(before)] == before
        written += text_of([*agreement.given, *ending])
        deltas.append(text.add(agreement.give(ending)))
    assert "".join(deltas) == text.whole == text.whole.strip()
    assert "".join(text.whole.split()) == "".join(written.split())


@settings(max_examples=300, deadline=None)
@given(pieces_of_text)
def test_every_letter_is_in_one_word_and_words_do_not_overlap(pieces: list[Piece]) -> None:
    words = find_words(pieces)
    spelled = "".join(letter for letter in text_of(pieces) if letter.isalnum() or letter == "\u0e49").casefold()
    assert "".join(word.core for word in words) == spelled
    assert all(word.begin < word.end <= word.whole_end for word in words)
    assert all(first.whole_end <= second.begin for first, second in pairwise(words))


def test_a_word_is_given_out_when_two_hypotheses_have_it_and_a_word_after_it() -> None:
    agreement = Agreement()
    assert text_of(agreement.add(said(" The", " quick", " brow"))) == ""
    assert text_of(agreement.add(said(" The", " quick", " brown"))) == " The quick"
    assert text_of(agreement.add(said(" The", " quick", " brown"))) == ""
    assert text_of(agreement.add(said(" The", " quick", " brown", " fox"))) == " brown"


def test_where_the_audio_ends_in_a_pause_its_last_word_is_given_out_too() -> None:
    agreement = Agreement()
    agreement.add(said(" Hello", " world", "."))
    assert text_of(agreement.add(said(" Hello", " world", "."), cut_off=False)) == " Hello world"


def test_what_is_not_sure_takes_three_hypotheses() -> None:
    agreement = Agreement()
    words = [*said(" My"), *said(" aunt", probability=SURE - 0.1), *said(" said", " so")]
    assert [text_of(agreement.add([*words])) for _ in range(3)] == ["", " My", " aunt said"]


def test_punctuation_and_case_do_not_keep_words_apart_and_the_newest_is_given() -> None:
    agreement = Agreement()
    agreement.add(said(" well", ".", " I", " do"))
    assert text_of(agreement.add(said(" Well", ",", " I", ",", " do"))) == " Well, I"


def test_a_hypothesis_that_says_something_else_starts_the_count_again() -> None:
    agreement = Agreement()
    agreement.add(said(" ice", " cream", " is"))
    assert text_of(agreement.add(said(" I", " scream", " is"))) == ""
    assert text_of(agreement.add(said(" I", " scream", " is"))) == " I scream"


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        ([" twenty", "-", "five", " men"], [" twenty-five", " men"]),
        ([" $", "5", ".", "50", "!"], [" $5.50"]),
        ([" don", "'t", ",", ' "', "stop", '"'], [" don't", ' "stop']),
        (["\u3053\u3093", "\u306b", "\u3001", "\u3061\u306f"], ["\u3053\u3093", "\u306b", "\u3061\u306f"]),
        (["\u0e40\u0e01", "\u0e49", "\u0e32"], ["\u0e40\u0e01\u0e49", "\u0e32"]),
    ],
)
def test_words_end_where_they_do_in_the_script(pieces: list[str], words: list[str]) -> None:
    made = said(*pieces)
    assert [text_of(made[word.begin : word.end]) for word in find_words(made)] == words


@pytest.mark.parametrize("following", ["「世界」", "、世界", "\uff09", "ｶﾅ", "々"])
def test_no_space_comes_before_punctuation_of_scripts_that_have_none(following: str) -> None:
    text = Text()
    assert text.add([Piece("你好", (0,))]) == "你好"
    text.begin_part()
    assert text.add([Piece(following, (1,))]) == following


def test_parts_are_joined_with_a_space_where_the_script_has_one() -> None:
    text = Text()
    text.add(said(" One."))
    text.begin_part()
    assert text.add(said("Two.")) == " Two."
    text.begin_part()
    assert text.add(said("\u3053\u3093")) == "\u3053\u3093"
