# ruff: noqa: RUF001 - the punctuation of other scripts is part of the matter

import time
from collections.abc import Iterator, Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_stack.tts.incremental.cutter import Cue, Haste, StreamCutter
from voice_stack.tts.incremental.feed import Mark
from voice_stack.utils.normalise import plain_text
from voice_stack.utils.text import Boundary, has_speech, spoken_chunks, strip_unspeakable

PLAIN = (
    "Hello the cat Dr. Smith 3. 14 etc. St. The a z. B. wow! really? (well) » « ... … *** — - 1. 2) OK fine. Yes. "
    "$5.50 10 https://a.bc/?x=1 **bold** **Oh! _it_ `code` x.** J. R. I am Oktober 5. e.g. it’s 👍 • + ## ``` ~~~"
)
WORDS = (
    *PLAIN.split(),
    *(
        '"No!"',
        '"Yes.',
        "[a b](http://c.d)",
        "[a. B",
        "C](d e)",
        "](",
        "![x](y)",
        "[^1]",
        "[1]: x",
        "<b>",
        "<br>",
        "<a",
    ),
    *('<a href="U. V">', "<!-- w. V -->", '<a\nhref="U. V">', '[t](u "v. W")', "<br># h", "x ](y"),
    *(
        "你好。再见！今天",
        "世界",
        "「はい。」",
        "と言った",
        "de\u0301j",
        "a\u0301",
        "&amp;",
        "a<b",
        "| a | b |",
        "|---|",
        "x" * 50,
    ),
)
GAPS = (" ", " ", " ", "", "\n", "\n\n", "\r\n", "\t", "\u2028")
TEXTS = st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(GAPS)), max_size=25).map(
    lambda pairs: "".join(word + gap for word, gap in pairs)
)


def cut_anywhere(text: str, places: Sequence[float]) -> Iterator[str]:
    cuts = sorted({0, len(text), *(round(place * len(text)) for place in places)})
    return (text[start:end] for start, end in pairwise(cuts))


def language_of(text: str, expected: str | None) -> str | None:
    return "de" if "Oktober" in text else "en" if "the" in text else expected


def cues(
    pieces: Iterator[str | Mark], hastes: Sequence[Haste] = (), *, some: bool = False, most: int = 60
) -> list[Cue]:
    cutter = StreamCutter(lambda _: most, language_of if some else None, "en" if some else None)
    hurry = iter(hastes)
    found = []
    for piece in (*pieces, Mark.COMMIT):
        cutter.add(piece)
        while (cue := cutter.next(Haste.NONE)) is not None:
            found.append(cue)
        if isinstance(piece, str):
            haste = next(hurry, Haste.NONE)
            while (cue := cutter.next(haste)) is not None:
                found.append(cue)
    assert cutter.is_empty
    return found


def letters(text: str) -> str:
    return "".join(character for character in text if has_speech(character))


@settings(max_examples=150, deadline=None)
@given(text=TEXTS, places=st.lists(st.floats(0, 1), max_size=40), some=st.booleans(), most=st.sampled_from([20, 60]))
def test_chunks_are_those_of_the_whole_text_wherever_it_is_cut(
    text: str, places: list[float], some: bool, most: int
) -> None:
    whole = spoken_chunks(
        strip_unspeakable(text),
        max_chars=lambda _: most,
        language_of=language_of if some else None,
        default_language="en" if some else None,
    )
    found = cues(cut_anywhere(text, places), some=some, most=most)
    assert [cue.chunk for cue in found] == list(whole)
    assert [cue.gap for cue in found][1:] == [cue.chunk.boundary for cue in found][:-1]


@settings(max_examples=150, deadline=None)
@given(text=TEXTS, places=st.lists(st.floats(0, 1), max_size=40), hurried=st.lists(st.booleans(), max_size=40))
def test_all_is_spoken_once_and_in_order_however_much_somebody_hurries(
    text: str, places: list[float], hurried: list[bool]
) -> None:
    hastes = [Haste.LISTENER if one else Haste.NONE for one in hurried]
    found = cues(cut_anywhere(text, places), hastes)
    assert letters("".join(cue.chunk.text for cue in found)) == letters(plain_text(strip_unspeakable(text)))


def heard(*pieces: str, haste: Haste = Haste.LISTENER) -> list[list[str]]:
    """What can be said after each piece, and at the end."""
    cutter = StreamCutter(lambda _: 60, None, None)
    found: list[list[str]] = []
    everything: list[str | Mark] = [*pieces, Mark.COMMIT]
    for piece in everything:
        cutter.add(piece)
        found.append([])
        while (cue := cutter.next(haste if isinstance(piece, str) else Haste.NONE)) is not None:
            found[-1].append(cue.chunk.text)
    return found


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (["How are you doing", "?"], [[], ["How are you doing?"], []]),
        (["How are you doing?", "!", '"', " Well"], [["How are you doing?"], [], [], [], ["Well"]]),
        (["How are you doing.", " We"], [[], ["How are you doing."], ["We"]]),
        (["Look at example.", "com for more.", " Or"], [[], [], ["Look at example.com for more."], ["Or"]]),
        (["See https://a.bc/?", "x=1 and read."], [[], [], ["See https://a.bc/?x=1 and read."]]),
        (["This costs 3.", "14 euros", "."], [[], [], [], ["This costs 3.14 euros."]]),
        (["He came on 3.", " Okt", "ober at", " six"], [[], [], [], [], ["He came on 3. Oktober at six"]]),
        (["We met on Main St.", " The", " cat"], [[], [], ["We met on Main St."], ["The cat"]]),
        (["We met in St.", " The", "resa’s"], [[], [], [], ["We met in St. Theresa’s"]]),
        (['"Is he there?', '" he asked.', " Yes"], [[], [], ['"Is he there?" he asked.'], ["Yes"]]),
        (["Oh no!", " That is all.", " I"], [[], [], ["Oh no! That is all."], ["I"]]),
        (["Sure!", "\n", "\n", "Here it is"], [[], [], ["Sure!"], [], ["Here it is"]]),
        (["- some milk\n", "- some", " bread\n"], [[], [], ["- some milk."], ["- some bread"]]),
        (["## A long title", " of it", "\n", "And"], [[], [], ["A long title of it"], [], ["And"]]),
        (
            ["[It is here.", " Now](http://a.b/c) it goes on."],
            [[], [], ["It is here.", "Now it goes on."]],
        ),
        (["**This is bold!", "** And so on"], [["This is bold!"], [], ["And so on"]]),
        (["今天天气很好。", "我们去公园"], [["今天天气很好。"], [], ["我们去公园"]]),
        (["今天天气很好。我们", "去公园"], [["今天天气很好。"], [], ["我们去公园"]]),
        (["caf", "e", "\u0301 is open. ", "A"], [[], [], [], ["cafe\u0301 is open."], ["A"]]),
    ],
)
def test_what_is_surely_a_sentence_is_said_at_once(pieces: list[str], expected: list[list[str]]) -> None:
    assert heard(*pieces) == expected


@pytest.mark.parametrize(
    ("text", "is_said"),
    [
        ("It is open.", True),
        ("It is so, etc.", True),
        ('"It is so."', True),
        ("Yes!", True),
        ("A line with no stop\n", True),
        ("I saw Dr.", False),
        ("It costs 3.", False),
        ("It began in 1999.", True),
        ("It is not over", False),
        ("It is not over,", False),
        ("e.g.", False),
        ("See [this one.", False),
    ],
)
def test_a_pause_ends_what_would_be_a_sentence_if_another_began(text: str, is_said: bool) -> None:
    assert [said.rstrip(".") for said in heard(text, haste=Haste.PAUSE)[0]] == [text.strip().rstrip(".")] * is_said


def test_a_sentence_without_an_end_is_cut_when_it_is_too_long() -> None:
    text = "There are many words here, and they go on and on, and more of them come all the time and never stop"
    parts = heard(*text.partition(" never"))
    assert parts[0] == ["There are many words here, and they go on and on,"]
    assert " ".join(part for found in parts for part in found) == text


def test_the_pause_is_that_of_a_paragraph_though_its_end_came_later() -> None:
    pieces = iter(["How are you today?", "\n\nI am", " fine."])
    first, second = cues(pieces, [Haste.LISTENER] * 3)
    assert (first.chunk.boundary, first.gap, second.gap) == (Boundary.SENTENCE, None, Boundary.PARAGRAPH)


def test_a_flush_ends_words_and_sentences_where_they_are() -> None:
    cutter = StreamCutter(lambda _: 60, None, None)
    said = []
    pieces: list[str | Mark] = ["One thi", Mark.FLUSH, "ng and", " another", Mark.FLUSH, Mark.FLUSH, Mark.COMMIT]
    for piece in pieces:
        cutter.add(piece)
        while (cue := cutter.next(Haste.NONE)) is not None:
            said.append(cue.chunk.text)
    assert said == ["One thi", "ng and another"]


@pytest.mark.parametrize(
    "nasty", ["<b x\n", "<!-- ", "[ ", "[a](b ", "](", "# ", "| ", "a", "a ", "&a; ", "< ", "。", "“ "]
)
def test_no_text_takes_long(nasty: str) -> None:
    text = nasty * (8_000 // len(nasty))
    began_at = time.process_time()
    cues((text[start : start + 20] for start in range(0, len(text), 20)), [Haste.LISTENER] * 1000)
    assert time.process_time() - began_at < 4
