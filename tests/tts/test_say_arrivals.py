"""Text that comes while it is spoken: where its lines end, and when nothing more comes for now."""

import os
import textwrap
import threading
import time

import pytest

from tests.support.sentences import SENTENCES
from voice_stack.core.errors import ConfigurationError
from voice_stack.tts.batch.arrivals import LEAST_WIDTH, LineEnds, arriving_text

LOG = """\
2026-03-01 12:00:01 worker 3 took the job 4711 from the queue of the night
disk is nearly full
backup of the database has ended
2026-03-01 12:00:09 worker 1 let go of the job
- one
- two
"""


def joined(text: str, size: int) -> str:
    ends = LineEnds()
    parts = [ends.add(text[at : at + size]) for at in range(0, len(text), size)]
    return "".join(parts) + ends.flush()


@pytest.mark.parametrize("size", [1, 5, 10_000])
@pytest.mark.parametrize("width", [50, 72, 100])
def test_wrapped_text_is_left_as_it_is(width: int, size: int) -> None:
    paragraphs = [textwrap.fill(" ".join(SENTENCES[at : at + 6]), width) for at in range(0, 18, 6)]
    text = "\n\n".join(paragraphs) + "\n"
    assert joined(text, size) == text


@pytest.mark.parametrize("size", [1, 5, 10_000])
def test_lines_of_a_log_that_come_at_once_are_set_apart(size: int) -> None:
    lines = LOG.splitlines()
    # The widest line cannot be told from one that was wrapped.
    assert joined(LOG, size) == "\n".join([lines[0], "\n\n".join(lines[1:])]) + "\n"


def test_each_piece_is_handed_on_as_soon_as_its_line_end_is_decided() -> None:
    ends = LineEnds()
    wide = "x" * LEAST_WIDTH
    assert [ends.add(part) for part in ("One", " two.", "\n", "Three", " four.\n", "\n", "Five", wide, "\nSix ")] == [
        "One",
        " two.",
        "",
        "",
        "\n\nThree four.",
        "\n",
        "",
        "",
        f"\nFive{wide}\nSix ",
    ]
    assert (ends.add("\n"), ends.flush(), ends.flush()) == ("", "\n", "")


class Pipe:
    def __init__(self) -> None:
        self._end, self._begin = os.pipe()
        self.arrivals = arriving_text(self._end)

    def write(self, data: bytes) -> None:
        os.write(self._begin, data)

    def rest(self) -> list[str | None]:
        os.close(self._begin)
        try:
            return list(self.arrivals)
        finally:
            os.close(self._end)


def test_text_is_there_as_it_comes_and_a_pause_after_a_line_is_told_once() -> None:
    pipe = Pipe()
    pipe.write("\ufeffCaf\u00e9".encode()[:-1])
    assert next(pipe.arrivals) == "Caf"
    pipe.write("\u00e9 one\r\nand\r\n".encode()[1:])
    started_at = time.monotonic()
    assert next(pipe.arrivals) == "\u00e9 one\nand\n"
    assert next(pipe.arrivals) is None
    assert time.monotonic() - started_at < 1
    later = threading.Timer(0.6, pipe.write, [b"two"])
    later.start()
    assert next(pipe.arrivals) == "two"
    later.join()
    assert pipe.rest() == []


def test_lines_that_come_one_after_the_other_are_no_pause() -> None:
    pipe = Pipe()
    pipe.write(b"one\n")
    assert next(pipe.arrivals) == "one\n"
    pipe.write(b"two\n")
    assert pipe.rest() == ["two\n"]


@pytest.mark.parametrize("data", [b"Caf\xe9.", b"Caf\xc3"])
def test_what_is_no_utf_8_is_told(data: bytes) -> None:
    pipe = Pipe()
    pipe.write(data)
    with pytest.raises(ConfigurationError, match="no text in UTF-8"):
        pipe.rest()
