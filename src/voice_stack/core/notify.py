"""Tells systemd how a service stands (sd_notify(3)), and has it keep the port open over a restart."""

import array
import logging
import math
import os
import select
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

_logger = logging.getLogger(__name__)

PATIENCE_S = 30.0
"""While a model is loaded or requests finish, each message asks for so much more time."""

_KEPT_NAME = "voice-stack"
_FIRST_KEPT = 3  # SD_LISTEN_FDS_START
_BARRIER_S = 5.0
_SECOND = 1.0


class Notifier:
    """The service manager that started this process; nobody where ``address`` is empty. Never blocks for long.

    Args:
        address: of the manager's datagram socket; ``@`` stands for the abstract name space.
        watchdog_s: the manager ends a service that it did not hear of for so long; 0: it does not.
    """

    def __init__(self, address: str = "", watchdog_s: float = 0) -> None:
        self._address = address
        # Half of it, and the next call may come a second late.
        self._beat_s = watchdog_s / 2 - _SECOND if watchdog_s else math.inf
        self._heard_at = 0.0
        self._status = ""
        self._is_ready = False

    @classmethod
    def of_environment(cls) -> "Notifier":
        """As systemd says it to the process that it started."""
        address = os.environ.get("NOTIFY_SOCKET", "")
        is_watched = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        microseconds = os.environ.get("WATCHDOG_USEC", "0") if is_watched else "0"
        return cls(address, int(microseconds) / 1e6 if microseconds.isdecimal() else 0)

    def tell(self, status: str, *, is_ready: bool) -> None:
        """Say how things stand; to be called about once a second by what must not hang.

        Once ready a service stays so: what it then lacks comes back by itself.
        """
        is_ready = is_ready or self._is_ready
        now = time.monotonic()
        is_due = now - self._heard_at >= (self._beat_s if is_ready else _SECOND)
        lines = [
            *(["READY=1"] if is_ready and not self._is_ready else []),
            *([f"STATUS={status}"] if status != self._status else []),
            # A process that took the place of one that was ready is watched from its beginning.
            *(["WATCHDOG=1", *([] if is_ready else [_more_time(PATIENCE_S)])] if is_due else []),
        ]
        if lines and self._send(*lines):
            self._is_ready, self._status = is_ready, status
            self._heard_at = now if is_due else self._heard_at

    def stopping(self, grace_s: float, error: Exception | None = None) -> None:
        """Say that the service stops, why where it was not told to, and how long requests in progress may take."""
        status = str(error or "requests in progress finish").replace("\n", " ")
        self._send("STOPPING=1", f"STATUS=stopping: {status}", _more_time(grace_s + PATIENCE_S))

    @contextmanager
    def reloading(self) -> Iterator[None]:
        """Say that the service reads its data again while the ``with`` block lasts."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            yield
        finally:
            self._send("READY=1")

    def keep(self, listener: socket.socket) -> None:
        """Have the manager hold a listening socket: whoever comes while the service is restarted waits."""
        self._send("FDSTORE=1", f"FDNAME={_KEPT_NAME}", handed=[listener])

    def let_go(self) -> None:
        """Have the manager close what it holds; returns when it has."""
        self._send("FDSTOREREMOVE=1", f"FDNAME={_KEPT_NAME}")
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                if not self._send("BARRIER=1", handed=[theirs]):
                    return
            select.select([ours], [], [], _BARRIER_S)

    def _send(self, *lines: str, handed: Sequence[socket.socket] = ()) -> bool:
        if not self._address:
            return False
        # A name that begins with a null byte is an abstract one.
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        numbers = array.array("i", [each.fileno() for each in handed])
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaker:
            speaker.setblocking(False)
            try:
                speaker.sendmsg(
                    ["\n".join(lines).encode()],
                    [(socket.SOL_SOCKET, socket.SCM_RIGHTS, numbers)] if handed else [],
                    0,
                    address,
                )
            except OSError as error:
                _logger.warning("the service manager cannot be told %s: %s", lines[0], error)
                return False
        return True


def kept_sockets() -> list[socket.socket]:
    """The sockets that the service manager held for this process while it was restarted; to be asked for once."""
    is_ours = os.environ.pop("LISTEN_PID", "") == str(os.getpid())
    count = os.environ.pop("LISTEN_FDS", "0")
    os.environ.pop("LISTEN_FDNAMES", None)
    if not is_ours or not count.isdecimal():
        return []
    return [socket.socket(fileno=_FIRST_KEPT + number) for number in range(int(count))]


def _more_time(seconds: float) -> str:
    return f"EXTEND_TIMEOUT_USEC={round(seconds * 1e6)}"
