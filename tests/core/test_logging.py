"""Log lines in both formats."""

import errno
import json
import logging
import os
import sys

import pytest

from voice_stack.core.errors import UnavailableError
from voice_stack.core.logging import JsonFormatter, TextFormatter


def record(message: str, **extra: object) -> logging.LogRecord:
    made = logging.getLogger("test").makeRecord("test", logging.INFO, "file", 1, message, (), None)
    vars(made).update({"request_id": "req_1", **extra})
    return made


def test_a_text_line_carries_level_request_id_and_fields() -> None:
    line = TextFormatter().format(record("something happened", duration_ms=3))
    assert line.endswith("INFO [req_1] test: something happened duration_ms=3")


def test_a_message_cannot_forge_a_second_line() -> None:
    assert "\n" not in TextFormatter().format(record("one\n2026-01-01 INFO [-] fake"))


def test_a_message_cannot_send_commands_to_a_terminal() -> None:
    line = TextFormatter().format(record("a\x1b[2Jb\x00c\x9bd"))
    assert line.endswith(r"a\x1b[2Jb\x00c\x9bd")


def test_a_json_line_is_one_object_with_the_fields() -> None:
    entry = json.loads(JsonFormatter().format(record("größe\nzwei", duration_ms=3)))
    assert entry["message"] == "größe\nzwei"
    assert (entry["level"], entry["logger"], entry["request_id"], entry["duration_ms"]) == ("INFO", "test", "req_1", 3)


def test_a_message_cannot_break_the_line_or_turn_the_writing_around() -> None:
    line = TextFormatter().format(record("a\u2028b\u202ec\u2066d"))
    assert line.endswith(r"a\u2028b\u202ec\u2066d")


def failed(error: Exception, **extra: object) -> logging.LogRecord:
    made = record("failed", **extra)
    try:
        raise error
    except Exception:  # noqa: BLE001 - whatever it was given
        made.exc_info = sys.exc_info()
    return made


def test_both_formats_carry_the_traceback() -> None:
    made = failed(ValueError("deep"), request_id="-")
    assert "ValueError: deep" in TextFormatter().format(made)
    text = JsonFormatter().format(made)
    assert "\n" not in text
    assert "ValueError: deep" in json.loads(text)["exception"]


@pytest.mark.parametrize(("name", "id_"), [("test", "req_1"), ("uvicorn.error", "-"), ("asyncio", "-")])
def test_what_errors_of_requests_say_is_told_at_debug_only(name: str, id_: str) -> None:
    inner = KeyError("inner secret")
    outer = ValueError("outer secret")
    outer.__cause__ = inner
    made = failed(outer, request_id=id_)
    made.name = name
    for formatter in (TextFormatter(), JsonFormatter()):
        line = formatter.format(made)
        assert "secret" not in line
        assert line.index("builtins.KeyError") < line.index("builtins.ValueError")
        assert "test_logging.py" in line
    for formatter in (TextFormatter(verbose=True), JsonFormatter(verbose=True)):
        assert "outer secret" in formatter.format(made)


def test_what_cannot_be_a_clients_is_told_of_errors_of_requests() -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/voices/anna_en.wav")
    line = TextFormatter().format(failed(full))
    assert "No space left" in line
    assert "anna" not in line
    assert "come back later" in TextFormatter().format(failed(UnavailableError("come back later")))


def test_a_traceback_cannot_forge_a_line_of_its_own() -> None:
    made = failed(ValueError("x\n2026-01-01 00:00:00.000 INFO [-] fake\x1b[2J"), request_id="-")
    first, *rest = TextFormatter().format(made).split("\n")
    assert "failed" in first
    assert all(line.startswith("    ") for line in rest)
    assert "\x1b" not in "".join(rest)
