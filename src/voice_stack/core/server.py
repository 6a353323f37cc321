"""Runs one service under uvicorn: port first, model beside it, an orderly stop."""

import os
import socket
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.supervisors import ChangeReload, Multiprocess

from voice_stack.core.app import Described
from voice_stack.core.errors import ConfigurationError
from voice_stack.core.lifecycle import State
from voice_stack.core.settings import Service, Settings

EXIT_MODEL_FAILED = 3
"""Exit code when the model could not be loaded."""


class VoiceServer(uvicorn.Server):
    """A uvicorn server that tells the service when to stop, and ends when the model cannot be loaded."""

    def _service(self) -> Described | None:
        return self.lifespan.state.get("service") if self.started else None

    async def on_tick(self, counter: int) -> bool:
        service = self._service()
        failed = service is not None and service.lifecycle.state is State.FAILED
        return await super().on_tick(counter) or failed

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if (service := self._service()) is not None:
            # Before uvicorn waits for the open connections: what only waits in the queue is refused, what runs goes on.
            service.lifecycle.stop()
            service.refuse()
        await super().shutdown(sockets)


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
    if reload or workers > 1:
        # The processes read the settings themselves; what the command line changed reaches them by the environment.
        os.environ[f"{name.upper()}_HOST"], os.environ[f"{name.upper()}_PORT"] = host, str(port)
        supervisor: Any = ChangeReload if reload else Multiprocess
        supervisor(config, target=server.run, sockets=[listener]).run()
        return 0
    server.run(sockets=[listener])
    service = server.lifespan.state.get("service")
    return EXIT_MODEL_FAILED if service is not None and service.lifecycle.error else 0


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
