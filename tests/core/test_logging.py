"""Log lines in both formats."""

import json
import logging
import sys

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


def test_both_formats_carry_the_traceback() -> None:
    try:
        raise ValueError("deep")
    except ValueError:
        made = record("failed")
        made.exc_info = sys.exc_info()
    assert "ValueError: deep" in TextFormatter().format(made)
    text = JsonFormatter().format(made)
    assert "\n" not in text
    assert "ValueError: deep" in json.loads(text)["exception"]
