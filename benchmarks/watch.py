"""What is watched while a load runs: how soon health is answered, and how much memory the server has.

Health is asked from a process of its own: ``python -m benchmarks.watch URL`` asks until its standard input ends.
"""

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from benchmarks.percentiles import spread

if TYPE_CHECKING:
    # Its imports would take a second of each start of the process that asks.
    from tests.support.serving import ServiceProcess

EVERY_S = 0.05
PATIENCE_S = 30.0
ROOT = Path(__file__).parents[1]


@contextmanager
def health_of(service: "ServiceProcess") -> Iterator[dict[str, Any]]:
    """Ask ``/healthz`` 20 times a second for as long as the context lasts.

    What it gives is filled when it ends: count and percentiles in ms, and how many answers were ``wrong``, not 200.
    """
    command = [sys.executable, "-m", "benchmarks.watch", service.base_url]
    health: dict[str, Any] = {}
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as asking:
        assert asking.stdout is not None
        asking.stdout.readline()
        try:
            yield health
        finally:
            answer, _ = asking.communicate(timeout=60)
    health.update(json.loads(answer))


@contextmanager
def memory_of(service: "ServiceProcess", every_s: float = 0.5) -> Iterator[list[tuple[float, float]]]:
    """Write down the resident memory of a service, for as long as the context lasts: seconds since its start, MB."""
    samples: list[tuple[float, float]] = []
    stopped = threading.Event()
    started_at = time.perf_counter()

    def run() -> None:
        while not stopped.wait(every_s):
            samples.append((round(time.perf_counter() - started_at, 2), round(service.memory_mb(), 1)))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield samples
    finally:
        stopped.set()
        thread.join()


def main() -> None:
    """Ask until standard input ends, then print the result."""
    print(json.dumps(asyncio.run(_ask_until_told(urlsplit(sys.argv[1])))))


async def _ask_until_told(url: SplitResult) -> dict[str, Any]:
    told = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    print("asking", flush=True)
    asked: list[asyncio.Task[tuple[float, bool]]] = []
    due_at = time.perf_counter()
    # Whatever becomes of the one before: a stall is as many slow answers as would have been asked for meanwhile.
    while not told.done():
        asked.append(asyncio.create_task(_ask(url)))
        due_at += EVERY_S
        await asyncio.wait([told], timeout=max(0.0, due_at - time.perf_counter()))
    answers = await asyncio.gather(*asked)
    return {**spread([taken_ms for taken_ms, _ in answers]), "wrong": sum(not good for _, good in answers)}


async def _ask(url: SplitResult) -> tuple[float, bool]:
    """How long an answer took, in ms, and whether it was 200."""
    started_at = time.perf_counter()
    try:
        head = await asyncio.wait_for(_answer(url), PATIENCE_S)
    except (OSError, asyncio.TimeoutError):
        head = b""
    return 1000 * (time.perf_counter() - started_at), b" 200 " in head.partition(b"\r\n")[0]


async def _answer(url: SplitResult) -> bytes:
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    try:
        writer.write(f"GET /healthz HTTP/1.1\r\nHost: {url.netloc}\r\nConnection: close\r\n\r\n".encode())
        return await reader.read()
    finally:
        writer.close()


if __name__ == "__main__":
    main()
