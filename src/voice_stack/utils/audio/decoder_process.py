"""The processes that decoders run in, as the service sees them."""

import atexit
import os
import select
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass

from voice_stack.core.errors import UnavailableError
from voice_stack.utils.audio.forkserver import FRAME, STATUS

MOST_IDLE = 2
"""Decoders that wait for another file; each ends by itself when none comes for some seconds."""

_MOST_MESSAGE_BYTES = 2**26
_END_S = 5.0

# Without the environment and any start-up file: the service's secrets are not needed there. When the whole group is
# told to stop, requests that are being answered still need their decoders.
_PROGRAM = """
import signal, sys
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
sys.path[:] = sys.argv[2:]
from voice_stack.utils.audio.forkserver import main
main(int(sys.argv[1]))
"""
_KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LANG", "LC_ALL")


@dataclass(frozen=True)
class Message:
    """What a decoder wrote."""

    kind: bytes
    goes_on: bool  # whether it could serve another request then
    data: bytearray


class Process:
    """A decoder as seen from here: what it is asked and answers through, and its life line."""

    def __init__(self, channel: socket.socket, line: socket.socket) -> None:
        self.channel = channel
        self._line = line
        self.is_fresh = True

    def is_readable(self, wait_s: float) -> bool:
        """Whether it has written something, or ended."""
        poller = select.poll()
        poller.register(self.channel, select.POLLIN)
        return bool(poller.poll(wait_s * 1000))

    def read(self) -> Message:
        """The next that it writes.

        Raises:
            EOFError: it has ended.
            OSError: likewise; or, ``TimeoutError``, it writes no more.
        """
        kind, goes_on, size = FRAME.unpack(self._exactly(FRAME.size))
        if size > _MOST_MESSAGE_BYTES:
            raise EOFError
        return Message(kind, goes_on, self._exactly(size))

    def _exactly(self, size: int) -> bytearray:
        data = bytearray(size)
        left = memoryview(data)
        while left:
            received = self.channel.recv_into(left)
            if not received:
                raise EOFError
            left = left[received:]
        return data

    def exit_code(self) -> int | None:
        """Its exit code, negative for a signal; None where the process that it was forked from has died, too."""
        self._line.settimeout(_END_S)
        status = b""
        with suppress(OSError):
            status = self._line.recv(STATUS.size)
        return int(STATUS.unpack(status)[0]) if len(status) == STATUS.size else None

    def close(self) -> None:
        """End it."""
        self.channel.close()
        self._line.close()


class Forkserver:
    """The process that decoders are forked from; there is at most one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._idle: list[Process] = []

    def start(self) -> None:
        """Begin to start it, where it does not run."""
        with self._lock:
            self._running()

    def stop(self) -> None:
        """End it, and with it all decoders."""
        with self._lock:
            self._stop()

    def take(self, *, fresh: bool) -> Process:
        """A decoder that waits for a request, or a new one.

        Raises:
            UnavailableError: the process cannot be started.
        """
        with self._lock:
            while self._idle:
                process = self._idle.pop()
                if not fresh and not process.is_readable(0):
                    return process
                process.close()
            return self._fork()

    def give_back(self, process: Process) -> None:
        """A decoder has answered and could serve another request."""
        process.is_fresh = False
        with self._lock:
            if len(self._idle) < MOST_IDLE:
                self._idle.append(process)
                return
        process.close()

    def _fork(self) -> Process:
        channel, its_channel = socket.socketpair()
        line, its_line = socket.socketpair()
        with its_channel, its_line:
            try:
                self._send(its_channel, its_line)
            except BaseException:
                channel.close()
                line.close()
                raise
        return Process(channel, line)

    def _send(self, *sockets: socket.socket) -> None:
        descriptors = [each.fileno() for each in sockets]
        try:
            socket.send_fds(self._running(), [b"+"], descriptors)
        except OSError:
            # It has died since it was last needed.
            self._stop()
            try:
                socket.send_fds(self._running(), [b"+"], descriptors)
            except OSError as error:
                raise no_process() from error

    def _running(self) -> socket.socket:
        if self._control is not None and self._process is not None and self._process.poll() is None:
            return self._control
        self._stop()
        ours, its = socket.socketpair()
        with its:
            try:
                self._process = subprocess.Popen(  # noqa: S603 - our own program
                    [sys.executable, "-I", "-c", _PROGRAM, str(its.fileno()), *sys.path],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    env={name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ},
                    pass_fds=(its.fileno(),),
                )
            except OSError as error:
                ours.close()
                raise no_process() from error
        self._control = ours
        atexit.register(self.stop)
        return ours

    def _stop(self) -> None:
        while self._idle:
            self._idle.pop().close()
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            try:
                self._process.wait(_END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
            atexit.unregister(self.stop)


def no_process() -> UnavailableError:
    """The error for a file that nothing could decode, through no fault of its own."""
    return UnavailableError("There was no process to decode the file in; try again in a moment.")
