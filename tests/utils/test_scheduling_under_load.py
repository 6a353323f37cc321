"""Who is next over hours of load, on a simulated clock: nothing is lost, nobody starves, and shares are fair."""

import heapq
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count, cycle, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_stack.core.errors import QueueFullError
from voice_stack.utils.scheduling import GATHER_S, LATELY_S, STARVING_S, Batch, Entry, Kind, Scheduler, Work

PLENTY = dict.fromkeys(Kind, 99)


def echo(items: Sequence[object]) -> Sequence[object]:
    return items


class Client(Entry):
    """A job that keeps ``ahead`` of its work offered, and ends when all of it is done."""

    def __init__(self, kind: Kind, works: list[Work[object]], *, ahead: int = 1, step_s: float = 0.0) -> None:
        super().__init__(kind)
        self.todo = works[::-1]
        self.all = works
        self.ahead = ahead
        self.step_s = step_s
        self.offered = 0
        self.audio_s = 0.0  # that it has been served
        self.fate = ""
        self.has_left = False


class Simulation:
    """Lanes, and as many workers as anybody wants, on a clock of their own; each batch is checked as it begins."""

    def __init__(self, scheduler: Scheduler, batch_s: Callable[[Batch], float]) -> None:
        self.scheduler = scheduler
        self.batch_s = batch_s
        self.now = 0.0
        self.batches: list[tuple[float, Batch]] = []
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._busy: set[int] = set()

    def at(self, when: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._numbers), what))

    def arrive(self, client: Client) -> None:
        try:
            self.scheduler.admit(client, self.now)
        except QueueFullError:
            client.fate = "refused"

    def abandon(self, client: Client) -> None:
        client.works.clear()
        client.has_left = True
        if client.fate == "" and not client.stepping:
            self._leave(client, "left")

    def run(self, until: float) -> None:
        self._go()
        while self._events and self._events[0][0] <= until:
            self.now, _, what = heapq.heappop(self._events)
            what()
            self._go()

    def _go(self) -> None:
        while (client := self.scheduler.next_step(self.now)) is not None:
            assert isinstance(client, Client)
            if client.step_s:
                self.at(self.now + client.step_s, lambda client=client: self._end_step(client))  # type: ignore[misc]
            else:
                self._end_step(client)
        for lane in range(self.scheduler.lanes):
            if lane not in self._busy:
                batch = self.scheduler.next_batch(lane, self.now)
                if isinstance(batch, Batch):
                    self._begin(batch)
                elif batch is not None:
                    assert self.now < batch <= self.now + LATELY_S
                    self.at(batch, lambda: None)

    def _begin(self, batch: Batch) -> None:
        works = batch.works
        assert len({work.key for work in works}) == 1
        assert 1 <= len(works) <= works[0].most
        for entry, _ in batch.members:
            assert entry in self.scheduler.active
            assert batch.lane > 0 or self.scheduler.lanes == 1 or entry.kind is not Kind.LONG
        self._busy.add(batch.lane)
        self.batches.append((self.now, batch))
        self.at(self.now + self.batch_s(batch), lambda: self._end(batch))

    def _end(self, batch: Batch) -> None:
        self._busy.remove(batch.lane)
        self.scheduler.end_batch(batch, self.now)
        for client, work in batch.members:
            assert isinstance(client, Client)
            work.finish(None)
            client.offered -= 1
            client.audio_s += work.cost_s
            self.scheduler.want_step(client, self.now)

    def _end_step(self, client: Client) -> None:
        self.scheduler.end_step(client)
        while client.todo and client.offered < client.ahead and not client.has_left:
            client.offered += 1
            self.scheduler.offer(client, client.todo.pop(), self.now)
        if client.has_left:
            self._leave(client, "left")
        elif all(work.done for work in client.all):
            self._leave(client, "ended")

    def _leave(self, client: Client, fate: str) -> None:
        client.fate = fate
        self.scheduler.leave(client, self.now)


def works(cost_s: float, number: int, *, key: str = "same", most: int = 1) -> list[Work[object]]:
    return [Work(echo, None, key=key, cost_s=cost_s, most=most) for _ in range(number)]


# Nothing is lost


@dataclass(frozen=True)
class Plan:
    """When a client comes, what it wants, and when it leaves if it does."""

    kind: Kind
    arrives_at: float
    calls: list[tuple[str, float]]
    ahead: int
    step_s: float
    leaves_after: float | None


seconds = st.floats(0, 4)
plans = st.builds(
    Plan,
    kind=st.sampled_from(Kind),
    arrives_at=seconds,
    calls=st.lists(st.tuples(st.sampled_from("ab"), st.floats(0.1, 30)), max_size=5),
    ahead=st.integers(1, 4),
    step_s=st.sampled_from([0.0, 0.002, 0.3]),
    leaves_after=st.none() | seconds,
)


@settings(deadline=None, max_examples=100)
@given(
    plans=st.lists(plans, max_size=8),
    lanes=st.integers(1, 3),
    limit=st.integers(1, 3),
    max_waiting=st.integers(0, 4),
    batch_times=st.lists(st.floats(0.01, 5), min_size=1, max_size=5),
)
def test_each_work_of_a_job_that_stays_is_in_one_batch_and_each_job_ends(
    plans: list[Plan], lanes: int, limit: int, max_waiting: int, batch_times: list[float]
) -> None:
    scheduler = Scheduler(dict.fromkeys(Kind, limit), max_waiting=max_waiting, lanes=lanes)
    times = cycle(batch_times)
    simulation = Simulation(scheduler, lambda _: next(times))
    clients = []
    for plan in plans:
        calls = [Work(echo, None, key=key, cost_s=cost_s, most={"a": 4, "b": 2}[key]) for key, cost_s in plan.calls]
        client = Client(plan.kind, calls, ahead=plan.ahead, step_s=plan.step_s)
        clients.append(client)
        simulation.at(plan.arrives_at, lambda client=client: simulation.arrive(client))  # type: ignore[misc]
        if plan.leaves_after is not None:
            simulation.at(
                plan.arrives_at + plan.leaves_after,
                lambda client=client: simulation.abandon(client),  # type: ignore[misc]
            )
    simulation.run(until=10_000)

    times_run = Counter(work for _, batch in simulation.batches for work in batch.works)
    assert all(times == 1 for times in times_run.values())
    for client in clients:
        assert client.fate in {"ended", "left", "refused"}
        if client.fate == "ended":
            assert all(times_run[work] == 1 for work in client.all)
        if client.fate == "refused":
            assert not any(times_run[work] for work in client.all)
    assert not scheduler.active
    assert not scheduler.waiting
    assert not scheduler.in_batches()


# Shares


def films(*costs_s: float, most: int, lanes: int, same_key: bool) -> list[Client]:
    """Long jobs that always have work."""
    ahead = 2 * lanes * most + 1
    return [
        Client(Kind.LONG, works(cost_s, 2000, key="same" if same_key else f"{number}", most=most), ahead=ahead)
        for number, cost_s in enumerate(costs_s)
    ]


shares = given(
    costs_s=st.lists(st.floats(1, 30), min_size=2, max_size=3),
    most=st.integers(1, 4),
    lanes=st.integers(1, 3),
    batch_s=st.floats(0.05, 5),
    same_key=st.booleans(),
)


@settings(deadline=None, max_examples=20)
@shares
def test_films_that_always_have_work_get_the_same_seconds_of_audio(
    costs_s: list[float], most: int, lanes: int, batch_s: float, same_key: bool
) -> None:
    simulation = Simulation(Scheduler(PLENTY, max_waiting=0, lanes=lanes), lambda _: batch_s)
    clients = films(*costs_s, most=most, lanes=lanes, same_key=same_key)
    for client in clients:
        simulation.arrive(client)
    for batches in range(1, 60):
        simulation.run(until=batches * batch_s)
        served = [client.audio_s for client in clients]
        assert max(served) - min(served) <= lanes * most * max(costs_s) + 1e-6


@settings(deadline=None, max_examples=20)
@shares
def test_a_newcomer_starts_level_and_neither_starves_nor_starves_others(
    costs_s: list[float], most: int, lanes: int, batch_s: float, same_key: bool
) -> None:
    simulation = Simulation(Scheduler(PLENTY, max_waiting=0, lanes=lanes), lambda _: batch_s)
    *clients, newcomer = films(*costs_s, 10.0, most=most, lanes=lanes, same_key=same_key)
    for client in clients:
        simulation.arrive(client)
    simulation.run(until=20 * batch_s)
    before = {client: client.audio_s for client in clients}
    simulation.arrive(newcomer)
    for batches in range(21, 80):
        simulation.run(until=batches * batch_s)
        since = [newcomer.audio_s, *(client.audio_s - before[client] for client in clients)]
        assert max(since) - min(since) <= 2 * lanes * most * max(*costs_s, 10.0) + 1e-6


# Starvation


@pytest.mark.parametrize("lanes", [1, 2])
@pytest.mark.parametrize("limit", [4, 30])
def test_long_work_moves_on_under_short_work_without_end(lanes: int, limit: int) -> None:
    batch_s = 0.25
    scheduler = Scheduler({Kind.SHORT: limit, Kind.LONG: 1}, max_waiting=9, lanes=lanes)
    simulation = Simulation(scheduler, lambda _: batch_s)
    (film,) = films(28.0, most=1, lanes=lanes, same_key=True)
    simulation.arrive(film)
    for number in range(2000):
        simulation.at(number / 20, lambda: simulation.arrive(Client(Kind.SHORT, works(3.0, 1))))
    simulation.run(until=100)
    served_at = [0.0, *(at for at, batch in simulation.batches if batch.members[0][0] is film), 100.0]
    waits_s = [after - before for before, after in pairwise(served_at)]
    # What is short and has waited for longer still goes before it, no more of that than may take turns.
    assert max(waits_s) <= max(STARVING_S, limit * batch_s / lanes) + 3 * batch_s
    # It gets no more than that while shorter work waits.
    assert sorted(waits_s)[len(waits_s) // 2] >= STARVING_S


@pytest.mark.parametrize("batch_s", [0.5, 3.0])
def test_short_work_waits_for_no_more_than_one_batch_of_films_however_long_those_have_waited(batch_s: float) -> None:
    simulation = Simulation(Scheduler(PLENTY, max_waiting=0), lambda _: batch_s)
    for film in films(28.0, 28.0, 28.0, most=4, lanes=1, same_key=True):
        simulation.arrive(film)
    clips = [Client(Kind.SHORT, works(3.0, 1, key="clip")) for _ in range(20)]
    arrives_at = {clip: 0.1 + number * 7.3 for number, clip in enumerate(clips)}
    for clip in clips:
        simulation.at(arrives_at[clip], lambda clip=clip: simulation.arrive(clip))  # type: ignore[misc]
    simulation.run(until=200)
    begun_at = {batch.members[0][0]: at for at, batch in simulation.batches}
    assert max(begun_at[clip] - arrives_at[clip] for clip in clips) <= batch_s + GATHER_S


def test_a_job_of_many_calls_is_not_starved_by_newcomers_of_its_kind() -> None:
    batch_s = 0.25
    simulation = Simulation(Scheduler({Kind.SHORT: 4}, max_waiting=99), lambda _: batch_s)
    patient = Client(Kind.SHORT, works(20.0, 5))
    simulation.arrive(patient)
    for number in range(200):
        simulation.at(number / 5, lambda: simulation.arrive(Client(Kind.SHORT, works(3.0, 1))))
    simulation.run(until=5 * (STARVING_S + 5 * batch_s))
    assert patient.fate == "ended"
