"""The quickstart with the real services and models, in a checkout whose environment is the one the tests run in."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
READY_S = 120
ENDED_S = 45

Quickstart = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout that looks installed: what bootstrap.sh would build is linked from the tests' own environment."""
    root = tmp_path.resolve()
    shutil.copytree(ROOT / "scripts", root / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    for folder in (".venv/bin", ".hatch/venv/bin"):
        (root / folder).mkdir(parents=True)
        (root / folder / "python").symlink_to(Path(sys.executable).resolve())
    (root / ".venv/bin/voice-stack").symlink_to(Path(sysconfig.get_path("scripts"), "voice-stack"))
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (root / "pyproject.toml").write_text(project, encoding="utf-8")
    stamp = f"# Python {sys.version_info.major}.{sys.version_info.minor} in {root}\n"
    (root / ".venv/.made-from").write_text(stamp + project, encoding="utf-8")
    return root


@pytest.fixture
def ports() -> tuple[int, int]:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return one.getsockname()[1], other.getsockname()[1]


@pytest.fixture
def quickstart(checkout: Path, ports: tuple[int, int], model_dir: Path) -> Iterator[Quickstart]:
    started = []

    def start(*arguments: str, **environment: str) -> "subprocess.Popen[str]":
        settings = {"ASR_PORT": str(ports[0]), "TTS_PORT": str(ports[1]), "MODEL_DIR": str(model_dir)}
        process = subprocess.Popen(
            [checkout / "scripts/quickstart.sh", *arguments],
            env={"PATH": os.environ["PATH"], "HOME": str(checkout)} | settings | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.terminate()
        process.communicate(timeout=ENDED_S)


def listening(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def assert_both_end(ports: tuple[int, int]) -> None:
    deadline = time.monotonic() + ENDED_S
    while any(map(listening, ports)):
        assert time.monotonic() < deadline, "a service is still listening"
        time.sleep(0.1)


def wait_until_serving(process: "subprocess.Popen[str]") -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("Logs:"):
            return
    pytest.fail("the quickstart ended before it served")


def test_check_hears_what_was_spoken_and_leaves_nothing_running(
    quickstart: Quickstart, ports: tuple[int, int], checkout: Path
) -> None:
    # With keys set, the services refuse a client that sends none.
    (checkout / ".env").write_text("API_KEYS=first,second\n", encoding="utf-8")
    process = quickstart("--check")
    stdout, stderr = process.communicate(timeout=READY_S)
    assert (process.returncode, stderr) == (0, "")
    assert "spoken: Good morning." in stdout
    assert "heard:  Good morning" in stdout
    assert "Installing" not in stdout
    assert not any(map(listening, ports))


def test_a_signal_ends_the_services_and_is_a_clean_end(quickstart: Quickstart, ports: tuple[int, int]) -> None:
    process = quickstart()
    wait_until_serving(process)
    assert all(map(listening, ports))
    process.send_signal(signal.SIGTERM)
    stdout, _ = process.communicate(timeout=ENDED_S)
    assert (process.returncode, stdout) == (0, "Stopping.\n")
    assert not any(map(listening, ports))


def test_even_a_killed_quickstart_leaves_no_orphans(quickstart: Quickstart, ports: tuple[int, int]) -> None:
    process = quickstart()
    wait_until_serving(process)
    process.kill()
    process.wait(timeout=ENDED_S)
    assert_both_end(ports)


def test_a_service_that_dies_ends_the_other_and_its_log_is_shown(
    quickstart: Quickstart, ports: tuple[int, int]
) -> None:
    process = quickstart(ASR_COMPUTE_TYPE="nonsense")
    _, stderr = process.communicate(timeout=READY_S)
    assert process.returncode == 1
    assert "nonsense" in stderr
    assert stderr.splitlines()[-1].startswith("The asr service ended by itself")
    assert not any(map(listening, ports))
