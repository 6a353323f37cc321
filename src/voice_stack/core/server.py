"""Runs one service under uvicorn: port first, model beside it, an orderly stop."""

import logging
import os
import socket
from pathlib import Path

import uvicorn
from uvicorn.supervisors import ChangeReload, Multiprocess

from voice_stack.core.errors import ConfigurationError
from voice_stack.core.service import EngineService
from voice_stack.core.settings import Service, Settings

_logger = logging.getLogger(__name__)

EXIT_MODEL_FAILED = 3
"""Exit code when the model could not be loaded."""


class VoiceServer(uvicorn.Server):
    """A uvicorn server that ends when the model cannot be loaded, so that whoever started it can see it."""

    def model_failed(self) -> bool:
        """Whether the service has given up on its model."""
        service: EngineService | None = self.lifespan.state.get("service") if self.started else None
        return service is not None and service.lifecycle.error is not None

    async def on_tick(self, counter: int) -> bool:
        return await super().on_tick(counter) or self.model_failed()


def serve(name: Service, settings: Settings, *, workers: int = 1, reload: bool = False) -> int:
    """Serve until a signal ends it; returns the exit code of the process.

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
            Multiprocess(config, sockets=[listener]).run()
        return 0
    server.run(sockets=[listener])
    return EXIT_MODEL_FAILED if server.model_failed() else 0


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
