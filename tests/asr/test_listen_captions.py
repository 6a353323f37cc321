"""What ``voice-stack listen`` shows, and what it reads."""

import io
import json
import os
import threading
import wave
from itertools import pairwise
from pathlib import Path

import numpy as np
import pysubs2
import pytest
import webvtt
from numpy.typing import NDArray

from tests.support.speech import wav_bytes
from voice_stack.asr.listen.captions import CaptionFormat, captions_for
from voice_stack.asr.listen.sources import PipeSource
from voice_stack.asr.live.events import (
    Committed,
    Completed,
    Delta,
    Failed,
    LiveEvent,
    SegmentDone,
    SpeechStarted,
    SpeechStopped,
)
from voice_stack.core.errors import EngineError, InvalidAudioError
from voice_stack.utils.audio.pcm import float_to_int16

LONG = " and then the long train of many waggons left for the distant harbour" * 4

EVENTS: list[LiveEvent] = [
    SpeechStarted("item_a", 0.7),
    Delta("item_a", " Good"),
    Delta("item_a", " morning."),
    SpeechStopped("item_a", 2.5),
    Committed("item_a", None),
    SegmentDone("item_a", 1.0, 2.0, " Good morning."),
    Completed("item_a", " Good morning.", 1.8, "en"),
    SpeechStarted("item_b", 3.0),
    SpeechStopped("item_b", 3.6),
    Committed("item_b", "item_a"),
    Completed("item_b", "", 0.6, None),
    SpeechStarted("item_c", 3.9),
    Delta("item_c", " Broken"),
    Failed("item_c", EngineError("It broke.")),
    SpeechStarted("item_d", 20.0),
    Delta("item_d", LONG),
    SegmentDone("item_d", 20.3, 36.91234, LONG),
    SpeechStopped("item_d", 37.0),
    Committed("item_d", "item_c"),
    Completed("item_d", LONG, 17.0, "en"),
    SpeechStarted("item_e", 37.0),
    SegmentDone("item_e", 37.0, 37.1, " Yes."),
    SpeechStopped("item_e", 37.3),
    Completed("item_e", " Yes.", 0.3, "en"),
]


def shown(format_: CaptionFormat, events: list[LiveEvent] = EVENTS, *, growing: bool = False) -> str:
    captions = captions_for(format_, growing=growing)
    return captions.begin() + "".join(map(captions.add, events)) + captions.end()


def test_a_pipe_gets_a_line_for_each_utterance_that_says_something() -> None:
    assert shown("text") == f"Good morning.\n{LONG.strip()}\nYes.\n"


def test_a_terminal_gets_each_word_when_it_is_heard_and_a_new_line_when_the_utterance_is_complete() -> None:
    captions = captions_for("text", growing=True)
    assert [captions.add(event) for event in EVENTS[:7]] == ["", "Good", " morning.", "", "", "", "\n"]
    assert shown("text", EVENTS[:14], growing=True) == "Good morning.\nBroken\n"
    assert shown("text", EVENTS[:2], growing=True) == "Good\n"


def test_json_lines_hold_every_event() -> None:
    lines = [json.loads(line) for line in shown("jsonl").splitlines()]
    assert len(lines) == len(EVENTS)
    assert lines[0] == {"type": "speech_started", "utterance": "item_a", "at_s": 0.7}
    assert lines[1] == {"type": "delta", "utterance": "item_a", "text": " Good"}
    assert lines[9] == {"type": "committed", "utterance": "item_b", "previous": "item_a"}
    assert lines[13]["error"] == {"code": "engine_error", "message": "It broke."}
    assert lines[16]["end_s"] == 36.912
    assert lines[19] == {
        "type": "completed",
        "utterance": "item_d",
        "text": LONG,
        "duration_s": 17.0,
        "language": "en",
    }


def test_subtitles_are_cues_in_order_that_do_not_overlap_and_come_with_their_utterance() -> None:
    srt = captions_for("srt", growing=False)
    assert "".join(map(srt.add, EVENTS[:6])) == ""
    assert srt.add(EVENTS[6]) == "1\n00:00:01,000 --> 00:00:02,000\nGood morning.\n\n"
    cues = pysubs2.SSAFile.from_string(shown("srt"))
    assert " ".join(cue.plaintext.replace("\n", " ") for cue in cues).split() == f"Good morning.{LONG} Yes.".split()
    assert all(len(line) <= 42 for cue in cues for line in cue.plaintext.splitlines())
    assert len(cues) > 4
    for one, other in pairwise(cues):
        assert one.start < one.end <= other.start < other.end
    captions = webvtt.from_buffer(io.StringIO(shown("vtt")))
    assert [caption.raw_text for caption in captions.captions] == [cue.plaintext for cue in cues]
    assert shown("vtt", []) == "WEBVTT\n\n"
    assert shown("srt", []) == ""


class Pipe:
    """What another program writes, and what is read of it."""

    def __init__(self, rate_hz: int = 16_000) -> None:
        self._end, self._begin = os.pipe()
        self.source = PipeSource(self._end, rate_hz=rate_hz)
        self.blocks = self.source.blocks()

    def write(self, data: bytes) -> None:
        os.write(self._begin, data)

    def read(self, samples: int) -> None:
        """Read so many, which are there."""
        while samples > 0:
            samples -= next(self.blocks).size
        assert samples == 0

    def rest(self) -> NDArray[np.float32]:
        """What is read until the end of what was written."""
        os.close(self._begin)
        try:
            return np.concatenate([np.zeros(0, np.float32), *self.blocks])
        finally:
            os.close(self._end)


def tone(count: int = 4000, rate_hz: int = 16_000) -> NDArray[np.float32]:
    return (0.5 * np.sin(2 * np.pi * 440 * np.arange(count) / rate_hz)).astype(np.float32)


def pcm(samples: NDArray[np.float32]) -> bytes:
    return float_to_int16(samples).astype("<i2").tobytes()


@pytest.mark.parametrize("size", [1, 7, 1001])
def test_audio_may_come_in_pieces_of_any_size_and_end_in_half_a_sample(size: int) -> None:
    pipe = Pipe()
    data = pcm(tone(1000)) + b"\1"
    pipe.write(data[:13])
    heard = [next(pipe.blocks), next(pipe.blocks)]
    for at in range(13, len(data), size):
        pipe.write(data[at : at + size])
        heard.append(next(pipe.blocks))
    assert np.abs(np.concatenate([*heard, pipe.rest()]) - tone(1000)).max() < 1e-4


def test_audio_is_there_as_soon_as_it_was_written() -> None:
    pipe = Pipe()
    for _ in range(3):
        pipe.write(pcm(tone(100)))
        pipe.read(100)
    assert pipe.rest().size == 0


@pytest.mark.parametrize("rate_hz", [8000, 44_100, 48_000])
def test_audio_of_another_rate_is_resampled(rate_hz: int) -> None:
    pipe = Pipe(rate_hz)
    pipe.write(pcm(tone(rate_hz // 4, rate_hz)))
    heard = pipe.rest()
    assert heard.size == 4000
    assert np.abs(heard - tone())[200:-200].max() < 0.01


def test_a_wav_file_tells_its_own_layout(tmp_path: Path) -> None:
    stereo = io.BytesIO()
    with wave.open(stereo, "wb") as writer:
        writer.setparams((2, 2, 8000, 0, "NONE", ""))
        writer.writeframes(np.repeat(float_to_int16(tone(2000, 8000)), 2).tobytes())
    for data in (wav_bytes(tone()), stereo.getvalue()):
        pipe = Pipe(48_000)
        pipe.write(data)
        heard = pipe.rest()
        assert heard.size == 4000
        assert np.abs(heard - tone())[200:-200].max() < 0.01
    (tmp_path / "talk.wav").write_bytes(wav_bytes(tone()))
    with (tmp_path / "talk.wav").open("rb") as file:
        assert sum(block.size for block in PipeSource(file.fileno()).blocks()) == 4000


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"OggS" + bytes(100), "compressed audio"),
        (b"ID3\4" + bytes(100), "compressed audio"),
        (b"RIFF\0\0\0\0WAVE" + bytes(100), "cannot be read"),
        (wav_bytes(tone(100)).replace(b"\x02\x00\x10\x00data", b"\x04\x00\x20\x00data"), "32 bits"),
    ],
)
def test_what_is_no_pcm_is_refused(data: bytes, error: str) -> None:
    pipe = Pipe()
    pipe.write(data)
    with pytest.raises(InvalidAudioError, match=error):
        pipe.rest()


def test_a_source_that_is_stopped_ends_while_the_pipe_is_open() -> None:
    pipe = Pipe()
    pipe.write(pcm(tone(100)))
    pipe.read(100)
    threading.Timer(0.05, pipe.source.stop).start()
    assert sum(block.size for block in pipe.blocks) == 0
    pipe.rest()
