"""A system to compare with, in a process of its own."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[1]


@contextmanager
def reference(
    name: str, config: Mapping[str, str], env: Mapping[str, str], python: Path = Path(sys.executable)
) -> "Iterator[Reference]":
    """Start a system and wait until it is ready.

    Args:
        config: what its constructor takes.
        env: added to the environment.
        python: an interpreter that has the packages it needs.

    Raises:
        RuntimeError: it does not start.
    """
    paths = [str(ROOT), str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            [str(python), "-m", "benchmarks.systems", name, json.dumps(dict(config))],
            cwd=ROOT,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": os.pathsep.join(paths), **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        started = Reference(name, process, errors)
        started.answer()
        # Popen's context closes the pipes, at which the system ends, and waits for it.
        yield started


@dataclass(frozen=True)
class Done:
    """What a system did; the clock is that of its own process."""

    seconds: float
    text: str


class Reference:
    """One of ``systems.SYSTEMS``; it only works while it is asked to."""

    def __init__(self, name: str, process: "subprocess.Popen[str]", errors: IO[bytes]) -> None:
        self.name = name
        self._process = process
        self._errors = errors

    def transcribe(self, paths: Sequence[Path], *, language: str | None = None, batch: int | None = None) -> Done:
        """Transcribe files, one after the other; a batch is faster-whisper's ``BatchedInferencePipeline``."""
        return self._ask({"paths": [str(path) for path in paths], "language": language, "batch": batch})

    def speak(self, texts: Sequence[str]) -> Done:
        """Speak texts, one after the other."""
        return self._ask({"texts": list(texts)})

    def _ask(self, request: Mapping[str, object]) -> Done:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return Done(**json.loads(self.answer()))

    def answer(self) -> str:
        """The next line that it writes.

        Raises:
            RuntimeError: it has ended; with what it wrote last.
        """
        assert self._process.stdout is not None
        line: str = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._errors.seek(0)
            raise RuntimeError(f"{self.name} failed:\n{self._errors.read().decode(errors='replace')[-3000:]}")
        return line
