"""The GitLab pipeline, its jobs run by gitlab-ci-local in a clone, on this machine instead of in containers."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import CACHE, ROOT
from tests.deploy.bookworm import clone_of, commit
from tests.deploy.engine import Engine

VERSION = "4.65.0"  # the newest that Node 20 runs
GROUPS = [f"test: [{group}]" for group in ("asr", "tts", "core", "utils", "integration")]
IMAGES = [f"container-image: [{service}]" for service in ("asr", "tts")]
JOBS = {"lint", "typecheck", *GROUPS, "test-repository", "build", *IMAGES, "secret_detection"}

# In two halves, so that it is not found here.
PLANTED = "glpat-" + "x1B2c3D4e5F6g7H8i9J1"

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def tool() -> Path:
    """gitlab-ci-local."""
    if shutil.which("npm") is None or shutil.which("rsync") is None:
        pytest.skip("needs npm and rsync: ./scripts/test-deploy.sh")
    folder = CACHE / "deploy" / f"gitlab-ci-local-{VERSION}"
    program = folder / "node_modules" / ".bin" / "gitlab-ci-local"
    if not program.exists():
        install = ["npm", "install", "--silent", "--no-fund", "--no-audit", "--prefix", str(folder)]
        subprocess.run([*install, f"gitlab-ci-local@{VERSION}"], check=True, timeout=180)
    return program


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone on its default branch, as a runner has it."""
    folder = clone_of(ROOT, tmp_path_factory.mktemp("gitlab") / "voice-stack")
    git(folder, "checkout", "--quiet", "-B", "main")
    git(folder, "remote", "set-url", "origin", "git@gitlab.example:speech/voice-stack.git")
    return folder


@pytest.fixture(scope="module")
def run(tool: Path, checkout: Path) -> Run:
    """Runs gitlab-ci-local in the checkout; ``environment`` is added to this process's own."""

    def run_it(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("HATCH_", "VIRTUAL_ENV"))
        }
        return subprocess.run(
            [tool, "--force-shell-executor", "--concurrency", "1", *arguments],
            cwd=checkout,
            env={**inherited, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=900,
        )

    return run_it


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True)


def jobs_of(listing: str) -> set[str]:
    """The names in what ``--list`` prints, a job a line below the heading."""
    rows = listing.splitlines()
    width = rows[0].index("description")
    return {row[:width].strip() for row in rows[1:]}


def test_gitlab_would_take_the_file_as_it_is(run: Run) -> None:
    """With GitLab's own schema; a job called ``types``, say, is refused."""
    listed = run("--list")
    assert listed.returncode == 0, listed.stderr
    assert jobs_of(listed.stdout) == JOBS


def test_images_are_built_on_the_default_branch_and_for_tags_only(run: Run, checkout: Path) -> None:
    git(checkout, "checkout", "--quiet", "-b", "change")
    try:
        assert jobs_of(run("--list").stdout) == JOBS - set(IMAGES)
    finally:
        git(checkout, "checkout", "--quiet", "main")


@pytest.mark.parametrize("job", ["secret_detection", "lint", "typecheck", "build"])
def test_a_job_passes(run: Run, checkout: Path, job: str) -> None:
    ended = run(job)
    assert ended.returncode == 0, (ended.stdout + ended.stderr)[-4000:]
    if job == "build":
        assert {path.suffix for path in (checkout / "dist").iterdir()} == {".gz", ".whl"}


def test_a_key_that_was_committed_and_taken_back_is_found(run: Run, checkout: Path) -> None:
    try:
        (checkout / "settings.ini").write_text(f"token = {PLANTED}\n", encoding="utf-8")
        commit(checkout, "Add the settings")
        (checkout / "settings.ini").unlink()
        commit(checkout, "Remove the settings")
        ended = run("secret_detection")
    finally:
        git(checkout, "reset", "--quiet", "--hard", "HEAD~2")
    assert ended.returncode != 0
    assert "settings.ini" in ended.stdout
    assert PLANTED not in ended.stdout + ended.stderr


@pytest.mark.parametrize("service", ["asr", "tts"])
def test_an_image_is_built_and_named_after_the_branch(run: Run, checkout: Path, images: Engine, service: str) -> None:
    """With an engine that runs already in the place of the one that the job brings along, which would be pulled."""
    pipeline = (checkout / ".gitlab-ci.yml").read_text(encoding="utf-8")
    alone = checkout / ".gitlab-ci.alone.yml"
    alone.write_text(pipeline.replace('  services: ["docker:28-dind"]\n', ""), encoding="utf-8")
    job = f"container-image: [{service}]"
    ended = run("--file", alone.name, "--variable", "BUILD_ARGUMENTS=--network host", job, **images.environment)
    assert ended.returncode == 0, (ended.stdout + ended.stderr)[-4000:]
    assert images.out("image", "ls", "--quiet", f"*/*/*/{service}:main")
