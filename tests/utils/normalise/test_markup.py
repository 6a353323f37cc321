import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_stack.utils.normalise import plain_text


@pytest.mark.parametrize(
    ("markup", "plain"),
    [
        (
            "Some **bold**, *thin*, __bold__, _thin_, ~~old~~ and ==marked== text",
            "Some bold, thin, bold, thin, old and marked text",
        ),
        ("a [link](http://a.b/c_(d) 'title') and ![a picture](x.png)", "a link and a picture"),
        ("[![badge](b.svg)](https://ci.example)", "badge"),
        ("a [reference][1] and <https://a.example/x>", "a reference and https://a.example/x"),
        ("claimed[^1] so", "claimed so"),
        ("[1]: http://a.example 'Title'\ntext", "\ntext"),
        ("run `pip install` now", "run pip install now"),
        ("```python\nx = 1\n```", "\nx = 1\n"),
        ("> quoted\n> > twice", "quoted\ntwice"),
        ("* one\n+ two\n• three\n- [x] done", "- one\n- two\n- three\n- done"),
        ("1. one\n2. two", "1. one\n2. two"),
        ("<b>Hi</b> <a href='x'>there</a>", "Hi there"),
        ("one<br/>two", "one\ntwo"),
        ("<!-- hidden -->seen", "seen"),
        ("Tom &amp; Jerry &#8212; &lt;3 AT&T", "Tom & Jerry — <3 AT&T"),
        (r"not \*thin\*", "not *thin*"),
    ],
)
def test_markup_is_taken_off_and_its_words_stay(markup: str, plain: str) -> None:
    assert plain_text(markup) == plain


def test_a_heading_is_a_paragraph_of_its_own() -> None:
    assert plain_text("Before\n## A title ##\nAfter").split("\n\n") == ["Before", "A title", "After"]


def test_the_rows_of_a_table_are_lines_with_commas() -> None:
    table = "| Name | Age |\n|------|:---:|\n| Anna | 30 |"
    assert plain_text(table).split() == ["Name,", "Age", "Anna,", "30"]


@pytest.mark.parametrize(
    "text",
    [
        "a < b and c > d",
        "2*3*4 = 24",
        "snake_case_name",
        "x <y and z> w",
        "5 * 3",
        "C:\\path",
        "#1 and #tag",
        "a | b",
        "R&D;",
        "~5",
    ],
)
def test_what_only_looks_like_markup_stays(text: str) -> None:
    assert plain_text(text) == text


@settings(deadline=None, max_examples=200)
@given(st.text(alphabet="ab *_`~=#>-|[]()!<>&;\n\\1.", max_size=60))
def test_no_markup_is_too_strange(text: str) -> None:
    plain = plain_text(text)
    assert plain_text(plain) is not None
