"""Runs one service under uvicorn: port first, model beside it, an orderly stop."""

import logging
import os
import socket
import sys
import tempfile
import time
from pathlib import Path

import uvicorn
from uvicorn.supervisors import ChangeReload, Multiprocess

from voice_stack.core.errors import ConfigurationError, DeviceLostError, VoiceStackError
from voice_stack.core.metrics import SHARED_DIR_VARIABLE
from voice_stack.core.service import EngineService
from voice_stack.core.settings import Service, Settings

_logger = logging.getLogger(__name__)

EXIT_MODEL_FAILED = 3
"""Exit code when the model could not be loaded, or was lost soon after."""


LEAST_UPTIME_S = 60.0
"""A process whose GPU fails sooner than this ends instead of starting anew: it would only fail again."""


class VoiceServer(uvicorn.Server):
    """A uvicorn server that ends when the model can no longer be used, so that whoever started it can see it."""

    def model_error(self) -> VoiceStackError | None:
        """Why the service has given up on its model; None: it has not."""
        service: EngineService | None = self.lifespan.state.get("service") if self.started else None
        return service.lifecycle.error if service is not None else None

    async def on_tick(self, counter: int) -> bool:
        return await super().on_tick(counter) or self.model_error() is not None


def serve(name: Service, settings: Settings, *, workers: int = 1, reload: bool = False) -> int:
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
        workers=workers,
        reload=reload,
        reload_dirs=[str(Path(__file__).parents[1])] if reload else None,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=max(1, round(settings.shutdown_grace_s)),
        # Clients of a proxy keep connections open for longer than uvicorn's 5 s.
        timeout_keep_alive=75,
    )
    server = VoiceServer(config)
    listener = _listen(host, port)
    _logger.info("%s listens on http://%s:%d", settings.title(name), host, listener.getsockname()[1])
    if reload or workers > 1:
        # The processes read the settings themselves; what the command line changed reaches them by the environment.
        os.environ[f"{name.upper()}_HOST"], os.environ[f"{name.upper()}_PORT"] = host, str(port)
        if reload:
            ChangeReload(config, target=server.run, sockets=[listener]).run()
        else:
            # Each process has its own numbers; whichever Prometheus reaches must tell of all (core/metrics.py).
            with tempfile.TemporaryDirectory(prefix="voice-stack-metrics-") as folder:
                os.environ[SHARED_DIR_VARIABLE] = folder
                Multiprocess(config, sockets=[listener]).run()
        return 0
    started_at = time.monotonic()
    server.run(sockets=[listener])
    error = server.model_error()
    if isinstance(error, DeviceLostError) and time.monotonic() - started_at >= LEAST_UPTIME_S:
        _logger.error("starting anew: %s", error)
        listener.close()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - the command that started this one
    return EXIT_MODEL_FAILED if error is not None else 0


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        # Bound is not enough: with SO_REUSEADDR a second bind succeeds until one of the two listens.
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"cannot listen on {host} port {port}: {error.strerror}; end what uses it, or choose another with --port"
        ) from error
    listener.set_inheritable(True)
    return listener
