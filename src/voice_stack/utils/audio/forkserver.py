"""The process that decoders are forked from, and what a decoder does in its own: one file after the other.

Small and with one thread, it has loaded all that decoding needs; a fork of it begins within milliseconds. It ends when
the service that started it does, however that ended, and its decoders with it. ``isolation.py`` is the other end.
"""

import ctypes
import gc
import io
import json
import os
import pickle
import resource
import select
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Collection, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

import numpy as np

from voice_stack.core.errors import InvalidAudioError
from voice_stack.utils.audio.decode import decode_audio
from voice_stack.utils.audio.duration import declared_duration_s

if TYPE_CHECKING:
    from typing_extensions import Buffer

FRAME = struct.Struct("<c?Q")
"""Before each message of a decoder: its kind, whether it can serve another request, and its length in bytes."""
BLOCK, VALUE, REFUSAL, FAILURE, END = b"b", b"v", b"r", b"f", b"e"

REQUEST = struct.Struct("<Q")
"""Before the request to a decoder: its length. The file's descriptor travels with it."""

STATUS = struct.Struct("<i")
"""What the life line brings when a decoder has ended: its exit code, negative for a signal."""

MEMORY_BYTES = 2**30
"""Address space of a decoder: four times what the longest and the widest files took."""

CPU_S = 10
"""How long a decoder may compute without giving anything; more of it with large files."""

# A fresh process costs many times what a clip does: it serves several files, unless one of them was refused.
_MOST_SERVED = 100
_MOST_HELD_BYTES = 200 * 2**20
_IDLE_S = 10.0

_LEAST_BYTES_PER_CPU_S = 50e6

_MOST_FILES = 1024
_FILES_OF_A_DECODER = 32
_FIRST_FREE = 4  # after the standard streams and the channel
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38


def main(control_fd: int) -> None:
    """Fork a decoder for each pair of sockets that arrives, until the service is gone."""
    _limit(resource.RLIMIT_NOFILE, _MOST_FILES)
    sys.dont_write_bytecode = True
    _warm_up()
    gc.collect()
    gc.freeze()
    # The service may have had thousands of files open: below the limit is what decoders can be sure to close.
    with socket.socket(fileno=os.dup(control_fd)) as control:
        os.close(control_fd)
        _serve(control)


def _serve(control: socket.socket) -> None:
    woken, wake = os.pipe()
    for descriptor in (woken, wake):
        os.set_blocking(descriptor, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    poller = select.poll()
    poller.register(control, select.POLLIN)
    poller.register(woken, select.POLLIN)
    decoders = _Decoders(poller)
    while True:
        ready = {descriptor for descriptor, _ in poller.poll()}
        if woken in ready:
            with suppress(BlockingIOError):
                os.read(woken, 4096)
            decoders.bury()
        decoders.end_unwanted(ready)
        if control.fileno() in ready:
            data, descriptors, _, _ = socket.recv_fds(control, 1, 2)
            if not data:
                break
            decoders.fork(*(socket.socket(fileno=descriptor) for descriptor in descriptors))
    decoders.end_all()


class _Decoders:
    """The processes that were forked, each with a life line that it ends with, and that ends with it."""

    def __init__(self, poller: select.poll) -> None:
        self._poller = poller
        self._lines: dict[int, socket.socket] = {}  # by process id

    def fork(self, channel: socket.socket, line: socket.socket) -> None:
        """Begin one; where none can begin, its life line ends at once."""
        with channel:
            try:
                pid = os.fork()
            except OSError:
                line.close()
                return
            if pid == 0:
                _be_a_decoder(channel.fileno())
        self._lines[pid] = line
        self._poller.register(line, select.POLLIN)

    def end_unwanted(self, ready: Collection[int]) -> None:
        """Kill those whose life lines have ended: nobody ever writes to one."""
        for pid, line in self._lines.items():
            if line.fileno() in ready:
                self._poller.unregister(line)
                os.kill(pid, signal.SIGKILL)

    def end_all(self) -> None:
        """Kill all of them."""
        for pid in self._lines:
            os.kill(pid, signal.SIGKILL)

    def bury(self) -> None:
        """Take note of those that have ended."""
        while self._lines:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            with self._lines.pop(pid) as line:
                with suppress(KeyError):
                    self._poller.unregister(line)
                with suppress(OSError):
                    line.send(STATUS.pack(os.waitstatus_to_exitcode(status)), socket.MSG_DONTWAIT)


def _be_a_decoder(channel_fd: int) -> NoReturn:
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.dup2(channel_fd, _FIRST_FREE - 1)
        os.closerange(_FIRST_FREE, _MOST_FILES)
        _confine()
        with socket.socket(fileno=_FIRST_FREE - 1) as channel:
            served = 1
            while _answer(channel, goes_on=served < _MOST_SERVED):
                served += 1
        os._exit(0)
    except BrokenPipeError:
        os._exit(0)
    finally:
        os._exit(1)


def _confine() -> None:
    """Nothing that a decoder never does is possible from here on."""
    if sys.platform == "linux":
        # Where memory runs out, this is what may go.
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
        prctl = ctypes.CDLL(None).prctl
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _limit(resource.RLIMIT_AS, MEMORY_BYTES)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, _FILES_OF_A_DECODER)


def _limit(what: int, most: int) -> None:
    # Not every system knows every limit, and some are lower already.
    with suppress(ValueError, OSError):
        hard = resource.getrlimit(what)[1]
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (least, least))


def _held_bytes() -> int:
    """The most memory that this process ever had in use, and most of which it still holds."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _answer(channel: socket.socket, *, goes_on: bool) -> bool:
    """Serve one file; returns whether another one may follow."""
    request = _request(channel)
    if request is None:
        return False
    function, options, source = request
    with closing(source):
        cpu_s = CPU_S + int(source.seek(0, io.SEEK_END) / _LEAST_BYTES_PER_CPU_S)
        _allow_cpu(cpu_s)
        try:
            result = function(source, **options)
            if not isinstance(result, Iterator):
                return _end(channel, VALUE, json.dumps(result).encode(), goes_on=goes_on)
            for block in result:
                _send(channel, BLOCK, np.ascontiguousarray(block).tobytes())
                _allow_cpu(cpu_s)
            return _end(channel, END, b"", goes_on=goes_on)
        except InvalidAudioError as error:
            _send(channel, REFUSAL, json.dumps([error.message, error.param, error.code]).encode())
        except (MemoryError, BrokenPipeError):
            raise
        except Exception:  # noqa: BLE001 - the service tells of it
            _send(channel, FAILURE, traceback.format_exc().encode(errors="replace"))
    return False


def _request(channel: socket.socket) -> tuple[Any, dict[str, Any], BinaryIO] | None:
    channel.settimeout(_IDLE_S)
    try:
        head, descriptors, _, _ = socket.recv_fds(channel, REQUEST.size, 1)
    except TimeoutError:
        return None
    channel.settimeout(None)
    if not head:
        return None
    with channel.makefile("rb") as incoming:
        given = pickle.loads(incoming.read(*REQUEST.unpack(head)))  # noqa: S301 - the service wrote it
    function, options, content = given
    source = io.BytesIO(content) if content is not None else io.BufferedReader(_OwnPosition(*descriptors))
    return function, options, source


def _allow_cpu(seconds: int) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + 1 + seconds
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _end(channel: socket.socket, kind: bytes, data: bytes, *, goes_on: bool) -> bool:
    goes_on = goes_on and _held_bytes() < _MOST_HELD_BYTES
    _send(channel, kind, data, goes_on=goes_on)
    return goes_on


def _send(channel: socket.socket, kind: bytes, data: bytes, *, goes_on: bool = False) -> None:
    # In one piece: who waits for a message must not have to wait for the rest of it.
    channel.sendall(FRAME.pack(kind, goes_on, len(data)) + data)


class _OwnPosition(io.RawIOBase):
    """A file read through a descriptor whose position others use at the same time."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: "Buffer", /) -> int:
        wanted = memoryview(buffer)
        data = os.pread(self._descriptor, len(wanted), self._position)
        wanted[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: 0}[whence]
        if whence == io.SEEK_END:
            start = os.fstat(self._descriptor).st_size
        if start + offset < 0:
            raise ValueError("negative position")
        self._position = start + offset
        return self._position


def _warm_up() -> None:
    """Do once what every decoder would do anew in its own copy of this memory."""
    silence = bytes(3200)
    sizes = (36 + len(silence), b"WAVE", b"fmt ", 16, 1, 1, 8000, 16_000, 2, 16, b"data", len(silence))
    wav = b"RIFF" + struct.pack("<I4s4sIHHIIHH4sI", *sizes) + silence
    declared_duration_s(io.BytesIO(wav))
    for _ in decode_audio(io.BytesIO(wav)):
        pass
