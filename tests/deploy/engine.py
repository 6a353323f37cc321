"""A Docker engine of its own for the tests: started by hand, with nothing of the host's, gone afterwards."""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.serving import wait_until

# Debian's: newer clients build with a plug-in that need not be there.
CLIENT = "/usr/bin/docker"
BASE_IMAGE = "python:3.11-slim-bookworm"
HARDENED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")

# What the image of that name has none of. The bundle of certificates comes from this host.
LEFT_OUT = (
    "EXTERNALLY-MANAGED",
    "./etc/ssl/certs/ca-certificates.crt",
    "./usr/bin/curl",
    "./usr/bin/git",
    "./usr/lib/git-core",
    "./usr/share/doc/*",
    "./usr/share/locale/*",
    "./usr/share/man/*",
    "./var/cache/apt/*",
    "./var/lib/apt/lists/*",
)


@dataclass(frozen=True)
class Engine:
    """A running engine and the client that speaks with it."""

    socket: Path

    @property
    def environment(self) -> dict[str, str]:
        """For clients of this engine, docker-compose among them."""
        path = f"{Path(CLIENT).parent}:{os.environ['PATH']}"
        build = {"DOCKER_BUILDKIT": "1", "COMPOSE_DOCKER_CLI_BUILD": "1", "BUILDKIT_PROGRESS": "plain"}
        return {**os.environ, **build, "PATH": path, "DOCKER_HOST": f"unix://{self.socket}"}

    def run(self, *arguments: str, timeout_s: float = 60, **options: Any) -> "subprocess.CompletedProcess[bytes]":
        """Run the client; what it writes is in the answer. ``check`` is on."""
        options = {"check": True, "capture_output": True, **options}
        try:
            return subprocess.run([CLIENT, *arguments], env=self.environment, timeout=timeout_s, **options)
        except subprocess.CalledProcessError as error:
            said = (error.stderr or b"").decode(errors="replace")[-4000:]
            raise AssertionError(f"docker {' '.join(arguments)[:200]}: {said}") from error

    def out(self, *arguments: str, timeout_s: float = 60) -> str:
        """What the client writes to standard output."""
        return self.run(*arguments, timeout_s=timeout_s).stdout.decode().strip()

    def build(self, folder: Path, service: str, tag: str, **arguments: str) -> float:
        """Build an image; how long that took, in seconds."""
        given = [part for name, value in arguments.items() for part in ("--build-arg", f"{name}={value}")]
        started_at = time.monotonic()
        self.run(
            "build", "--network", "host", "--file", f"Dockerfile.{service}", "--tag", tag, *given, str(folder),
            cwd=folder, timeout_s=1200,
        )  # fmt: skip
        return time.monotonic() - started_at

    @contextlib.contextmanager
    def container(self, image: str, *options: str, command: tuple[str, ...] = ()) -> Iterator["Container"]:
        """Run an image in the background; nothing of it is left afterwards."""
        container = Container(self, self.out("run", "--detach", "--health-interval", "1s", *options, image, *command))
        try:
            yield container
        finally:
            self.run("rm", "--force", "--volumes", container.id)

    def clean(self) -> None:
        """Remove all containers, volumes and networks, and the images that nothing refers to any more."""
        if containers := self.out("ps", "--all", "--quiet").split():
            self.run("rm", "--force", "--volumes", *containers)
        if volumes := self.out("volume", "ls", "--quiet").split():
            self.run("volume", "rm", *volumes)
        self.run("network", "prune", "--force")
        self.run("image", "prune", "--force")
        # Enough for what the tests build; of older builds the engine would keep a tenth of the disk.
        self.run("builder", "prune", "--force", "--keep-storage", "8GB", timeout_s=120)


@dataclass(frozen=True)
class Container:
    """A container that was started, and may have ended since."""

    engine: Engine
    id: str

    def state(self) -> dict[str, Any]:
        """``State`` as docker inspect gives it, with ``RestartCount``."""
        about = json.loads(self.engine.out("inspect", self.id))[0]
        return {**about["State"], "RestartCount": about["RestartCount"]}

    def logs(self) -> str:
        """All that it has written."""
        answer = self.engine.run("logs", self.id)
        return (answer.stdout + answer.stderr).decode(errors="replace")

    def execute(self, *command: str, given: bytes = b"", check: bool = True) -> bytes:
        """What a command inside writes to standard output."""
        return bytes(self.engine.run("exec", "--interactive", self.id, *command, input=given, check=check).stdout)

    def wait_healthy(self, timeout_s: float = 60) -> None:
        """Wait until the image's own HEALTHCHECK says so."""

        def settled() -> bool:
            state = self.state()
            assert state["Status"] in {"running", "restarting"}, self.logs()
            return bool(state["Health"]["Status"] == "healthy")

        wait_until(settled, timeout_s)

    def wait_ended(self, timeout_s: float = 60) -> int:
        """Wait until it has ended; its exit code."""
        return int(self.engine.out("wait", self.id, timeout_s=timeout_s))


@contextlib.contextmanager
def docker_engine(cache: Path) -> Iterator[Engine]:
    """Start an engine whose images outlive it in ``cache``, so that only what changed is built again."""
    data = cache / "docker"
    data.mkdir(parents=True, exist_ok=True)
    # A socket's path may have 107 characters only.
    folder = Path(tempfile.mkdtemp(prefix="engine-", dir="/tmp"))
    with (cache / "docker.lock").open("w") as lock, (folder / "log").open("wb") as log:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # It must not outlive the tests, however they end.
        daemon = subprocess.Popen(
            [
                "setpriv", "--pdeathsig", "TERM", "dockerd", "--data-root", data, "--exec-root", folder / "exec",
                "--host", f"unix://{folder / 'socket'}", "--pidfile", folder / "pid", "--storage-driver=overlay2",
                "--bridge=none", "--iptables=false", "--ip6tables=false", "--shutdown-timeout=5",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        engine = Engine(folder / "socket")
        try:

            def answers() -> bool:
                assert daemon.poll() is None, (folder / "log").read_text()
                return engine.run("info", check=False).returncode == 0

            wait_until(answers)
            # What a run that was killed has left would be started again.
            engine.clean()
            yield engine
            engine.clean()
        finally:
            daemon.terminate()
            try:
                daemon.wait(30)
            finally:
                daemon.kill()
                _unmount(folder, data)
                shutil.rmtree(folder, ignore_errors=True)


def import_base(engine: Engine, root: Path, folder: Path) -> None:
    """Make ``BASE_IMAGE`` of a Debian root, as no registry is asked: Python is the same version, and called ``python``.

    pip inside reaches the package index as pip here does. An image of before is kept, and with it all that was built.
    """
    certificates = folder / "etc" / "ssl" / "certs" / "ca-certificates.crt"
    pip_conf = folder / "etc" / "pip.conf"
    link = folder / "usr" / "local" / "bin" / "python"
    for file in (certificates, pip_conf, link):
        file.parent.mkdir(parents=True, exist_ok=True)
    options = _pip_options(folder)
    shutil.copyfile(options.pop("cert", "/etc/ssl/certs/ca-certificates.crt"), certificates)
    lines = [f"{name} = {value}" for name, value in options.items()]
    pip_conf.write_text("\n".join(["[global]", "cert = /etc/ssl/certs/ca-certificates.crt", *lines, ""]))
    link.symlink_to("/usr/bin/python3")
    ours = [str(file.relative_to(folder)) for file in (certificates, pip_conf, link)]

    made_of = (root.with_name(f"{root.name}.made-of"), certificates, pip_conf)
    stamp = hashlib.sha256(b"".join(file.read_bytes() for file in made_of) + repr(LEFT_OUT).encode()).hexdigest()
    label = engine.run("image", "inspect", "--format", "{{.Config.Labels.stamp}}", BASE_IMAGE, check=False)
    if label.stdout.decode().strip() == stamp:
        return
    excluded = [f"--exclude={pattern}" for pattern in LEFT_OUT]
    tar = ["tar", "--create", *excluded, "-C", str(root), ".", "-C", str(folder), *ours]
    changes = ["ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin", f"LABEL stamp={stamp}"]
    as_options = [part for change in changes for part in ("--change", change)]
    with subprocess.Popen(tar, stdout=subprocess.PIPE) as archive:
        engine.run("import", *as_options, "-", BASE_IMAGE, stdin=archive.stdout, timeout_s=120)
    assert archive.returncode == 0


def _pip_options(folder: Path) -> dict[str, str]:
    """The certificates and the indexes on the network that pip here is configured with."""
    shown = subprocess.run(
        ["python3", "-m", "pip", "config", "list"], check=True, capture_output=True, text=True, cwd=folder
    ).stdout
    options = {}
    for line in shown.splitlines():
        name, _, value = line.partition("=")
        words = [word for word in value.strip("'").split() if not word.startswith("file:")]
        if (option := name.rpartition(".")[2]) in {"cert", "index-url", "extra-index-url", "trusted-host"} and words:
            options[option] = " ".join(words)
    return options


def _unmount(*folders: Path) -> None:
    places = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for place in sorted(places, reverse=True):
        if any(Path(place).is_relative_to(folder) for folder in folders):
            subprocess.run(["umount", "--lazy", place], check=False)
