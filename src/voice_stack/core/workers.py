"""Runs a service in several processes on one port, and puts another in the place of each that ends."""

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Protocol

from voice_stack.core.notify import Notifier
from voice_stack.core.process import leave
from voice_stack.core.service import EngineService

_logger = logging.getLogger(__name__)

EXIT_MODEL_FAILED = 3
"""Exit code when the model could not be loaded, or was lost soon after."""

RESTART_S = 5.0
"""A worker that ended before its model was ready is replaced after this time, others at once."""

HANG_S = 60.0
"""A worker that was not heard of for this long, and for the time that a stop may take, is killed and replaced."""

_LOOK_S = 0.25
_SPAWN = get_context("spawn")


class WorkerServer(Protocol):
    """What a worker runs; it is pickled to get there."""

    on_second: Callable[[EngineService], None] | None
    """Called on the event loop, once a second while it serves."""

    @property
    def exit_code(self) -> int:
        """How the process is to end, once it has served."""

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until SIGTERM, or until the model can no longer be used."""


class _Worker:
    def __init__(self, server: WorkerServer, listener: socket.socket) -> None:
        self.news, theirs = _SPAWN.Pipe(duplex=False)
        self.process: SpawnProcess = _SPAWN.Process(target=_work, args=(server, listener, theirs))
        self.process.start()
        theirs.close()
        self.heard_at: float | None = None
        self.is_ready = self.was_ready = False

    def hear(self) -> None:
        """Read its news: that it is alive, and whether its model is there."""
        with suppress(EOFError, OSError):
            while self.news.poll():
                self.is_ready = self.news.recv_bytes() == b"ready"
                self.was_ready = self.was_ready or self.is_ready
                self.heard_at = time.monotonic()

    def send_signal(self, number: int) -> None:
        if self.process.exitcode is None and self.process.pid is not None:
            os.kill(self.process.pid, number)


class Supervisor:
    """Keeps so many workers.

    The first shows whether the model can be loaded; the others begin when it is ready. SIGTERM or SIGINT lets all of
    them finish what they do, and a second one kills them. SIGHUP is passed on to them.

    Args:
        server: what each of them runs.
        patience_s: how long they may take to finish.
        notifier: who is told how they stand.
    """

    def __init__(
        self, server: WorkerServer, listener: socket.socket, *, count: int, patience_s: float, notifier: Notifier
    ) -> None:
        self._server = server
        self._listener = listener
        self._count = count
        self._patience_s = patience_s
        self._notifier = notifier
        self._workers: list[_Worker] = []
        self._signals: list[int] = []
        self._not_before = 0.0
        self._has_served = False
        self._kill_at: float | None = None  # it stops
        self._exit_code = 0

    def run(self) -> int:
        """Serve until a signal ends it.

        Returns the exit code: 0, that of the first worker where it never was ready, or that of a second signal.
        """
        handled = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
        for number in handled:
            signal.signal(number, lambda number, _frame: self._signals.append(number))
        while self._workers or self._kill_at is None:
            self._heed_signals()
            if self._kill_at is None and len(self._workers) < (self._count if self._has_served else 1):
                self._begin_worker()
            wait([each for worker in self._workers for each in (worker.process.sentinel, worker.news)], _LOOK_S)
            for worker in list(self._workers):
                self._look_after(worker)
            if self._kill_at is None:
                ready = sum(worker.is_ready for worker in self._workers)
                self._notifier.tell(f"{ready} of {self._count} workers are ready", is_ready=ready == self._count)
        return self._exit_code

    def _begin_worker(self) -> None:
        if time.monotonic() >= self._not_before:
            self._workers.append(_Worker(self._server, self._listener))

    def _look_after(self, worker: _Worker) -> None:
        worker.hear()
        self._has_served = self._has_served or worker.is_ready
        if not worker.process.is_alive():
            self._workers.remove(worker)
            worker.news.close()
            self._on_end(worker)
            return
        now = time.monotonic()
        if self._kill_at is not None:
            if now >= self._kill_at:
                _logger.warning("worker %d has not ended: killing it", worker.process.pid)
                worker.send_signal(signal.SIGKILL)
        # One that ends by itself is not heard of while its requests finish.
        elif worker.heard_at is not None and now >= worker.heard_at + HANG_S + self._patience_s:
            _logger.error("worker %d hangs: killing it", worker.process.pid)
            worker.send_signal(signal.SIGKILL)

    def _on_end(self, worker: _Worker) -> None:
        code = worker.process.exitcode or 0
        if self._kill_at is not None:
            return
        if code > 0 and not self._has_served:
            self._exit_code = code
            self._stop()
            return
        how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        _logger.error("worker %d has ended (%s): another takes its place", worker.process.pid, how)
        self._not_before = 0.0 if worker.was_ready else time.monotonic() + RESTART_S

    def _heed_signals(self) -> None:
        while self._signals:
            number = self._signals.pop(0)
            if number not in {signal.SIGINT, signal.SIGTERM}:
                _logger.info("passing %s on to the workers", signal.Signals(number).name)
                for worker in self._workers:
                    # Before it was heard of, the signal would end it.
                    if worker.heard_at is not None:
                        worker.send_signal(number)
            elif self._kill_at is None:
                self._stop()
            else:
                _logger.warning("told again to stop: ending at once")
                self._kill_at, self._exit_code = 0.0, 128 + number

    def _stop(self) -> None:
        self._kill_at = time.monotonic() + self._patience_s
        self._notifier.stopping(self._patience_s)
        # Whoever comes now is to be refused by the system, and not to wait for nobody.
        self._listener.close()
        for worker in self._workers:
            worker.send_signal(signal.SIGTERM)


def _work(server: WorkerServer, listener: socket.socket, news: Connection) -> None:
    """What a worker does."""
    os.set_blocking(news.fileno(), False)

    def tell(service: EngineService) -> None:
        # Full while the parent is held up, and broken when it is gone.
        with suppress(BlockingIOError, OSError):
            news.send_bytes(b"ready" if service.lifecycle.is_healthy else b"alive")

    threading.Thread(target=_end_with_parent, name="parent-watch", daemon=True).start()
    server.on_second = tell
    server.run([listener])
    leave(server.exit_code)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        _logger.error("the parent process is gone: ending")
        os.kill(os.getpid(), signal.SIGTERM)
