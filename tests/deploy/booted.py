"""A Debian root, booted: systemd inside, on this host's network."""

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

BOOT_LIMIT_S = 120
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Booted:
    """A system that runs; ``leader`` is its process 1, as this host counts."""

    def __init__(self, root: Path, leader: int, environment: Mapping[str, str]) -> None:
        self.root = root
        self.leader = leader
        self._environment = environment

    def command(self, *words: str | Path) -> list[str]:
        """What this host runs to run a command inside."""
        variables = [f"{name}={value}" for name, value in self._environment.items()]
        inside = ["env", "-i", f"PATH={_PATH}", "HOME=/root", "LANG=C.UTF-8", *variables, *map(str, words)]
        return ["nsenter", "--target", str(self.leader), "--all", *inside]

    def run(self, *words: str | Path, timeout_s: float = 600) -> subprocess.CompletedProcess[str]:
        """Run a command inside to its end, whatever that is."""
        return subprocess.run(
            self.command(*words), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s
        )

    def read(self, *words: str | Path) -> str:
        """What a command that must succeed writes."""
        ended = self.run(*words)
        assert ended.returncode == 0, f"{words}: {ended.returncode}\n{ended.stdout}\n{ended.stderr}"
        return ended.stdout.strip()

    def property(self, unit: str, name: str) -> str:
        """A property of a unit, as ``systemctl show`` has it."""
        return self.read("systemctl", "show", "--value", f"--property={name}", unit)

    def journal(self, unit: str) -> str:
        """What a unit has written, and systemd about it."""
        return self.read("journalctl", "--no-pager", "--output=cat", f"--unit={unit}")


@contextmanager
def booted(
    root: Path, *, shown: Mapping[Path, str], shared: Mapping[Path, str], environment: Mapping[str, str]
) -> Iterator[Booted]:
    """Boot ``root``, which this writes to, until the ``with`` block ends.

    Args:
        shown: files and folders of this host by their place inside, read-only.
        shared: the same, to be written to.
        environment: what every command inside gets beside the usual.
    """
    binds = [f"--bind-ro={path}:{place}" for path, place in shown.items()]
    binds += [f"--bind={path}:{place}" for path, place in shared.items()]
    with tempfile.TemporaryFile() as console:
        # Whatever kills the tests takes the whole system along: killed itself, systemd-nspawn would leave it behind.
        starter = ["setpriv", "--pdeathsig", "TERM", "systemd-nspawn", "--kill-signal=SIGKILL"]
        options = ["--quiet", "--register=no", "--keep-unit", "--boot", "--directory", str(root), *binds]
        machine = subprocess.Popen(
            [*starter, *options],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            system = _wait_until_running(machine, root, environment)
            yield system
        except BaseException:
            console.seek(0)
            print(console.read().decode(errors="replace")[-4000:])
            raise
        finally:
            machine.terminate()
            machine.wait(BOOT_LIMIT_S)
            _remove_control_groups()


def _wait_until_running(machine: subprocess.Popen[bytes], root: Path, environment: Mapping[str, str]) -> Booted:
    until = time.monotonic() + BOOT_LIMIT_S
    while time.monotonic() < until:
        assert machine.poll() is None, "the system ended while it booted"
        # The first child sets up and ends; then it is process 1.
        children = _children(machine)
        if len(children) == 1:
            system = Booted(root, children[0], environment)
            if system.run("systemctl", "is-system-running").stdout.strip() in {"running", "degraded"}:
                return system
        time.sleep(0.5)
    raise TimeoutError("the system did not come up")


def _children(machine: subprocess.Popen[bytes]) -> list[int]:
    return [int(each) for each in Path(f"/proc/{machine.pid}/task/{machine.pid}/children").read_text().split()]


def _remove_control_groups() -> None:
    """What systemd-nspawn leaves: empty groups below that of this process, in each hierarchy."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        own = line.split(":", 2)[2].lstrip("/")
        for hierarchy in ("", "systemd", "unified"):
            for name in ("payload", "supervisor"):
                for folder, _, _ in os.walk(Path("/sys/fs/cgroup", hierarchy, own, name), topdown=False):
                    with suppress(OSError):
                        Path(folder).rmdir()


@contextmanager
def emptied(folder: Path) -> Iterator[Path]:
    """A folder for one user at a time, empty at first; what is in it is deleted at the end, or by the next one."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for _ in range(20):
            # A killed run's system may still be about to end.
            shutil.rmtree(folder, ignore_errors=True)
            if not folder.exists():
                break
            time.sleep(0.5)
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder)
