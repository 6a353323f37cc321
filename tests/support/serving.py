"""Apps and processes, served for a test."""

import asyncio
import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI


@asynccontextmanager
async def client_of(app: FastAPI, *, ready: bool = True) -> AsyncIterator[httpx.AsyncClient]:
    """Run an app in this process, over ASGI, and talk to it."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test", timeout=60) as client,
    ):
        if ready:
            while (await client.get("/health")).json()["status"] == "loading":
                await asyncio.sleep(0.01)
        yield client


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Serve an app from a thread of this process over real HTTP; gives its base URL."""
    port = free_port()
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, timeout_graceful_shutdown=5)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(60)
        assert not thread.is_alive()


class ServiceProcess:
    """A service in a process of its own, started as a user starts it."""

    def __init__(self, process: subprocess.Popen[bytes], base_url: str, log_path: Path) -> None:
        self.process = process
        self.base_url = base_url
        self._log_path = log_path

    @property
    def log(self) -> str:
        """What it has written so far."""
        return self._log_path.read_text(encoding="utf-8")

    def health(self) -> dict[str, Any]:
        """What ``/healthz`` says."""
        connection = http.client.HTTPConnection(self.base_url.removeprefix("http://"), timeout=30)
        with contextlib.closing(connection):
            connection.request("GET", "/healthz")
            about: dict[str, Any] = json.loads(connection.getresponse().read())
            return about

    def threads(self) -> int:
        """How many threads it has."""
        return len(os.listdir(f"/proc/{self.process.pid}/task"))  # noqa: PTH208 - a count, thousands of times

    def cpu_s(self) -> float:
        """The processor time that it has taken, in seconds."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def open_sockets(self) -> int:
        """How many of its open file descriptors are sockets."""
        return sum(target.startswith("socket:") for target in self._descriptors())

    def open_files(self) -> list[str]:
        """What its open file descriptors that are files point at."""
        return [target for target in self._descriptors() if target.startswith("/") and not target.startswith("/dev/")]

    def _descriptors(self) -> list[str]:
        targets = []
        for descriptor in Path(f"/proc/{self.process.pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                targets.append(str(descriptor.readlink()))
        return targets

    def memory_mb(self) -> float:
        """Its resident memory."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise AssertionError("no VmRSS")


@contextmanager
def service_process(
    name: str,
    folder: Path,
    *,
    env: dict[str, str] | None = None,
    args: Sequence[str] = (),
    ready: bool = True,
    python: Path = Path(sys.executable),
    module: str = "voice_stack",
    port: int | None = None,
) -> Iterator[ServiceProcess]:
    """Run ``voice-stack NAME`` on a free port with ``folder`` as its working directory."""
    port = port or free_port()
    log_path = folder / f"{name}.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [str(python), "-m", module, name, "--host", "127.0.0.1", "--port", str(port), *args],
            cwd=folder,
            env={**os.environ, "HF_HUB_OFFLINE": "1", **(env or {})},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    service = ServiceProcess(process, f"http://127.0.0.1:{port}", log_path)
    try:
        if ready:
            wait_until(lambda: process.poll() is not None or _healthy(service.base_url), timeout_s=120)
            assert process.poll() is None, service.log
        yield service
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def _healthy(base_url: str) -> bool:
    try:
        return httpx.get(f"{base_url}/health").status_code == 200
    except httpx.TransportError:
        return False


def wait_until(condition: object, timeout_s: float = 30) -> None:
    """Wait until ``condition()`` is true."""
    assert callable(condition)
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)
