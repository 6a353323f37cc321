"""Text or JSON log lines, each with the id of the request it belongs to.

What clients send is nowhere in the log above DEBUG. The messages of errors may hold it, whoever raised them: of what
fails in a request only the types and the places are told.
"""

import contextvars
import json
import logging
import re
import sys
import textwrap
import time
import traceback
from collections.abc import Iterator
from typing import Any, Literal

from voice_stack.core.errors import DeadlineError, UnavailableError

request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="-")
"""Id of the request that is being served; work handed to another thread runs in a copy of the context."""

# Those that break lines or turn the writing around are more than the control characters.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_NO_REQUEST = "-"
# These tell of requests when their ids are known no more.
_OF_REQUESTS = frozenset({"uvicorn.error", "asyncio"})
_HIDDEN = "(what it says may be a client's: LOG_LEVEL=DEBUG shows it)"
_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "request_id", "color_message"}


def setup_logging(level: str, log_format: Literal["text", "json"]) -> None:
    """Send every log line of this process to standard error in one format.

    Fields given as ``extra=`` become ``key=value`` pairs in text and members of the object in JSON.
    """
    handler = logging.StreamHandler(sys.stderr)
    verbose = level == "DEBUG"
    handler.setFormatter(JsonFormatter(verbose=verbose) if log_format == "json" else TextFormatter(verbose=verbose))
    handler.addFilter(add_request_id)
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    # The access line is ours (core/middleware.py): it knows the request id and is written when the answer has ended.
    logging.getLogger("uvicorn.access").disabled = True
    # Of a WebSocket uvicorn tells the address with its query, whatever the setting for access lines; and a message that
    # is no UTF-8 is an error to it, with a traceback that shows the message. At DEBUG it has the headers told, and so
    # the API key.
    logging.getLogger("uvicorn.error").addFilter(_is_of_the_server)
    for chatty in (
        "httpx",
        "httpx2",
        "httpcore",
        "httpcore2",
        "filelock",
        "faster_whisper",
        "piper",
    ):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLevelName(level)))
    for talebearer in ("multipart", "python_multipart"):
        # Its warnings quote what it cannot read.
        logging.getLogger(talebearer).setLevel(logging.WARNING if level == "DEBUG" else logging.CRITICAL)


class _Formatter(logging.Formatter):
    """Args:
    verbose: show what errors say, whatever they are.
    """

    def __init__(self, *, verbose: bool = False) -> None:
        super().__init__()
        self._verbose = verbose

    def error_of(self, record: logging.LogRecord) -> str | None:
        """The error that a record tells of, with its traceback."""
        error = record.exc_info[1] if record.exc_info else None
        if error is None:
            return None
        in_request = getattr(record, "request_id", _NO_REQUEST) != _NO_REQUEST or record.name in _OF_REQUESTS
        if self._verbose or not in_request:
            return "".join(traceback.format_exception(error))
        return "".join(_without_messages(error))


class TextFormatter(_Formatter):
    """``2026-01-31 12:00:00.123 INFO [request id] logger: message key=value``, and indented lines of a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        fields = "".join(f" {key}={value}" for key, value in _extra(record).items())
        id_ = getattr(record, "request_id", "-")
        line = (
            f"{moment}.{int(record.msecs):03d} {record.levelname} [{id_}] {record.name}: {record.getMessage()}{fields}"
        )
        # A client must not be able to forge a line of the log, or to send commands to a terminal that shows it.
        line = _printable(line)
        if error := self.error_of(record):
            line += "\n" + textwrap.indent(_printable(error, keep="\n").rstrip("\n"), "    ", lambda _: True)
        return line


class JsonFormatter(_Formatter):
    """One JSON object a line: time (ISO 8601, UTC), level, logger, request_id, message and the extra fields."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        entry: dict[str, Any] = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "request_id": getattr(record, "request_id", "-"),
            "message": record.getMessage(),
            **_extra(record),
        }
        if error := self.error_of(record):
            entry["exception"] = error
        return json.dumps(entry, default=str, ensure_ascii=False)


def add_request_id(record: logging.LogRecord) -> bool:
    """A filter for handlers: gives each record the id of the request it belongs to."""
    record.request_id = request_id.get()
    return True


def _printable(text: str, *, keep: str = "") -> str:
    return _CONTROL.sub(lambda found: found[0] if found[0] in keep else ascii(found[0])[1:-1], text)


def _without_messages(error: BaseException) -> Iterator[str]:
    """The lines of a traceback, without those that hold what the errors say."""
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None:
        yield from _without_messages(before)
        yield f"\nand {'because of it' if error.__cause__ else 'then'}:\n\n"
    if error.__traceback__ is not None:
        yield "Traceback (most recent call last):\n"
        yield from traceback.format_tb(error.__traceback__)
    message = _HIDDEN
    if isinstance(error, (UnavailableError, DeadlineError)):
        message = str(error)
    elif isinstance(error, OSError) and error.strerror:
        message = error.strerror
    yield f"{type(error).__module__}.{type(error).__qualname__}: {message}\n"


def _is_of_the_server(record: logging.LogRecord) -> bool:
    message = str(record.msg)
    return '"WebSocket' not in message and not message.startswith(("Invalid UTF-8", "< %s: %s", "> %s: %s"))


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    return {key: value for key, value in vars(record).items() if key not in _PLAIN}
