"""The shell scripts: clean by shellcheck, and clear about what stops them. Nothing is installed here."""

import os
import shutil
import socket
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHELL_FILES = [*sorted((ROOT / "scripts").glob("*.sh")), ROOT / ".ci/run"]
SOURCED = {"bootstrap.sh", "service-lib.sh"}
BASH = shutil.which("bash") or "/bin/bash"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A fresh checkout, with a space in its name, that holds what the scripts need."""
    root = tmp_path / "a checkout"
    shutil.copytree(ROOT / "scripts", root / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    return root


def run(script: Path, *arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BASH, str(script), *arguments],
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "HOME": str(cwd), "PYTHON": sys.executable} | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def assert_one_sentence(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert all(word in done.stderr for word in words)


@pytest.mark.parametrize("file", SHELL_FILES, ids=lambda path: path.name)
def test_shellcheck_finds_nothing(file: Path) -> None:
    shellcheck = Path(sysconfig.get_path("scripts"), "shellcheck")
    done = subprocess.run([shellcheck, "-x", file], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout + done.stderr, done.returncode) == ("", 0)


@pytest.mark.parametrize("file", [f for f in SHELL_FILES if f.name not in SOURCED], ids=lambda path: path.name)
def test_the_scripts_can_be_run_as_they_are(file: Path) -> None:
    assert os.access(file, os.X_OK)


def test_the_scripts_of_the_services_explain_themselves_and_refuse_what_they_do_not_know(tmp_path: Path) -> None:
    for file in sorted((ROOT / "scripts").glob("*install-*.sh")) + sorted((ROOT / "scripts").glob("update-*.sh")):
        explained = run(file, "--help", cwd=tmp_path)
        assert (explained.returncode, explained.stdout.splitlines()[0]) == (0, f"Usage: {file.name} [options]")
        refused = run(file, "--timeout" if "uninstall" in file.name else "--purge", cwd=tmp_path)
        assert (refused.returncode, refused.stderr.count(f"see {file.name} --help")) == (2, 1)


@pytest.mark.parametrize(
    "options",
    [
        ("--prefix", "relative"),
        ("--prefix", "/opt/../root/x"),
        ("--prefix", "/home/me"),
        ("--prefix", "/opt/a;b"),
        ("--user", "root"),
        ("--user", "a b"),
        ("--port", "0"),
        ("--engine", "piper"),
        ("--device", "tpu"),
        ("--model",),
        ("--model", ""),
        ("--model", "two\nlines"),
    ],
    ids=" ".join,
)
def test_an_option_that_cannot_be_used_is_refused_before_anything_is_done(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    refused = run(ROOT / "scripts" / "install-asr.sh", *options, cwd=tmp_path)
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1
    assert options[0] in refused.stderr


def test_ci_calls_the_test_scripts_and_nothing_else() -> None:
    lines = (ROOT / ".ci/run").read_text(encoding="utf-8").splitlines()
    calls = [line for line in lines if line and not line.startswith(("#", "set ", "cd "))]
    assert calls == ["./scripts/test.sh", "./scripts/test-deploy.sh", "./scripts/test-clients.sh"]


@pytest.mark.parametrize("script", ["quickstart.sh", "test.sh"])
@pytest.mark.parametrize("python", ["", "/no/such/python", "/bin/false"])
def test_without_a_python_one_sentence_says_so(checkout: Path, script: str, python: str) -> None:
    done = run(checkout / "scripts" / script, cwd=checkout, PATH="/nowhere", PYTHON=python)
    assert_one_sentence(done, "No Python 3.10 or newer", "PYTHON=")
    assert not (checkout / ".hatch").exists()


def test_a_python_that_is_too_old_is_not_used(checkout: Path, tmp_path: Path) -> None:
    old = tmp_path / "python3"
    # Only the version is pretended: the script's own question to it is run by a real Python.
    old.write_text(
        f'#!{BASH}\nshift\nexec "{sys.executable}" -c "import sys; sys.version_info = (3, 9)\n$1"\n', encoding="utf-8"
    )
    old.chmod(0o755)
    done = run(checkout / "scripts/test.sh", cwd=checkout, PATH=str(tmp_path), PYTHON="")
    assert_one_sentence(done, "No Python 3.10 or newer")


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize("option", ["--asr-port", "--tts-port"])
def test_a_port_that_is_taken_is_told_before_anything_is_installed(checkout: Path, address: str, option: str) -> None:
    with socket.create_server((address, 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run(checkout / "scripts/quickstart.sh", option, port, cwd=checkout)
    assert_one_sentence(done, f"Port {port} is taken", option)
    assert not (checkout / ".hatch").exists()
    assert not (checkout / ".venv").exists()


def test_ports_are_taken_from_the_environment(checkout: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run(checkout / "scripts/quickstart.sh", cwd=checkout, TTS_PORT=port)
    assert_one_sentence(done, f"Port {port} is taken")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--asr-port", "zero"], ["'zero' is not a port number"]),
        (["--asr-port", "65536"], ["'65536' is not a port number"]),
        (["--asr-port", "7001", "--tts-port", "7001"], ["Both services cannot use port 7001"]),
        (["--tts-port"], ["--tts-port needs a port number"]),
        (["--chekc"], ["Unknown argument '--chekc'", "Usage"]),
    ],
)
def test_a_wrong_argument_is_told(checkout: Path, arguments: list[str], words: list[str]) -> None:
    assert_one_sentence(run(checkout / "scripts/quickstart.sh", *arguments, cwd=checkout), *words)


def test_the_scripts_work_from_any_folder(checkout: Path) -> None:
    elsewhere = run(checkout / "scripts/quickstart.sh", "--help", cwd=Path("/"))
    beside = run(Path("quickstart.sh"), "--help", cwd=checkout / "scripts")
    assert (elsewhere.returncode, beside.returncode) == (0, 0)
    assert elsewhere.stdout == beside.stdout != ""


def test_without_a_network_one_sentence_says_so_and_names_the_log(checkout: Path) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # bound but not listening: every connection is refused
        done = run(
            checkout / "scripts/test.sh",
            cwd=checkout,
            PIP_CONFIG_FILE=os.devnull,
            PIP_INDEX_URL=f"http://127.0.0.1:{reserved.getsockname()[1]}/simple",
            PIP_NO_CACHE_DIR="1",
            PIP_RETRIES="1",
        )
    assert_one_sentence(done, "could not be reached", "install.log")
    assert "hatch" in (checkout / ".hatch/logs/install.log").read_text(encoding="utf-8")
    assert not (checkout / ".venv").exists()
