"""The formats, read back by the libraries that clients use."""

import csv
import html
import json
from collections.abc import Iterable
from io import StringIO

import pysubs2
import pytest
import webvtt
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.asr.subtitles.speaking import broken_words, spoken_words
from voice_stack.asr.engine.base import Segment, Word
from voice_stack.asr.subtitles.cues import Cue
from voice_stack.asr.subtitles.layout import lay_out
from voice_stack.asr.subtitles.timing import spoken_words as words_of
from voice_stack.asr.subtitles.writers import write_json, write_jsonl, write_srt, write_tsv, write_txt, write_vtt

CUES = [Cue(0.0, 1.4, ("Are you ready?",)), Cue(3599.9996, 3661.25, ("First & <b>line</b>", "a --> b"))]
SEGMENTS = [
    Segment(0.0, 1.5, " Tab\there.", (1, 2), -0.25, 1.1, 0.01, 0.0, 0, (Word(0.0, 1.5, " Tab\there.", 0.5),)),
    Segment(1.5, 2.0004, " Ünïcode\n“quoted”", (3,), float("nan"), 1.0, 0.0, 0.2, 100),
]


def joined(parts: Iterable[str]) -> str:
    return "".join(parts)


def milliseconds(cue: Cue) -> tuple[int, int]:
    return round(cue.start_s * 1000), round(cue.end_s * 1000)


def test_srt_is_numbered_and_has_commas() -> None:
    assert joined(write_srt(CUES)) == (
        "1\n00:00:00,000 --> 00:00:01,400\nAre you ready?\n\n"
        "2\n01:00:00,000 --> 01:01:01,250\nFirst & <b>line</b>\na --> b\n\n"
    )


def test_vtt_has_a_header_and_escapes() -> None:
    assert joined(write_vtt(CUES)) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.400\nAre you ready?\n\n"
        "01:00:00.000 --> 01:01:01.250\nFirst &amp; &lt;b&gt;line&lt;/b&gt;\na --&gt; b\n\n"
    )


def test_more_than_99_hours_are_written_in_full() -> None:
    assert "123:00:00,000 --> 123:00:01,000" in joined(write_srt([Cue(442_800.0, 442_801.0, ("Late.",))]))


def test_no_cues_and_no_segments_give_empty_files() -> None:
    assert joined(write_srt([])) == ""
    assert joined(write_vtt([])) == "WEBVTT\n\n"
    assert joined(write_txt([])) == ""
    assert joined(write_tsv([])) == "start\tend\ttext\n"
    assert joined(write_jsonl([])) == ""
    assert json.loads(joined(write_json([], "en"))) == {"segments": [], "text": "", "language": "en"}


# Readers of SubRip take <...> for tags and {...} and backslashes for those of another format: nobody can escape them.
def plain(words: list[Word]) -> list[Word]:
    return [word for word in words if not set(word.text) & set("<>{}\\")]


@settings(deadline=None)
@given(st.one_of(spoken_words(), broken_words()))
def test_every_srt_reads_back_as_it_was(words: list[Word]) -> None:
    cues = list(lay_out(plain(words), 60.0))
    events = pysubs2.SSAFile.from_string(joined(write_srt(cues)), format_="srt").events
    assert [(event.start, event.end) for event in events] == [milliseconds(cue) for cue in cues]
    assert [tuple(event.text.split(r"\N")) for event in events] == [cue.lines for cue in cues]


@settings(deadline=None)
@given(st.one_of(spoken_words(), broken_words()))
def test_every_vtt_reads_back_as_it_was(words: list[Word]) -> None:
    cues = list(lay_out(words, 60.0))
    captions = webvtt.from_string(joined(write_vtt(cues))).captions
    times = [(caption.start_time.in_milliseconds(), caption.end_time.in_milliseconds()) for caption in captions]
    assert times == [milliseconds(cue) for cue in cues]
    assert [tuple(html.unescape(caption.text).split("\n")) for caption in captions] == [cue.lines for cue in cues]


def test_txt_is_one_segment_a_line() -> None:
    assert joined(write_txt(SEGMENTS)) == "Tab here.\nÜnïcode “quoted”\n"


def test_tsv_is_in_milliseconds_and_reads_as_three_columns() -> None:
    text = joined(write_tsv(SEGMENTS))
    assert list(csv.reader(StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE)) == [
        ["start", "end", "text"],
        ["0", "1500", "Tab here."],
        ["1500", "2000", "Ünïcode “quoted”"],
    ]


def test_json_is_whispers_result_and_strict() -> None:
    def refuse(name: str) -> None:
        pytest.fail(f"{name} is not JSON")

    result = json.loads(joined(write_json(SEGMENTS, "de")), parse_constant=refuse)
    assert result["language"] == "de"
    assert result["text"] == " Tab\there. Ünïcode\n“quoted”"
    first, second = result["segments"]
    assert first["words"] == [{"word": " Tab\there.", "start": 0.0, "end": 1.5, "probability": 0.5}]
    assert (first["id"], first["seek"], first["start"], first["end"], first["tokens"]) == (0, 0, 0.0, 1.5, [1, 2])
    assert (second["id"], second["seek"], second["avg_logprob"], "words" in second) == (1, 100, None, False)


def test_jsonl_holds_the_segments_of_json_one_a_line() -> None:
    lines = joined(write_jsonl(SEGMENTS)).splitlines()
    assert [json.loads(line) for line in lines] == json.loads(joined(write_json(SEGMENTS, "en")))["segments"]


def test_segments_without_words_become_cues_too() -> None:
    cues = list(lay_out(words_of([SEGMENTS[1]]), 10.0))
    assert cues == [Cue(1.5, 2.3, ("Ünïcode “quoted”",))]
