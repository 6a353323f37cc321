"""Where the text of a window is cut, and into which sentences."""

# ruff: noqa: ANN401 - faster-whisper has no types to name

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_stack.asr.engine.batched import _cut, _sentences, fitted_s
from voice_stack.asr.engine.fasterwhisper import FasterWhisperEngine
from voice_stack.utils.models.store import ModelStore

STAMP = 50_000

rows = st.lists(st.one_of(st.integers(0, 99), st.integers(STAMP, STAMP + 1500)), max_size=40)


@given(rows, st.floats(0.001, 30))
def test_a_cut_keeps_the_order_and_stays_in_the_window(tokens: list[int], seconds: float) -> None:
    pieces, rest_s = _cut(tokens, STAMP, seconds)
    kept = [token for piece in pieces for token in piece["tokens"]]
    assert kept == tokens[: len(kept)]
    times = [time for piece in pieces for time in (piece["start"], piece["end"])]
    assert times == sorted(times)
    assert 0 <= times[0] <= times[-1] <= seconds
    if rest_s is not None:
        assert 0.3 <= rest_s == times[-1] <= seconds - 0.6
    elif seconds - times[-1] >= 0.6:
        assert kept == tokens


@given(rows, st.floats(0.001, 30))
def test_text_that_is_left_out_begins_where_the_rest_does(tokens: list[int], seconds: float) -> None:
    pieces, rest_s = _cut(tokens, STAMP, seconds)
    left = tokens[sum(len(piece["tokens"]) for piece in pieces) :]
    if left:
        assert left[0] >= STAMP
        assert rest_s is None or pieces[-1]["tokens"][-1] >= STAMP


def stamped(*parts: float | str) -> list[int]:
    """Times as timestamps, texts as some token."""
    return [7 if isinstance(part, str) else STAMP + round(part / 0.02) for part in parts]


def test_one_timestamp_at_the_end_says_that_nobody_speaks_after_it() -> None:
    pieces, rest_s = _cut(stamped(0.0, "a", 2.0, 2.0, "b", 3.0), STAMP, 9.0)
    assert [(piece["start"], piece["end"]) for piece in pieces] == [(0.0, 2.0), (2.0, 3.0)]
    assert rest_s is None


def test_two_timestamps_or_an_unfinished_text_say_where_speech_goes_on() -> None:
    for tokens in (stamped(0.0, "a", 2.0, 2.0), stamped(0.0, "a", 2.0, 2.0, "b")):
        pieces, rest_s = _cut(tokens, STAMP, 9.0)
        assert [(piece["start"], piece["end"]) for piece in pieces] == [(0.0, 2.0)]
        assert rest_s == 2.0
        assert _cut(tokens, STAMP, 2.5)[1] is None


def test_a_text_after_a_pair_at_the_very_beginning_is_kept() -> None:
    pieces, rest_s = _cut(stamped(0.0, "a", 0.2, 0.2, "b", "c"), STAMP, 9.0)
    assert [(piece["start"], piece["end"]) for piece in pieces] == [(0.0, 0.2), (0.2, 9.0)]
    assert rest_s is None


def words(*spans: tuple[str, float, float]) -> dict[str, Any]:
    said = [{"word": text, "start": start, "end": end, "probability": 1.0} for text, start, end in spans]
    return {"seek": 0, "start": 0.0, "end": 30.0, "tokens": [], "words": said}


@pytest.fixture(scope="module")
def tokenizer(model_dir: Path) -> Any:
    engine = FasterWhisperEngine("tiny.en", ModelStore(model_dir, offline=True), device="cpu")
    engine.load()
    assert engine._decoder is not None
    return engine._decoder.tokenizer("en", "transcribe")


def cut_sentences(piece: dict[str, Any], tokenizer: Any) -> Iterator[tuple[str, float, float]]:
    for sentence in _sentences(piece, tokenizer):
        assert tokenizer.decode(sentence["tokens"]) == "".join(word["word"] for word in sentence["words"])
        yield tokenizer.decode(sentence["tokens"]), sentence["start"], sentence["end"]


def test_a_sentence_ends_with_its_mark_and_has_the_times_of_its_words(tokenizer: Any) -> None:
    piece = words(
        (" One", 0.5, 1.0), (" two.", 1.0, 1.8), (' "Three', 1.9, 2.4), (' four?"', 2.5, 3.1), (" Five", 3.2, 4)
    )
    assert list(cut_sentences(piece, tokenizer)) == [
        (" One two.", 0.5, 1.8),
        (' "Three four?"', 1.9, 3.1),
        (" Five", 3.2, 4),
    ]


def test_less_than_a_second_is_no_sentence_of_its_own_unless_a_pause_follows(tokenizer: Any) -> None:
    piece = words((" No.", 0.0, 0.3), (" Not", 0.4, 0.7), (" now.", 0.7, 1.2), (" Oh.", 1.3, 1.5), (" Well", 2.6, 3.0))
    assert list(cut_sentences(piece, tokenizer)) == [
        (" No. Not now.", 0.0, 1.2),
        (" Oh.", 1.3, 1.5),
        (" Well", 2.6, 3.0),
    ]


def test_a_piece_without_words_has_no_sentences(tokenizer: Any) -> None:
    assert list(cut_sentences(words(), tokenizer)) == []


def test_the_lengths_of_windows_grow_in_steps_up_to_the_whole_one() -> None:
    lengths = [fitted_s(seconds) for seconds in np.arange(0, 40, 0.1)]
    assert sorted(set(lengths)) == [8.0, 12.0, 16.0, 20.0, 24.0, 28.0, 30.0]
    assert all(first <= second for first, second in pairwise(lengths))
    assert all(fitted_s(seconds) >= seconds + 5 for seconds in (0.1, 3.0, 20.0, 23.0))
