"""What the tests on real systems share."""

import os
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import CACHE, ROOT
from tests.deploy.bookworm import bookworm_root, clone_of
from tests.deploy.engine import CLIENT, Engine, docker_engine, import_base


@pytest.fixture(scope="session", autouse=True)
def ended_in_order() -> None:
    """SIGTERM ends the tests as Ctrl-C does: what they have started is ended, what they have made is removed."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session")
def bookworm() -> Path:
    """A Debian 12 root, to be copied."""
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        pytest.skip("needs root and debootstrap: ./scripts/test-deploy.sh")
    return bookworm_root(CACHE / "deploy")


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of this repository with what is not committed yet, as a user has it."""
    return clone_of(ROOT, tmp_path_factory.mktemp("clone") / "voice-stack")


@pytest.fixture(scope="session")
def engine(bookworm: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A Docker engine that has the base of the images and nothing else."""
    if not Path(CLIENT).exists() or shutil.which("dockerd") is None:
        pytest.skip("needs Debian's docker.io: ./scripts/test-deploy.sh")
    with docker_engine(CACHE / "deploy") as engine:
        import_base(engine, bookworm, tmp_path_factory.mktemp("base"))
        yield engine


@pytest.fixture(scope="session")
def images(engine: Engine, clone: Path) -> Engine:
    """The engine with all images built: both services with a model, as docker-compose.yml asks for, and ASR without."""
    with ThreadPoolExecutor() as pool:
        builds = [
            pool.submit(engine.build, clone, "asr", "voice-stack-asr", MODEL="base"),
            pool.submit(engine.build, clone, "tts", "voice-stack-tts", MODEL="en_US-joe-medium"),
        ]
        for build in builds:
            build.result()
    engine.build(clone, "asr", "voice-stack-asr:bare")
    return engine
