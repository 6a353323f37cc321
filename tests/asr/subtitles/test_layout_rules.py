"""What holds for any words with any times."""

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import count, islice, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.asr.subtitles.speaking import broken_words, speak, spoken_words, token_lists, tokens_of
from voice_stack.asr.engine.base import Word
from voice_stack.asr.subtitles.cues import Cue, LayoutOptions
from voice_stack.asr.subtitles.layout import lay_out
from voice_stack.utils.glyphs import columns

OPTIONS = LayoutOptions()
CLOSE = 1e-6  # times are whole milliseconds; their differences in floating point nearly are

words_of_any_kind = st.one_of(broken_words(), spoken_words())
some_options = st.builds(
    LayoutOptions,
    max_line_chars=st.sampled_from([2, 10, 37, 42]),
    max_lines=st.integers(1, 3),
    min_cue_s=st.sampled_from([0.5, 0.8, 1.5]),
    max_cue_s=st.sampled_from([1.5, 6.0, 7.0]),
    max_chars_per_s=st.sampled_from([5.0, 17.0, 20.0]),
    pause_s=st.sampled_from([0.3, 1.0, 5.0]),
)


def essence(text: str) -> str:
    """A text without white space and control characters."""
    return re.sub(r"[\s\0\ufeff]", "", text)


def room_after(cues: list[Cue], duration_s: float) -> list[float]:
    """How long each cue could have stayed: until the next begins, or the audio ends."""
    untils = [*(cue.start_s for cue in cues), duration_s][1:]
    return [until - cue.start_s for cue, until in zip(cues, untils, strict=True)]


@settings(deadline=None)
@given(words_of_any_kind, some_options, st.sampled_from([0.0, 0.01, 3.0, 30.0, 4000.0]))
def test_nothing_is_lost_and_the_order_stays(words: list[Word], options: LayoutOptions, duration_s: float) -> None:
    cues = list(lay_out(words, duration_s, options))
    shown = "".join(line for cue in cues for line in cue.lines)
    assert essence(shown) == essence("".join(word.text for word in words))


@settings(deadline=None)
@given(spoken_words())
def test_the_text_reads_as_the_engine_gave_it(words: list[Word]) -> None:
    shown = " ".join(line for cue in lay_out(words, 1000.0) for line in cue.lines)
    given_text = re.sub(r"[\0\ufeff]", "", "".join(word.text for word in words))
    # Lines may break where there was no space; everywhere else the spaces are those of the words.
    assert re.fullmatch(r"\s*".join(map(re.escape, shown.split())), " ".join(given_text.split())) is not None


@settings(deadline=None)
@given(words_of_any_kind, some_options, st.sampled_from([0.0, 0.01, 3.0, 30.0, 4000.0]))
def test_cues_lie_inside_the_audio_and_do_not_overlap(
    words: list[Word], options: LayoutOptions, duration_s: float
) -> None:
    cues = list(lay_out(words, duration_s, options))
    times = [time for cue in cues for time in (cue.start_s, cue.end_s)]
    assert times == sorted(times)
    assert all(0 <= time <= duration_s for time in times)


@settings(deadline=None)
@given(words_of_any_kind, some_options)
def test_lines_keep_their_limits(words: list[Word], options: LayoutOptions) -> None:
    for cue in lay_out(words, 30.0, options):
        assert 1 <= len(cue.lines) <= options.max_lines
        for line in cue.lines:
            assert line == line.strip() != ""
            assert columns(line) <= options.max_line_chars


def test_only_a_character_wider_than_a_line_breaks_the_limit() -> None:
    cues = list(lay_out(speak(["世", "a"]), 5.0, LayoutOptions(max_line_chars=1, max_lines=1)))
    assert [cue.lines for cue in cues] == [("世",), ("a",)]


@settings(deadline=None)
@given(words_of_any_kind, some_options)
def test_no_cue_stays_too_long(words: list[Word], options: LayoutOptions) -> None:
    for cue in lay_out(words, 30.0, options):
        assert cue.end_s - cue.start_s <= options.max_cue_s + CLOSE


@settings(deadline=None)
@given(words_of_any_kind, some_options)
def test_cues_touch_or_are_well_apart(words: list[Word], options: LayoutOptions) -> None:
    for cue, following in pairwise(lay_out(words, 30.0, options)):
        gap_s = following.start_s - cue.end_s
        assert gap_s == 0 or gap_s >= options.gap_s - CLOSE


@settings(deadline=None)
@given(words_of_any_kind, some_options)
def test_a_cue_too_fast_to_read_uses_all_the_time_there_is(words: list[Word], options: LayoutOptions) -> None:
    cues = list(lay_out(words, 30.0, options))
    for cue, room_s in zip(cues, room_after(cues, 30.0), strict=True):
        shown_s = cue.end_s - cue.start_s
        if sum(map(columns, cue.lines)) > options.max_chars_per_s * (shown_s + 0.001):
            most_s = room_s if room_s <= options.max_cue_s else min(room_s - options.gap_s, options.max_cue_s)
            assert shown_s >= most_s - CLOSE


@settings(deadline=None, max_examples=300)
@given(spoken_words())
def test_no_cue_flashes_by_in_speech(words: list[Word]) -> None:
    duration_s = words[-1].end_s + 0.8 if words else 0.0
    for cue in lay_out(words, duration_s):
        assert cue.end_s - cue.start_s >= OPTIONS.min_cue_s - CLOSE


def test_a_last_word_at_the_very_end_is_shown_early() -> None:
    words = [Word(1.0, 1.5, " Wait.", 0.9), Word(9.8, 10.2, " Now!", 0.9)]
    assert list(lay_out(words, 10.0)) == [Cue(1.0, 1.8, ("Wait.",)), Cue(9.2, 10.0, ("Now!",))]


def test_words_past_the_end_share_the_time_that_is_left() -> None:
    words = [Word(11.0, 12.0, " Something.", 0.9), Word(13.0, 14.0, " Somewhere.", 0.9)]
    cues = list(lay_out(words, 10.0, LayoutOptions(max_line_chars=12, max_lines=1)))
    assert [(cue.start_s, cue.end_s) for cue in cues] == [(9.2, 9.6), (9.6, 10.0)]


def test_a_gap_that_the_longest_cue_would_leave_is_not_too_small() -> None:
    options = LayoutOptions(min_cue_s=1.5, max_cue_s=1.5, pause_s=0.3)
    first, second = lay_out([Word(0.0, 0.5, " One.", 0.9), Word(1.55, 2.0, " Two.", 0.9)], 10.0, options)
    assert second.start_s - first.end_s == pytest.approx(options.gap_s)


def test_words_without_times_are_spread_over_the_audio() -> None:
    words = [Word(0.0, 0.0, token, 0.9) for token in tokens_of("Nobody knows when any of this was said. " * 8)]
    cues = list(lay_out(words, 60.0))
    assert len(cues) >= 4
    assert all(cue.end_s - cue.start_s >= OPTIONS.min_cue_s - CLOSE for cue in cues)


def test_one_wild_time_does_not_drag_the_others_along() -> None:
    words = speak(tokens_of("One two three four five six seven eight nine ten eleven twelve. " * 3))
    wild = [replace(word, start_s=1e9, end_s=1e9) if number == 4 else word for number, word in enumerate(words)]
    assert [cue.start_s for cue in lay_out(wild, 60.0)] == [cue.start_s for cue in lay_out(words, 60.0)]


@settings(deadline=None)
@given(st.floats(0.5, 1.0), token_lists(languages=["english", "german", "hebrew", "arabic", "hindi"]))
def test_speech_at_an_easy_speed_can_be_read(pace: float, tokens: list[str]) -> None:
    words = speak(tokens, chars_per_s=14 * pace)
    for cue in lay_out(words, 1000.0):
        assert sum(map(columns, cue.lines)) <= OPTIONS.max_chars_per_s * (cue.end_s - cue.start_s) + CLOSE


@settings(deadline=None)
@given(spoken_words())
def test_a_long_pause_parts_cues(words: list[Word]) -> None:
    said = [word for word in words if re.search(r"[^\W_]", word.text)]
    starts = [cue.start_s for cue in lay_out(words, 1000.0)]
    for word, following in pairwise(said):
        silent = words[words.index(word) + 1] is following
        if silent and following.text.startswith(" ") and following.start_s - word.end_s >= 1.3:
            assert any(word.start_s < start <= following.start_s + 0.001 for start in starts)


@settings(deadline=None)
@given(broken_words())
def test_layout_does_not_depend_on_how_words_arrive(words: list[Word]) -> None:
    assert list(lay_out(iter(words), 30.0)) == list(lay_out(words, 30.0))


def test_cues_come_while_words_still_arrive() -> None:
    pulled = 0

    def endless() -> Iterator[Word]:
        nonlocal pulled
        for pulled in count(1):
            yield Word(pulled * 0.25, pulled * 0.25 + 0.25, " word", 0.9)

    shown = 0
    for cue in islice(lay_out(endless(), 1e9), 300):
        shown += len(" ".join(cue.lines).split())
        assert pulled - shown < 300


def test_silence_has_no_cues() -> None:
    assert list(lay_out([], 60.0)) == []
    assert list(lay_out([Word(0.0, 1.0, " ", 0.1), Word(1.0, 2.0, "\n", 0.1)], 60.0)) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"max_line_chars": 0},
        {"max_lines": 0},
        {"min_cue_s": 0.0},
        {"min_cue_s": 8.0},
        {"max_chars_per_s": 0.0},
        {"pause_s": 0.0},
        {"gap_s": 0.6},
        {"gap_s": -0.1},
    ],
)
def test_options_out_of_range_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        LayoutOptions(**changes)  # type: ignore[arg-type]
