"""What the tests on real systems share."""

import os
import shutil
from pathlib import Path

import pytest

from tests.conftest import CACHE, ROOT
from tests.deploy.bookworm import bookworm_root, clone_of


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
