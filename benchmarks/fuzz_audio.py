"""What becomes of damaged media files: decoded, refused with a reason, or something that must not happen.

Each file is made from its number by ``tests.utils.audio.mutations`` and decoded in a process of its own pool, so that
a crash or a hang is noticed and told by number; ``--only NUMBER`` decodes that one file here, with its traceback.
"""

import argparse
import io
import multiprocessing
import os
import re
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from tests.utils.audio.helpers import open_files, resident_bytes
from tests.utils.audio.mutations import KINDS, make, mutated

from voice_stack.core.errors import InvalidAudioError
from voice_stack.utils.audio.decode import decode_audio

LIMIT_S = 10.0
STARTING_S = 120.0
RATE_HZ = 16_000
WARM_UP_FILES = 300


@dataclass(frozen=True)
class Outcome:
    """What became of one file."""

    seed: int
    kind: str
    size_bytes: int
    result: str
    audio_s: float = 0.0
    wall_s: float = 0.0
    resident_mb: float = 0.0
    open_files: int = 0


def decode(seed: int, kind: str, data: bytes) -> Outcome:
    """Decode one file, block by block."""
    samples, result = 0, "decoded"
    started_at = time.perf_counter()
    try:
        for block in decode_audio(io.BytesIO(data), sample_rate_hz=RATE_HZ):
            samples += len(block)
    except InvalidAudioError as error:
        result = "refused: " + re.split(r"[:.(]| of \d", error.message)[0]
    except Exception:  # noqa: BLE001 - which must not come is what this looks for
        result = "FAILED: " + traceback.format_exc().splitlines()[-1]
    return Outcome(
        seed=seed,
        kind=kind,
        size_bytes=len(data),
        result=result,
        audio_s=samples / RATE_HZ,
        wall_s=time.perf_counter() - started_at,
        resident_mb=resident_bytes() / 1e6,
        open_files=open_files(),
    )


def work(connection: Connection, log: str) -> None:
    """A worker: answer each number that arrives with its outcome."""
    os.dup2(os.open(log, os.O_WRONLY | os.O_APPEND), 2)
    originals = {kind: make(kind) for kind in KINDS}
    connection.send(None)
    while (seed := connection.recv()) is not None:
        kind, data = mutated(seed, originals)
        connection.send(decode(seed, kind, data))


class Worker:
    """A process that decodes, replaced when it crashes or hangs."""

    def __init__(self, log: str) -> None:
        self._log = log
        self._context = multiprocessing.get_context("spawn")
        self._start()

    def _start(self) -> None:
        self._connection, theirs = self._context.Pipe()
        self._process = self._context.Process(target=work, args=(theirs, self._log), daemon=True)
        self._process.start()
        theirs.close()
        if not self._connection.poll(STARTING_S):
            raise TimeoutError("a worker does not start")
        self._connection.recv()

    def run(self, seed: int) -> Outcome:
        """Decode the file of a number; a crash and a hang are outcomes too."""
        self._connection.send(seed)
        result = f"HANGS for more than {LIMIT_S:.0f} s"
        if self._connection.poll(LIMIT_S):
            try:
                outcome: Outcome = self._connection.recv()
            except EOFError:
                self._process.join()
                result = f"CRASHED with exit code {self._process.exitcode}"
            else:
                return outcome
        self._process.kill()
        self._process.join()
        self._start()
        return Outcome(seed, "?", 0, result)

    def close(self) -> None:
        self._connection.send(None)
        self._process.join()


def outcomes(seeds: range, jobs: int, log: str) -> Iterator[list[Outcome]]:
    """The outcomes of every number, one list for each worker."""

    def share(number: int) -> list[Outcome]:
        worker = Worker(log)
        try:
            return [worker.run(seed) for seed in seeds[number::jobs]]
        finally:
            worker.close()

    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(share, range(jobs))


def main() -> None:
    """Decode the files and print what became of them; the exit status is 1 where something must not have happened."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000, help="how many (default: 10000)")
    parser.add_argument("--first", type=int, default=0, help="number of the first file (default: 0)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default: 2)")
    parser.add_argument("--only", type=int, help="decode the file of this number, in this process")
    parser.add_argument("--save", type=Path, help="with --only: keep the file here")
    arguments = parser.parse_args()
    if arguments.only is not None:
        kind, data = mutated(arguments.only, {kind: make(kind) for kind in KINDS})
        if arguments.save:
            arguments.save.write_bytes(data)
        print(decode(arguments.only, kind, data))
        return
    started_at = time.perf_counter()
    with tempfile.NamedTemporaryFile() as log:
        seeds = range(arguments.first, arguments.first + arguments.files)
        shares = list(outcomes(seeds, arguments.jobs, log.name))
        printed_bytes = Path(log.name).stat().st_size
    bad = report(shares)
    print(f"printed to the log: {printed_bytes} bytes")
    print(f"{arguments.files} files in {time.perf_counter() - started_at:.0f} s, {arguments.jobs} processes")
    raise SystemExit(bool(bad))


def report(shares: list[list[Outcome]]) -> int:
    """Print the figures; return how many files did what none may do."""
    every = [outcome for share in shares for outcome in share]
    for result, count in Counter(outcome.result for outcome in every).most_common():
        print(f"{count:6d}  {result}")
    bad = [outcome for outcome in every if not outcome.result.startswith(("decoded", "refused"))]
    for outcome in bad[:50]:
        print(f"file {outcome.seed} ({outcome.kind}): {outcome.result}")
    print(f"neither decoded nor refused: {len(bad)}")
    slowest = max(every, key=lambda outcome: outcome.wall_s)
    print(f"slowest: {slowest.wall_s:.2f} s (file {slowest.seed}, {slowest.kind})")
    longest = max(every, key=lambda outcome: outcome.audio_s)
    print(f"most audio: {longest.audio_s:.0f} s from {longest.size_bytes} bytes (file {longest.seed}, {longest.kind})")
    for number, share in enumerate(shares):
        alive = [outcome for outcome in share if outcome.size_bytes]
        first, last = alive[min(WARM_UP_FILES, len(alive) - 1)], alive[-1]
        print(
            f"process {number}: {first.resident_mb:.0f} MB after {min(WARM_UP_FILES, len(alive) - 1)} files, "
            f"{last.resident_mb:.0f} MB and at most {max(outcome.resident_mb for outcome in alive):.0f} MB after "
            f"{len(alive)}; open files {first.open_files} and {last.open_files}"
        )
    return len(bad)


if __name__ == "__main__":
    main()
