"""A Debian 12 root, as a new host or the base of an image has it."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

PACKAGES = (
    "ca-certificates",
    "curl",
    "dbus",
    "git",
    "iproute2",
    "procps",
    "python3",
    "python3-venv",
    "systemd",
    "systemd-sysv",
)
"""What is in it beside Debian's smallest base."""


def bookworm_root(cache: Path) -> Path:
    """The folder of a Debian 12 root, made by debootstrap in about a minute where ``cache`` does not hold it yet.

    It is shared by all tests: copy it (``copied_root``), do not change it.
    """
    cache.mkdir(parents=True, exist_ok=True)
    root = cache / "bookworm"
    with (cache / "bookworm.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made_of = cache / "bookworm.made-of"
        if not made_of.is_file() or made_of.read_text() != " ".join(PACKAGES):
            made_of.unlink(missing_ok=True)
            shutil.rmtree(root, ignore_errors=True)
            include = f"--include={','.join(PACKAGES)}"
            subprocess.run(["debootstrap", "--variant=minbase", include, "bookworm", str(root)], check=True)
            made_of.write_text(" ".join(PACKAGES))
    return root


def copied_root(root: Path, target: Path) -> Path:
    """A copy of a root that may be changed; some 430 MB."""
    subprocess.run(["cp", "--archive", "--reflink=auto", str(root), str(target)], check=True)
    return target


def pip_options(folder: Path) -> dict[Path, str]:
    """What pip inside needs to reach the package index as it does here: files of this host by their place inside.

    The certificates, pip's configuration, and the local folders of packages that it names.
    """
    shown = subprocess.run(
        ["python3", "-m", "pip", "config", "list"], check=True, capture_output=True, text=True, cwd=folder
    ).stdout
    lines = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    files = {Path("/etc/ssl/certs"): "/etc/ssl/certs"}
    for name, value in lines.items():
        for word in value.strip("'").replace("file://", "").split():
            path = Path(word)
            if path.is_absolute() and path.exists():
                # An index is the folder above its "simple".
                place = path.parent if name.endswith("index-url") else path
                files[place] = str(place)
    if Path("/etc/pip.conf").is_file():
        files[Path("/etc/pip.conf")] = "/etc/pip.conf"
    return files


def clone_of(repository: Path, target: Path) -> Path:
    """A clone of the working tree as it is, changes and new files included, with one commit of them on top."""
    subprocess.run(["git", "clone", "--quiet", str(repository), str(target)], check=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=repository,
        check=True,
        capture_output=True,
    ).stdout
    with tempfile.NamedTemporaryFile() as names:
        names.write(
            b"".join(name + b"\0" for name in listed.split(b"\0") if name and (repository / os.fsdecode(name)).exists())
        )
        names.flush()
        tar = ["tar", "-C", str(repository), "--null", "-T", names.name, "-c"]
        with subprocess.Popen(tar, stdout=subprocess.PIPE) as archive:
            subprocess.run(["tar", "-C", str(target), "-x"], stdin=archive.stdout, check=True)
        if archive.returncode:
            raise RuntimeError("the working tree could not be copied")
    commit(target, "As it is in the working tree")
    return target


def commit(repository: Path, subject: str) -> None:
    """Commit all changes of a test's clone, also where there are none."""
    identity = ["-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "add", "--all"], cwd=repository, check=True)
    subprocess.run(["git", *identity, "commit", "--quiet", "--allow-empty", "-m", subject], cwd=repository, check=True)
