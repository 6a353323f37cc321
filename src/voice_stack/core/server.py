"""Runs one service under uvicorn: port first, model beside it, an orderly stop."""

import asyncio
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from multiprocessing import parent_process
from pathlib import Path
from types import FrameType

import uvicorn
from uvicorn.supervisors import ChangeReload

from voice_stack.core.connections import ACCEPTED_AT_ONCE, MAX_HEAD_BYTES, LimitedProtocol
from voice_stack.core.errors import ConfigurationError, DeviceLostError
from voice_stack.core.lifecycle import State
from voice_stack.core.metrics import SHARED_DIR_VARIABLE
from voice_stack.core.notify import Notifier, kept_sockets
from voice_stack.core.service import EngineService
from voice_stack.core.settings import Service, Settings
from voice_stack.core.websocket_protocol import MAX_FRAME_BYTES, LimitedWebSocket
from voice_stack.core.workers import EXIT_MODEL_FAILED, Supervisor
from voice_stack.utils.processors import usable_cores
from voice_stack.utils.temporary import temporary_folder

_logger = logging.getLogger(__name__)

EXIT_DEVICE_LOST = 4
"""Exit code of a worker whose GPU failed; another takes its place."""

LEAST_UPTIME_S = 60.0
"""A process whose GPU fails sooner than this ends instead of starting anew: it would only fail again."""

AFTER_GRACE_S = 0.5
"""How long those whose requests were abandoned at the end of the grace may take to be told."""

LAST_RESORT_S = 1.5
"""So long after the grace the process ends without what still runs."""

_TICKS_PER_S = 10  # uvicorn's

_STATUS = {State.LOADING: "the model is being loaded", State.IDLE: "the model comes back when somebody needs it"}


BACKLOG = 2048
"""Connections that wait in the system to be accepted."""


class VoiceServer(uvicorn.Server):
    """A uvicorn server with an end in any case.

    At SIGTERM or SIGINT requests in progress have the grace to finish; a second one of them ends the process at once.
    SIGHUP lets the service read again what it can. A model that can no longer be used is the end, too, so that whoever
    started the process can see it.

    Args:
        grace_s: how long requests in progress may take to finish at a stop.
        notifier: who is told how the service stands; nobody: another process tells of this one.
    """

    def __init__(self, config: uvicorn.Config, *, grace_s: float, notifier: Notifier) -> None:
        super().__init__(config)
        self._grace_s = grace_s
        self._notifier = notifier
        self._started_at = time.monotonic()
        self._told_to_stop: list[int] = []
        self.on_second: Callable[[EngineService], None] | None = None
        """Called on the event loop, once a second while it serves."""

    @property
    def service(self) -> EngineService | None:
        """What is served; None: it has not begun."""
        return self.lifespan.state.get("service") if self.started else None

    @property
    def exit_code(self) -> int:
        """How the process is to end: 0 where it was asked to."""
        error = self.service.lifecycle.error if self.service else None
        if isinstance(error, DeviceLostError) and time.monotonic() - self._started_at >= LEAST_UPTIME_S:
            return EXIT_DEVICE_LOST
        return EXIT_MODEL_FAILED if error is not None else 0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or []:
            # asyncio has set it to what it accepts at once.
            listener.listen(BACKLOG)

    async def on_tick(self, counter: int) -> bool:
        if self.service is not None and counter % _TICKS_PER_S == 0:
            lifecycle = self.service.lifecycle
            self._notifier.tell(_STATUS.get(lifecycle.state, "serving"), is_ready=lifecycle.is_healthy)
            if self.on_second is not None:
                self.on_second(self.service)
        return await super().on_tick(counter) or self.exit_code != 0

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        loop = asyncio.get_running_loop()
        if self.service is not None:
            self._notifier.stopping(self._grace_s, self.service.lifecycle.error)
            self.service.stop()
            # Before uvicorn cancels what is left: those who wait are answered, and streams end with an error.
            loop.call_later(self._grace_s, self.service.abandon)
        last_resort = threading.Timer(self._grace_s + LAST_RESORT_S, self._end_without_the_rest)
        last_resort.daemon = True
        last_resort.start()
        await super().shutdown(sockets)

    def _end_without_the_rest(self) -> None:
        _logger.warning("the grace of %g s is over, and something still runs: ending without it", self._grace_s)
        os._exit(self.exit_code)

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        # In place of uvicorn's, after which the process dies by the signal: a stop that was asked for is no failure.
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        handlers: dict[int, Callable[[int, FrameType | None], None]] = {
            signal.SIGINT: self.handle_exit,
            signal.SIGTERM: self.handle_exit,
        }
        if hasattr(signal, "SIGHUP"):
            has_terminal = _has_terminal()

            def reload(number: int, frame: FrameType | None) -> None:
                if has_terminal and not _has_terminal():
                    self.handle_exit(number, frame)
                else:
                    loop.call_soon_threadsafe(self._reload)

            handlers[signal.SIGHUP] = reload
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's signature
        self._told_to_stop.append(sig)
        self.should_exit = True
        # A worker is told by its parent, and again by whoever tells the whole group: only Ctrl-C may mean it twice.
        meant = self._told_to_stop.count(signal.SIGINT) if parent_process() else len(self._told_to_stop)
        if meant > 1:
            _logger.warning("told again to stop: ending at once")
            os._exit(128 + sig)

    def _reload(self) -> None:
        if self.service is not None:
            asyncio.get_running_loop().run_in_executor(None, self._reload_service, self.service)

    def _reload_service(self, service: EngineService) -> None:
        with self._notifier.reloading():
            service.reload()


def serve(name: Service, settings: Settings, *, reload: bool = False) -> int:
    """Serve until a signal ends it; returns the exit code of the process.

    A GPU that fails takes the process's every later call with it: the process then replaces itself by a new one.

    Raises:
        ConfigurationError: the port cannot be listened on.
    """
    host, port = settings.address(name)
    config = uvicorn.Config(
        f"voice_stack.{name}.app:app_from_environment",
        factory=True,
        host=host,
        port=port,
        reload=reload,
        reload_dirs=[str(Path(__file__).parents[1])] if reload else None,
        workers=1,
        http=LimitedProtocol,
        ws=LimitedWebSocket,
        ws_max_size=MAX_FRAME_BYTES,
        # Audio in base64 is hardly smaller for it.
        ws_per_message_deflate=False,
        # h11's own limit is 16 KiB, or what one read brings.
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        # So many connections are accepted at once before one is looked at; SPARE_DESCRIPTORS has room for them.
        backlog=ACCEPTED_AT_ONCE,
        log_config=None,
        access_log=False,
        server_header=False,
        forwarded_allow_ips=settings.forwarded_allow_ips,
        # A float, as asyncio takes it.
        timeout_graceful_shutdown=settings.shutdown_grace_s + AFTER_GRACE_S,  # type: ignore[arg-type]
        # Clients of a proxy keep connections open for longer than uvicorn's 5 s.
        timeout_keep_alive=75,
    )
    notifier = Notifier.of_environment()
    # Of workers their parent tells.
    alone = settings.workers == 1 and not reload
    server = VoiceServer(config, grace_s=settings.shutdown_grace_s, notifier=notifier if alone else Notifier())
    listener = _kept_listener(host, port, notifier)
    if listener is None:
        listener = _listen(host, port)
        notifier.keep(listener)
    _logger.info("%s listens on http://%s:%d", settings.title(name), host, listener.getsockname()[1])
    if reload or settings.workers > 1:
        # The processes read the settings themselves; what the command line changed reaches them by the environment.
        os.environ[f"{name.upper()}_HOST"], os.environ[f"{name.upper()}_PORT"] = host, str(port)
    os.environ["WORKERS"] = str(settings.workers)
    if reload:
        ChangeReload(config, target=server.run, sockets=[listener]).run()
        return 0
    if settings.workers > 1:
        # Each process has its own numbers; whichever Prometheus reaches must tell of all (core/metrics.py).
        with temporary_folder("voice-stack-metrics-") as folder:
            os.environ[SHARED_DIR_VARIABLE] = str(folder)
            # What PyTorch and the libraries below NumPy take their number of threads from.
            os.environ.setdefault("OMP_NUM_THREADS", str(usable_cores(settings.workers)))
            patience_s = settings.shutdown_grace_s + 2
            return Supervisor(server, listener, count=settings.workers, patience_s=patience_s, notifier=notifier).run()
    server.run(sockets=[listener])
    code = server.exit_code
    if code == EXIT_DEVICE_LOST:
        _logger.error("starting anew: the GPU failed")
        listener.close()
        notifier.let_go()
        # Imported here: what only starts the workers decodes nothing.
        from voice_stack.utils.audio.isolation import stop_decoders

        stop_decoders()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - the command that started this one
    return code


def _has_terminal() -> bool:
    """Whether this process belongs to a terminal; one that is closed sends SIGHUP and is gone."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _kept_listener(host: str, port: int, notifier: Notifier) -> socket.socket | None:
    """The socket that stayed open while this service was restarted, if it is the one that the settings ask for."""
    held = kept_sockets()
    found = None
    for kept in held:
        asked = None
        with suppress(OSError):  # a name, or an address of another family
            asked = socket.getaddrinfo(host, port, kept.family, kept.type)[0][4][:2]
        if found is None and kept.getsockname()[:2] == asked:
            found = kept
        else:
            kept.close()
    if found is not None:
        found.set_inheritable(True)
    elif held:
        notifier.let_go()
    return found


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        # Bound is not enough: with SO_REUSEADDR a second bind succeeds until one of the two listens.
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"cannot listen on {host} port {port}: {error.strerror}; end what uses it, or choose another with --port"
        ) from error
    listener.set_inheritable(True)
    return listener
