"""Decides who is next; does nothing itself. Told the time, not asking for it, so that hours of load can be simulated.

A job is a request: a row of steps, and of calls to a model (``Work``) that may share a batch with those of other jobs.
Jobs of one kind are served by start-time fair queueing (Goyal, Vin and Cheng, 1996), in seconds of audio: the one that
has had least is next, and a newcomer starts level with it. Between kinds the shorter go first, until something has
waited for ``STARVING_S``: then the oldest is next, whatever it is. Films, which always have work that waits, count as
one there: they starve when none of them is served. So does speech that comes faster than it is spoken.
"""

import enum
import math
from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Generic, TypeVar

from voice_stack.core.errors import QueueFullError

STARVING_S = 2.0
"""What has waited for so long, in seconds, goes before all that has not."""

GATHER_S = 0.005
"""How long a batch that is not full waits for others that are about to be ready."""

LATELY_S = 2.0
"""After something short, one lane more is kept free of ``Kind.LONG`` for so long: the next one often follows."""

MOST_RETRY_AFTER_S = 120

R = TypeVar("R")


class Kind(str, enum.Enum):
    """What sort of request a job is; the ones that are named first go first."""

    URGENT = "urgent"  # a moment's work that others wait for
    LIVE = "live"  # what was just said, and somebody waits for its text
    PARTIAL = "partial"  # what is being said; where there is no time for it now the next one has it, too
    LATE = "late"  # either of them where audio comes faster than it is spoken: those who keep time go first
    SHORT = "short"
    SPEECH = "speech"
    LONG = "long"  # minutes of work


_AS_ONE = (Kind.LATE, Kind.LONG)
"""Of these something waits always: as one they starve, when none of them is served."""

_RANK = {kind: rank for rank, kind in enumerate(Kind)}


class Work(Generic[R]):
    """One call to a model, which may be made together with others.

    Args:
        run: does the work of several items, in order; blocks.
        item: what this one is about.
        key: only work with the same ``run`` and the same key shares a batch.
        cost_s: seconds of audio.
        most: items in a batch.
    """

    def __init__(
        self, run: Callable[[Sequence[Any]], Sequence[R]], item: object, *, key: Hashable, cost_s: float, most: int = 1
    ) -> None:
        self.run = run
        self.item = item
        self.key = (run, key)
        self.cost_s = cost_s
        self.most = most
        self.offered_at: float | None = None
        self.done = False
        self._results: list[R] = []
        self._error: BaseException | None = None

    def finish(self, result: R) -> None:
        """The batch has been run."""
        self._results, self.item, self.done = [result], None, True

    def fail(self, error: BaseException) -> None:
        """The batch has failed."""
        self._error, self.item, self.done = error, None, True

    def result(self) -> R:
        """What came of it, once it is done.

        Raises:
            Exception: that of ``run``.
        """
        if self._error is not None:
            raise self._error
        return self._results[0]


class Entry:
    """A job as the scheduler sees it."""

    def __init__(self, kind: Kind, *, deadline: float = math.inf) -> None:
        self.kind = kind
        self.deadline = deadline  # when it is too late to begin
        self.number = 0
        self.admitted_at = 0.0
        self.tag = 0.0  # seconds of audio that it has had, on the clock that its kind shares
        self.ready_at: float | None = None  # since when it wants a step
        self.stepping = False  # a step of it runs
        self.works: deque[Work[Any]] = deque()  # offered, and in no batch yet

    def is_preparing(self) -> bool:
        """Whether a step of it runs or is about to, after which there may be more work."""
        return self.stepping or self.ready_at is not None


class Batch:
    """Work of one key, with the jobs that it is for."""

    def __init__(self, lane: int) -> None:
        self.lane = lane
        self.members: list[tuple[Entry, Work[Any]]] = []

    @property
    def works(self) -> Sequence[Work[Any]]:
        """The work in it, in order."""
        return [work for _, work in self.members]


class Scheduler:
    """Who may begin, whose step is next, and what shares the next batch.

    Every method is told the time, in seconds on any clock that does not go back.

    Args:
        limits: how many jobs of each kind take turns; the others wait for one of them to end.
        max_waiting: jobs that may wait; one more is refused.
        lanes: batches that may run at the same time. Of several, the first is kept free of ``Kind.LONG``, and of three
            or more the second, too, while short work comes.
    """

    def __init__(self, limits: Mapping[Kind, int], *, max_waiting: int, lanes: int = 1) -> None:
        self._limits = limits
        self._max_waiting = max_waiting
        self.lanes = lanes
        self.waiting: deque[Entry] = deque()
        self.active: dict[Entry, None] = {}
        self._running: dict[int, Batch] = {}  # by lane
        self._numbers = 0
        self._short_at = -math.inf  # when there was short work last
        self._clocks: dict[Kind, float] = defaultdict(float)
        self._ended_at = dict.fromkeys(_AS_ONE, -math.inf)  # when a batch for such a kind ended last
        self._rates: dict[Kind, _Rate] = defaultdict(_Rate)

    def admit(self, entry: Entry, now: float) -> bool:
        """Let a job begin, or wait; returns whether it begins.

        Raises:
            QueueFullError: as many as may wait do so already.
        """
        entry.admitted_at = now
        entry.number = self._numbers = self._numbers + 1
        begins = self._has_place(entry.kind)
        if not begins and len(self.waiting) >= self._max_waiting:
            raise self._full(entry.kind, now)
        if begins:
            self._begin(entry, now)
        else:
            self.waiting.append(entry)
        return begins

    def check_room(self, kinds: Iterable[Kind], now: float) -> None:
        """Whether a job of any of these kinds would be admitted.

        Raises:
            QueueFullError: none would.
        """
        kinds = list(kinds)
        if len(self.waiting) >= self._max_waiting and not any(map(self._has_place, kinds)):
            raise self._full(kinds[0], now)

    def leave(self, entry: Entry, now: float) -> list[Entry]:
        """Forget a job that has ended or was abandoned; returns those that begin in its place."""
        if entry in self.waiting:
            self.waiting.remove(entry)
        if entry not in self.active:
            return []
        del self.active[entry]
        entry.works.clear()
        entry.ready_at = None
        self._rates[entry.kind].count(now, others=self._load(entry.kind))
        begun = []
        while following := next((waiting for waiting in self.waiting if self._may_begin(waiting.kind)), None):
            self.waiting.remove(following)
            self._begin(following, now)
            begun.append(following)
        return begun

    def expire(self, now: float) -> list[Entry]:
        """Take out the waiting jobs whose deadline has passed."""
        late = [entry for entry in self.waiting if entry.deadline <= now]
        for entry in late:
            self.waiting.remove(entry)
        return late

    def next_deadline(self) -> float:
        """When ``expire`` is to be called next; infinite where nobody waits with a deadline."""
        return min((entry.deadline for entry in self.waiting), default=math.inf)

    def retry_after_s(self, kind: Kind, now: float) -> int:
        """In how many seconds there should be room for one more job, at the rate at which such jobs end."""
        seconds = self._rates[kind].interval_s(now) * (1 + sum(entry.kind is kind for entry in self.waiting))
        return min(MOST_RETRY_AFTER_S, max(1, math.ceil(seconds)))

    # Steps

    def want_step(self, entry: Entry, now: float) -> None:
        """A job can go on."""
        if entry in self.active and entry.ready_at is None:
            entry.ready_at = now
            entry.tag = max(entry.tag, self._clocks[entry.kind])

    def next_step(self, now: float) -> Entry | None:
        """The job whose step is to run now; ``end_step`` is to be called after it."""
        entry = min(
            (entry for entry in self.active if entry.ready_at is not None and not entry.stepping),
            key=lambda entry: _order(entry, entry.ready_at, now),
            default=None,
        )
        if entry is not None:
            # A step that others do not wait for is no sign that they have had as much.
            if not any(other.works for other in self.active if other.kind is entry.kind):
                self._advance(entry.kind, [other for other in self.active if other.ready_at is not None])
            entry.stepping, entry.ready_at = True, None
        return entry

    def end_step(self, entry: Entry, *, audio_s: float = 0.0) -> None:
        """The step has run, and gave so much audio."""
        entry.stepping = False
        entry.tag += audio_s

    def should_yield(self, entry: Entry) -> bool:
        """Whether a step of a job that goes before this one's waits for its turn."""
        return any(other.ready_at is not None and _RANK[other.kind] < _RANK[entry.kind] for other in self.active)

    # Batches

    def offer(self, entry: Entry, work: Work[Any], now: float) -> None:
        """A job has work for a batch."""
        if not entry.works:
            entry.tag = max(entry.tag, self._clocks[entry.kind])
        work.offered_at = now
        if entry.kind is not Kind.LONG:
            self._short_at = now
        if entry in self.active:
            entry.works.append(work)

    def next_batch(self, lane: int, now: float) -> Batch | float | None:
        """The batch that a free lane is to run now; or the time at which to ask again; None: there is no work.

        ``end_batch`` is to be called after it.
        """
        offering = [entry for entry in self.active if entry.works and self._takes(lane, entry.kind, now)]
        if lane >= self.lanes:
            return None
        if not offering:
            later = self._short_at + LATELY_S
            is_kept_free = any(entry.works and self._takes(lane, entry.kind, later) for entry in self.active)
            return later if is_kept_free else None
        lead = self._next_offer(offering, now)
        first = lead.works[0]
        alike = [entry for entry in offering if any(work.key == first.key for work in entry.works)]
        count = sum(work.key == first.key for entry in alike for work in entry.works)
        free = sum(self._takes(other, lead.kind, now) for other in range(self.lanes) if other not in self._running)
        size = min(first.most, math.ceil(count / max(1, free)))
        gathered_at = (first.offered_at or 0.0) + GATHER_S
        if lead.kind is not Kind.LONG and count < first.most and now < gathered_at and self._others_prepare(lead):
            return gathered_at
        for kind in {entry.kind for entry in alike}:
            self._advance(kind, [entry for entry in self.active if entry.works])
        batch = Batch(lane)
        entry = lead
        while True:
            work = next(work for work in entry.works if work.key == first.key)
            entry.works.remove(work)
            batch.members.append((entry, work))
            entry.tag += work.cost_s
            alike = [entry for entry in alike if any(work.key == first.key for work in entry.works)]
            if not alike or len(batch.members) >= size:
                break
            entry = self._next_offer(alike, now)
        self._running[lane] = batch
        return batch

    def end_batch(self, batch: Batch, now: float) -> None:
        """The batch has been run, or has failed."""
        self._running.pop(batch.lane, None)
        self._ended_at.update({entry.kind: now for entry, _ in batch.members if entry.kind in _AS_ONE})

    def in_batches(self) -> set[Entry]:
        """The jobs that a running batch works for, those that have left included."""
        return {entry for batch in self._running.values() for entry, _ in batch.members}

    def _may_begin(self, kind: Kind) -> bool:
        return sum(other.kind is kind for other in self.active) < self._limits.get(kind, 0)

    def _has_place(self, kind: Kind) -> bool:
        return self._may_begin(kind) and not any(other.kind is kind for other in self.waiting)

    def _full(self, kind: Kind, now: float) -> QueueFullError:
        return QueueFullError(
            f"The service is busy: {len(self.waiting)} requests are waiting already. Try again later.",
            retry_after_s=self.retry_after_s(kind, now),
        )

    def _begin(self, entry: Entry, now: float) -> None:
        entry.tag = self._clocks[entry.kind]
        self._rates[entry.kind].start(now)
        self.active[entry] = None
        self.want_step(entry, now)

    def _load(self, kind: Kind) -> int:
        return sum(entry.kind is kind for entry in chain(self.active, self.waiting))

    def _takes(self, lane: int, kind: Kind, now: float) -> bool:
        if kind is not Kind.LONG or self.lanes == 1:
            return True
        return lane >= (2 if self.lanes > 2 and now < self._short_at + LATELY_S else 1)

    def _advance(self, kind: Kind, wanting: Sequence[Entry]) -> None:
        """Newcomers start level with the one that has had least of those that want something."""
        least = min((entry.tag for entry in wanting if entry.kind is kind), default=0.0)
        self._clocks[kind] = max(self._clocks[kind], least)

    def _next_offer(self, offering: Sequence[Entry], now: float) -> Entry:
        """Whose work is next. Those that wait as one share by audio: where there are several, each waits always."""
        served = {entry.kind for entry in self.in_batches()}
        offered_at = {entry: entry.works[0].offered_at or 0.0 for entry in offering}
        since: dict[Kind, float] = {}
        for kind in _AS_ONE:
            first_at = min((at for entry, at in offered_at.items() if entry.kind is kind), default=now)
            since[kind] = now if kind in served else max(first_at, self._ended_at[kind])
        return min(offering, key=lambda entry: _order(entry, since.get(entry.kind, offered_at[entry]), now))

    def _others_prepare(self, lead: Entry) -> bool:
        return any(
            entry is not lead and entry.kind is not Kind.LONG and entry.is_preparing() and not entry.works
            for entry in self.active
        )


class _Rate:
    """How often jobs end while there are jobs: the time from one end to the next, over the last of them."""

    def __init__(self) -> None:
        self._mean_s = 1.0
        self._marks: deque[float] = deque(maxlen=65)

    def start(self, now: float) -> None:
        """A job begins: where there was nothing to do before, that time says nothing of the rate."""
        if not self._marks:
            self._marks.append(now)

    def count(self, now: float, *, others: int) -> None:
        """A job has ended; ``others`` are there still."""
        self._marks.append(now)
        if len(self._marks) > 1:
            self._mean_s = (self._marks[-1] - self._marks[0]) / (len(self._marks) - 1)
        if not others:
            self._marks.clear()

    def interval_s(self, now: float) -> float:
        """Seconds from one end to the next."""
        return max(self._mean_s, now - self._marks[-1] if self._marks else 0.0)


def _order(entry: Entry, since: float | None, now: float) -> tuple[float, ...]:
    if since is not None and now - since >= STARVING_S:
        return (0, since, entry.tag, entry.number)
    return (1, _RANK[entry.kind], entry.tag, since or 0.0, entry.number)
