"""What is never parted, and how good a break is."""

# ruff: noqa: RUF001 - the punctuation of other scripts

import pytest

from tests.asr.subtitles.speaking import speak
from voice_stack.asr.subtitles.pieces import GLYPH, cut_pieces
from voice_stack.asr.subtitles.timing import mend
from voice_stack.utils.sentence_ends import TIGHT, Boundary


def cut(tokens: str, max_columns: int = 42) -> list[tuple[str, int]]:
    pieces = cut_pieces(mend(speak(tokens.split("|")), 1_000_000), max_columns, 1000)
    return [(piece.text, piece.level) for piece in pieces]


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (" well|-known| $|100|,000| it|'s", ["well-known", "$100,000", "it's"]),
        (" Bonjour| !| Assez| ?", ["Bonjour !", "Assez ?"]),
        ("コン|ピ|ュー|ター|と|アイス|クリーム", ["コンピューター", "と", "アイスクリーム"]),
        ("「|それ|」|と|言|っ|た|。", ["「それ」", "と", "言っ", "た。"]),
        ("2026|年|3|月|，|好", ["2026年", "3月，", "好"]),
        ("ท|ี่|เ|มือง|ๆ", ["ที่", "เมืองๆ"]),
        ("你好。再见。", ["你好。", "再见。"]),
        (" New York", ["New", "York"]),
    ],
)
def test_what_belongs_together_stays_together(tokens: str, expected: list[str]) -> None:
    assert [text for text, _ in cut(tokens)] == expected


@pytest.mark.parametrize(
    ("tokens", "level"),
    [
        (" end.| Then", Boundary.SENTENCE),
        (" one,| two", Boundary.CLAUSE),
        (" one| two", Boundary.WORD),
        (" Dr.| Smith", TIGHT),
        (" 1| 000", TIGHT),
        (" -| Hello", TIGHT),
        ("好。|我", Boundary.SENTENCE),
        ("好，|我", Boundary.CLAUSE),
        ("好| 我", Boundary.CLAUSE),
        ("東京|大学", Boundary.WORD),
        ("公園|を", TIGHT),
    ],
)
def test_how_good_a_break_is(tokens: str, level: int) -> None:
    assert cut(tokens)[0][1] == level


def test_a_word_longer_than_a_line_may_break_anywhere_but_rather_after_a_sign() -> None:
    pieces = cut(" a/bcdef", max_columns=4)
    assert pieces == [("a", GLYPH), ("/", TIGHT), *((char, GLYPH) for char in "bcde"), ("f", Boundary.SENTENCE)]


def test_the_parts_of_a_word_share_its_time() -> None:
    first, second = cut_pieces(mend(speak(["你好。再见。"], chars_per_s=6), 10_000), 42, 1000)
    assert (first.start_ms, first.end_ms, second.start_ms, second.end_ms) == (0, 500, 500, 1000)


def test_a_letter_with_more_marks_than_a_line_holds_is_cut() -> None:
    assert [len(text) for text, _ in cut(" e" + "\u0301" * 9, max_columns=4)] == [4, 4, 2]
