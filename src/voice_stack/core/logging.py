"""Text or JSON log lines, each with the id of the request it belongs to."""

import contextvars
import json
import logging
import re
import sys
import time
import traceback
from typing import Any, Literal

request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="-")
"""Id of the request that is being served; work handed to another thread runs in a copy of the context."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "request_id", "color_message"}


def setup_logging(level: str, log_format: Literal["text", "json"]) -> None:
    """Send every log line of this process to standard error in one format.

    Fields given as ``extra=`` become ``key=value`` pairs in text and members of the object in JSON.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
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
    for chatty in (
        "httpx",
        "httpx2",
        "httpcore",
        "httpcore2",
        "filelock",
        "faster_whisper",
        "piper",
        "multipart",
        "python_multipart",
    ):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLevelName(level)))


class TextFormatter(logging.Formatter):
    """``2026-01-31 12:00:00.123 INFO [request id] logger: message key=value``."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        fields = "".join(f" {key}={value}" for key, value in _extra(record).items())
        id_ = getattr(record, "request_id", "-")
        line = (
            f"{moment}.{int(record.msecs):03d} {record.levelname} [{id_}] {record.name}: {record.getMessage()}{fields}"
        )
        # A client must not be able to forge a line of the log, or to send commands to a terminal that shows it.
        line = _CONTROL.sub(lambda found: repr(found[0])[1:-1], line)
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class JsonFormatter(logging.Formatter):
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
        if record.exc_info:
            entry["exception"] = "".join(traceback.format_exception(*record.exc_info))
        return json.dumps(entry, default=str, ensure_ascii=False)


def add_request_id(record: logging.LogRecord) -> bool:
    """A filter for handlers: gives each record the id of the request it belongs to."""
    record.request_id = request_id.get()
    return True


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    return {key: value for key, value in vars(record).items() if key not in _PLAIN}
