"""Several kinds of client at once, in closed loops or with open arrivals, and what became of their requests."""

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import h11

from benchmarks.clients import REFUSALS, Client, Reply
from benchmarks.percentiles import percentile, spread

LOST = "no answer"


@dataclass(frozen=True)
class Closed:
    """So many clients, each with one request at a time."""

    clients: int


@dataclass(frozen=True)
class Poisson:
    """Requests that know nothing of each other, so many a second on average."""

    per_s: float


@dataclass(frozen=True)
class Every:
    """A request each so many seconds."""

    seconds: float


Arrivals: TypeAlias = Closed | Poisson | Every


@dataclass(frozen=True)
class Share:
    """A part of the load: one kind of client."""

    kind: str
    client: Client
    arrivals: Arrivals


@dataclass(frozen=True)
class Outcome:
    """One request; ``at_s`` is when it was due, in seconds from the start of the run."""

    kind: str
    at_s: float
    reply: Reply | None
    error: str = ""

    @property
    def total_s(self) -> float:
        """How long it took."""
        return self.reply.total_s if self.reply else 0.0

    @property
    def fate(self) -> str:
        """``served``, ``refused``, ``left`` (by the client), or ``failed``."""
        if self.reply is None or (self.reply.status is not None and not self.reply.complete):
            return "failed"
        if self.reply.status is None:
            return "left"
        if self.reply.status in REFUSALS:
            return "refused"
        return "served" if self.reply.status == 200 else "failed"


@dataclass(frozen=True)
class Load:
    """What a run gave."""

    outcomes: Sequence[Outcome]
    offered_s: float  # for how long requests were sent
    elapsed_s: float  # until the last of them had ended
    cpu_s: float  # processor time of the generator
    late_s: Sequence[float]  # how much later than due the open requests were sent

    def of(self, kind: str) -> list[Outcome]:
        """Those of one kind."""
        return [outcome for outcome in self.outcomes if outcome.kind == kind]

    def served_s(self, kind: str) -> list[float]:
        """How long the served requests of a kind took."""
        return [outcome.total_s for outcome in self.of(kind) if outcome.fate == "served"]

    def summary(self) -> dict[str, Any]:
        """Counts and percentiles for each kind, and what the generator itself took."""
        kinds = dict.fromkeys(outcome.kind for outcome in self.outcomes)
        return {
            "offered_s": self.offered_s,
            "elapsed_s": self.elapsed_s,
            "kinds": {kind: self._summary(self.of(kind)) for kind in kinds},
            "generator": {
                "cpu_ms_per_request": 1000 * self.cpu_s / max(1, len(self.outcomes)),
                "late_ms_p99": 1000 * percentile(self.late_s, 0.99) if self.late_s else 0.0,
            },
        }

    def _summary(self, outcomes: Sequence[Outcome]) -> dict[str, Any]:
        by_fate = {
            fate: [outcome for outcome in outcomes if outcome.fate == fate]
            for fate in ("served", "refused", "left", "failed")
        }
        served = [outcome.reply for outcome in by_fate["served"] if outcome.reply]
        in_time = sum(outcome.at_s + outcome.total_s <= self.offered_s for outcome in by_fate["served"])
        return {
            "sent": len(outcomes),
            **{fate: len(those) for fate, those in by_fate.items()},
            "statuses": Counter(str(outcome.reply.status) for outcome in outcomes if outcome.reply),
            "errors": Counter(outcome.error for outcome in outcomes if outcome.error),
            "served_per_s": in_time / self.offered_s,
            "latency_s": spread([reply.total_s for reply in served]),
            "first_byte_s": spread([reply.first_byte_s for reply in served if reply.first_byte_s is not None]),
            "refusal_s": spread([outcome.total_s for outcome in by_fate["refused"]]),
        }


async def run_load(
    shares: Sequence[Share],
    seconds: float,
    *,
    seed: int = 1,
    drain_s: float = 120.0,
    until: asyncio.Event | None = None,
) -> Load:
    """Send requests for so many seconds, or until the event, and wait for the answers.

    Args:
        drain_s: what has no answer this long after the last request is given up and counts as failed.
    """
    run = _Run(seconds, until)
    generator_s = time.process_time()
    for number, share in enumerate(shares):
        if isinstance(share.arrivals, Closed):
            for client in range(share.arrivals.clients):
                run.begin(run.loop(share, client))
        else:
            run.begin(run.open(share, random.Random(f"{seed} {number}")))
    await run.finish(drain_s)
    elapsed_s = max((outcome.at_s + outcome.total_s for outcome in run.outcomes), default=0.0)
    cpu_s = time.process_time() - generator_s
    return Load(run.outcomes, min(seconds, run.offered_s), elapsed_s, cpu_s, run.late_s)


class _Run:
    def __init__(self, seconds: float, until: asyncio.Event | None) -> None:
        self._started_at = time.perf_counter()
        self._seconds = seconds
        self._until = until
        self._senders: list[asyncio.Task[None]] = []
        self._requests: list[asyncio.Task[None]] = []
        self.outcomes: list[Outcome] = []
        self.late_s: list[float] = []
        self.offered_s = seconds

    def _now_s(self) -> float:
        return time.perf_counter() - self._started_at

    def _over(self) -> bool:
        return self._now_s() >= self._seconds or (self._until is not None and self._until.is_set())

    def begin(self, sender: Coroutine[Any, Any, None]) -> None:
        self._senders.append(asyncio.create_task(sender))

    async def loop(self, share: Share, client: int) -> None:
        clients = share.arrivals.clients if isinstance(share.arrivals, Closed) else 1
        for number in itertools.count(client, clients):
            await self._one(share, number, self._now_s())
            if self._over():
                return

    async def open(self, share: Share, rng: random.Random) -> None:
        for number, due_s in enumerate(_moments(share.arrivals, rng)):
            if due_s >= self._seconds:
                await asyncio.sleep(max(0.0, self._seconds - self._now_s()))
                return
            await asyncio.sleep(max(0.0, due_s - self._now_s()))
            if self._until is not None and self._until.is_set():
                return
            self.late_s.append(self._now_s() - due_s)
            self._requests.append(asyncio.create_task(self._one(share, number, due_s)))

    async def _one(self, share: Share, number: int, due_s: float) -> None:
        begun_s = self._now_s()
        try:
            reply = await share.client.request(number)
        except (OSError, h11.RemoteProtocolError) as broken:
            self.outcomes.append(Outcome(share.kind, due_s, None, type(broken).__name__))
            return
        except asyncio.CancelledError:
            self.outcomes.append(Outcome(share.kind, due_s, None, LOST))
            raise
        waited_s = begun_s - due_s
        first_s = None if reply.first_byte_s is None else reply.first_byte_s + waited_s
        reply = Reply(reply.status, first_s, reply.total_s + waited_s, reply.complete, reply.body)
        error = "" if reply.complete or reply.status is None else "incomplete"
        self.outcomes.append(Outcome(share.kind, due_s, reply, error))

    async def finish(self, drain_s: float) -> None:
        # With nobody sending any more this ends sooner; clients in a loop still wait for their last answers.
        await asyncio.wait(self._senders, timeout=self._seconds)
        self.offered_s = self._now_s()
        _, lost = await asyncio.wait([*self._senders, *self._requests], timeout=drain_s)
        for task in lost:
            task.cancel()
        for ended in await asyncio.gather(*self._senders, *self._requests, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended


def _moments(arrivals: Arrivals, rng: random.Random) -> Iterator[float]:
    at_s = 0.0
    while True:
        at_s += rng.expovariate(arrivals.per_s) if isinstance(arrivals, Poisson) else 0.0
        yield at_s
        at_s += arrivals.seconds if isinstance(arrivals, Every) else 0.0
