# ruff: noqa: RUF001 - the letters and punctuation of other scripts are the point

import unicodedata
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.utils.test_sentence_ends import SENTENCES
from voice_stack.utils.text import LONGEST_WORD, Boundary, TextChunk, has_speech, split_text


def chunks(text: str, max_chars: int = 180) -> list[str]:
    return [chunk.text for chunk in split_text(text, max_chars)]


def speech_of(text: str) -> str:
    return "".join(character for character in text if has_speech(character))


def spoken_words(text: str) -> list[str]:
    return [word for word in text.split() if has_speech(word)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Yes. I have been there before.", ["Yes. I have been there before."]),
        ("I have been there before. Yes.", ["I have been there before. Yes."]),
        ("We went there once. Oh! It was so cold.", ["We went there once.", "Oh! It was so cold."]),
        ("No. No. No. Go away now!", ["No. No. No.", "Go away now!"]),
        ("你好。再见！今天的天气非常好。", ["你好。再见！", "今天的天气非常好。"]),
        ("Yes.\n\nI have been there before.", ["Yes.", "I have been there before."]),
        ("How are you today? I am fine, thank you.", ["How are you today?", "I am fine, thank you."]),
    ],
)
def test_a_very_short_sentence_joins_a_neighbour_of_its_paragraph(text: str, expected: list[str]) -> None:
    assert chunks(text) == expected


def test_a_short_sentence_stays_alone_where_no_neighbour_has_room() -> None:
    assert chunks("This one fills it up. Yes. And so does this one.", 22) == [
        "This one fills it up.",
        "Yes.",
        "And so does this one.",
    ]


def test_a_short_sentence_joins_the_one_before_where_the_next_has_no_room() -> None:
    assert chunks("It was cold. Yes. And this one is much longer.", 30) == [
        "It was cold. Yes.",
        "And this one is much longer.",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One line\nof a paragraph\r\nis joined.", [("One line of a paragraph is joined.", Boundary.PARAGRAPH)]),
        (
            "The first line ends.\nand the next is small",
            [("The first line ends.", Boundary.SENTENCE), ("and the next is small", Boundary.PARAGRAPH)],
        ),
        (
            "A title without a stop\n \t\nAnd its text.",
            [("A title without a stop", Boundary.PARAGRAPH), ("And its text.", Boundary.PARAGRAPH)],
        ),
        (
            "We have to buy:\n- some fresh milk\n- brown bread\n  and butter",
            [
                ("We have to buy:", Boundary.SENTENCE),
                ("- some fresh milk", Boundary.SENTENCE),
                ("- brown bread and butter", Boundary.PARAGRAPH),
            ],
        ),
        (
            "1. Buy milk today\n2. Call the office\n(3) Go home early",
            [
                ("1. Buy milk today", Boundary.SENTENCE),
                ("2. Call the office", Boundary.SENTENCE),
                ("(3) Go home early", Boundary.PARAGRAPH),
            ],
        ),
        (
            "# The big title\nIts text follows.\n## Another\nMore of it.",
            [
                ("# The big title", Boundary.PARAGRAPH),
                ("Its text follows.", Boundary.PARAGRAPH),
                ("## Another", Boundary.PARAGRAPH),
                ("More of it.", Boundary.PARAGRAPH),
            ],
        ),
    ],
)
def test_lines_make_paragraphs_and_lists(text: str, expected: list[tuple[str, Boundary]]) -> None:
    assert [(chunk.text, chunk.boundary) for chunk in split_text(text, 180)] == expected


@pytest.mark.parametrize("rule", ["* * *", "---", "***", "…", "🎉 🎉", "~~~~~~"])
def test_a_line_with_nothing_to_say_is_dropped_and_ends_the_paragraph(rule: str) -> None:
    assert list(split_text(f"The first part ends\n{rule}\nThe second part begins", 180)) == [
        TextChunk("The first part ends", Boundary.PARAGRAPH),
        TextChunk("The second part begins", Boundary.PARAGRAPH),
    ]


def test_a_dropped_end_of_a_paragraph_still_ends_it() -> None:
    assert list(split_text("The first part. ***\n\nThe second part.", 180)) == [
        TextChunk("The first part.", Boundary.PARAGRAPH),
        TextChunk("The second part.", Boundary.PARAGRAPH),
    ]


@pytest.mark.parametrize("text", ["", " \n\t ", "...", "?!\n\n- -", "🎉", "—", "\u200b", "\"\" ''"])
def test_text_with_nothing_to_say_has_no_chunks(text: str) -> None:
    assert chunks(text) == []


@pytest.mark.parametrize(
    ("text", "max_chars", "expected"),
    [
        (
            "The quick fox jumps over the dog, and then it goes home to sleep.",
            50,
            ["The quick fox jumps over the dog,", "and then it goes home to sleep."],
        ),
        (
            "When it rains; we stay here: at home – and sleep — all of us, long",
            36,
            ["When it rains; we stay here:", "at home – and sleep —", "all of us, long"],
        ),
        (
            "عندما تمطر السماء، نبقى في البيت؛ وننام طويلا حتى الصباح",
            34,
            ["عندما تمطر السماء، نبقى في البيت؛", "وننام طويلا حتى الصباح"],
        ),
        (
            "जब बारिश होती है, हम घर पर रहते हैं और देर तक सोते हैं",
            40,
            ["जब बारिश होती है,", "हम घर पर रहते हैं और देर तक सोते हैं"],
        ),
        ("下雨的时候我们在家，然后一直睡到早上；不出门", 12, ["下雨的时候我们在家，", "然后一直睡到早上；不出门"]),
        ("วันนี้อากาศดีมาก ไปเที่ยวทะเลกันไหม", 25, ["วันนี้อากาศดีมาก", "ไปเที่ยวทะเลกันไหม"]),
        ("雨が降ると家にいて、朝まで寝ます", 12, ["雨が降ると家にいて、", "朝まで寝ます"]),
    ],
)
def test_a_long_sentence_is_cut_at_the_ends_of_clauses(text: str, max_chars: int, expected: list[str]) -> None:
    assert chunks(text, max_chars) == expected
    ends = [chunk.boundary for chunk in split_text(text, max_chars)]
    assert ends == [Boundary.CLAUSE] * (len(expected) - 1) + [Boundary.PARAGRAPH]


def test_without_clauses_the_parts_are_of_like_length() -> None:
    parts = list(split_text(" ".join(["word"] * 41), 100))
    assert [len(part.text) for part in parts] == [69, 69, 64]
    assert [part.boundary for part in parts] == [Boundary.WORD, Boundary.WORD, Boundary.PARAGRAPH]


def test_a_clause_that_would_leave_a_tiny_rest_is_passed_over() -> None:
    assert chunks("one two three four five six seven eight nine ten, no", 50) == [
        "one two three four five six",
        "seven eight nine ten, no",
    ]


@pytest.mark.parametrize("kept", ["Dr. Smith", "No. 5", "1 000 000", "50 %", "J. R. R. Tolkien", "Nr. 7", "20 €"])
def test_a_cut_between_words_keeps_together_what_belongs_together(kept: str) -> None:
    for words in range(1, 12):
        text = " ".join(["word"] * words + [kept] + ["word"] * (12 - words))
        assert sum(kept in chunk for chunk in chunks(text, 30)) == 1


def test_the_number_of_a_list_item_stays_with_the_item() -> None:
    assert chunks("100. Buy milk today", 10) == ["100. Buy", "milk today"]


def test_text_without_spaces_is_cut_between_characters() -> None:
    text = "今天天气很好我们一起去公园散步然后回家吃饭看电视睡觉明天还要上班工作学习"
    parts = chunks(text, 20)
    assert "".join(parts) == text
    assert [len(part) for part in parts] == [18, 18]


@pytest.mark.parametrize("max_chars", range(4, 24))
def test_a_cut_between_characters_leaves_marks_and_vowels_where_they_belong(max_chars: int) -> None:
    for text in ("น้ำแข็งเปล่าไม่ใส่น้ำตาลและเก้าอี้ตัวใหญ่" * 3, "ちょっと待ってくださいってばっ" * 3):
        parts = chunks(text, max_chars)
        assert "".join(parts) == text
        assert len(parts) > 1
        for part in parts:
            assert unicodedata.category(part[0])[0] != "M"
            assert part[0] not in "ะาำๅๆょっゃゅ"
            assert part[-1] not in "เแโใไ"


def test_a_number_in_text_without_spaces_is_not_cut() -> None:
    for max_chars in range(6, 20):
        parts = chunks("圆周率大约是3.14159而第365章说人口超过1,400,000,000人从12：30开始" * 4, max_chars)
        for number in ("3.14159", "第365章", "1,400,000,000", "12：30"):
            assert sum(part.count(number) for part in parts) == 4


def test_a_long_word_is_kept_whole_up_to_the_limit_and_cut_beyond_it() -> None:
    url = "https://example.com/" + "a" * 20
    assert chunks(f"Go to {url} now", 10) == ["Go to", url, "now"]
    longest = "x" * 10 * LONGEST_WORD
    assert chunks(longest, 10) == [longest]
    assert chunks(longest + "x", 10) == ["x" * 10] * LONGEST_WORD + ["x"]


def test_a_long_word_is_not_cut_inside_of_a_character() -> None:
    text = "e\u0301" * 500
    parts = chunks(text, 15)
    assert "".join(parts) == text
    assert {len(part) for part in parts} <= {14, 6}
    devanagari = "क्ष" * 200
    assert all(part.startswith("क्ष") for part in chunks(devanagari, 11))


def test_less_than_one_character_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        split_text("Hello.", 0)


def test_chunks_come_lazily() -> None:
    assert isinstance(split_text("Hello.", 10), Iterator)
    endless = split_text("Here is a sentence. " * 100_000, 100)
    assert next(endless).text == "Here is a sentence."


REALISTIC_WORDS = st.sampled_from(
    [word for sentences in SENTENCES.values() for sentence in sentences for word in sentence.split()]
    + ["Dr.", "U.S.", "e.g.", "No.", "5", "3.14", "1,000", "$5.00", "https://a.example/b?c.", '"Go!"', "(well)"]
    + ["a", "I", "J.", "1.", "yes,", "then;", "—", "-", "...", "?!", "«", "»", "¿", "%", "€", "x" * 30],
)
GAPS = st.sampled_from([" ", " ", " ", " ", "\n", "\n\n", "  ", "\r\n", "\t", "\u00a0", "\n- ", "\n# "])
REALISTIC = st.lists(st.tuples(REALISTIC_WORDS, GAPS), max_size=60).map(
    lambda pairs: "".join(word + gap for word, gap in pairs)
)
MIXED = st.text(alphabet="ab AB.!?,;:-—\"'()«»\n 你好。，「」เา้กखि्।\u200d0123👋\ud800\u0301ー", max_size=300)
MAX_CHARS = st.integers(min_value=1, max_value=60)


@settings(deadline=None, max_examples=1000)
@given(st.lists(REALISTIC_WORDS.filter(has_speech), max_size=25).map(" ".join), st.integers(8, 80))
def test_the_words_out_are_the_words_in(text: str, max_chars: int) -> None:
    assert " ".join(chunks(text, max_chars)).split() == text.split()


@settings(deadline=None)
@given(REALISTIC, st.integers(8, 80))
def test_only_words_with_nothing_to_say_are_dropped(text: str, max_chars: int) -> None:
    assert spoken_words(" ".join(chunks(text, max_chars))) == spoken_words(text)


@settings(deadline=None)
@given(st.one_of(st.text(max_size=300), MIXED, REALISTIC), MAX_CHARS)
def test_no_letter_or_digit_is_lost_or_moved(text: str, max_chars: int) -> None:
    assert speech_of("".join(chunks(text, max_chars))) == speech_of(text)


@settings(deadline=None)
@given(st.one_of(st.text(max_size=300), MIXED, REALISTIC), MAX_CHARS)
def test_every_chunk_has_something_to_say_and_fits(text: str, max_chars: int) -> None:
    for chunk in chunks(text, max_chars):
        assert chunk == " ".join(chunk.split())
        assert has_speech(chunk)
        if len(chunk) > max_chars:
            assert len(chunk.split()) == 1
            assert len(chunk) <= LONGEST_WORD * max_chars


@settings(deadline=None)
@given(st.one_of(MIXED, REALISTIC), st.integers(8, 60))
def test_the_last_chunk_ends_a_paragraph(text: str, max_chars: int) -> None:
    boundaries = [chunk.boundary for chunk in split_text(text, max_chars)]
    assert boundaries[-1:] in ([], [Boundary.PARAGRAPH])


@settings(deadline=None)
@given(st.sampled_from(sorted(SENTENCES)), st.integers(40, 200))
def test_a_chunk_cut_again_is_itself(language: str, max_chars: int) -> None:
    for chunk in chunks(" ".join(SENTENCES[language] * 3), max_chars):
        assert chunks(chunk, max_chars) == [chunk]


# Sized so that anything quadratic would take hours.
ADVERSARIAL = {
    "dots": "." * 200_000,
    "quotes": '"' * 200_000,
    "spaces": " " * 200_000,
    "dots and quotes": '."' * 100_000,
    "initials": "a. " * 70_000,
    "no spaces": "x" * 200_000,
    "closing marks": "a" + " »" * 100_000,
    "opening marks": "a " + "(" * 200_000,
    "commas": "a," * 100_000,
    "marks on one letter": "e" + "\u0301" * 200_000,
    "Chinese without marks": "你" * 200_000,
    "Chinese with dots": "你." * 100_000,
    "Thai vowels": "เ" * 200_000,
    "line ends": "a\r\n" * 70_000,
    "paragraphs": "a\n\n" * 70_000,
    "words": "word " * 200_000,
    "emoji": "👋" * 200_000 + "a👋" * 50_000,
    "joiners": "م\u200c" * 100_000 + "\u200d" * 100_000,
}


@pytest.mark.parametrize("text", ADVERSARIAL.values(), ids=ADVERSARIAL.keys())
def test_long_hostile_text_is_cut_in_linear_time(text: str) -> None:
    assert speech_of("".join(chunks(text, 180))) == speech_of(text)
