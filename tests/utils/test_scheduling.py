"""Who is next, told the time: order, bounds, deadlines and batches, one decision after the other."""

import math
from collections.abc import Sequence

import pytest

from voice_stack.core.errors import QueueFullError
from voice_stack.utils.scheduling import GATHER_S, LATELY_S, STARVING_S, Batch, Entry, Kind, Scheduler, Work

PLENTY = dict.fromkeys(Kind, 99)


def echo(items: Sequence[object]) -> Sequence[object]:
    return items


def work(key: str = "same", *, cost_s: float = 1.0, most: int = 4) -> Work[object]:
    return Work(echo, key, key=key, cost_s=cost_s, most=most)


def admitted(scheduler: Scheduler, kind: Kind, now: float = 0.0) -> Entry:
    """A job that had its first step, and prepares nothing."""
    entry = Entry(kind)
    assert scheduler.admit(entry, now)
    entry.ready_at = None
    return entry


def offering(scheduler: Scheduler, kind: Kind, *works: Work[object], now: float = 0.0) -> Entry:
    entry = admitted(scheduler, kind, now)
    for offered in works:
        scheduler.offer(entry, offered, now)
    return entry


def batch_of(scheduler: Scheduler, lane: int = 0, now: float = 0.0) -> Batch:
    batch = scheduler.next_batch(lane, now)
    assert isinstance(batch, Batch)
    return batch


def members(batch: Batch) -> list[Entry]:
    return [entry for entry, _ in batch.members]


# Order


def test_steps_of_shorter_kinds_go_first() -> None:
    scheduler = Scheduler(PLENTY, max_waiting=0)
    for kind in reversed(Kind):
        scheduler.admit(Entry(kind), 0.0)
    order = [entry.kind for _ in Kind if (entry := scheduler.next_step(1.0))]
    assert order == [Kind.URGENT, Kind.LIVE, Kind.PARTIAL, Kind.LATE, Kind.SHORT, Kind.SPEECH, Kind.LONG]
    assert scheduler.next_step(1.0) is None


def test_batches_of_shorter_kinds_go_first() -> None:
    scheduler = Scheduler(PLENTY, max_waiting=0)
    for kind in reversed(Kind):
        offering(scheduler, kind, work(most=1))
    order = []
    for _ in Kind:
        batch = batch_of(scheduler, now=1.0)
        order.append(members(batch)[0].kind)
        scheduler.end_batch(batch, 1.0)
    assert order == [Kind.URGENT, Kind.LIVE, Kind.PARTIAL, Kind.LATE, Kind.SHORT, Kind.SPEECH, Kind.LONG]


@pytest.mark.parametrize(("waited_s", "first"), [(STARVING_S - 0.01, Kind.SHORT), (STARVING_S, Kind.LONG)])
def test_what_has_waited_for_too_long_goes_first(waited_s: float, first: Kind) -> None:
    steps = Scheduler(PLENTY, max_waiting=0)
    steps.admit(Entry(Kind.LONG), 0.0)
    steps.admit(Entry(Kind.SHORT), 0.1)
    step = steps.next_step(waited_s)
    assert step is not None
    assert step.kind is first

    batches = Scheduler(PLENTY, max_waiting=0)
    offering(batches, Kind.LONG, work(most=1), now=0.0)
    offering(batches, Kind.SHORT, work(most=1), now=0.1)
    assert members(batch_of(batches, now=waited_s))[0].kind is first


def test_first_steps_of_all_come_before_anybodys_second() -> None:
    scheduler = Scheduler(PLENTY, max_waiting=0)
    names: dict[Entry, str] = {}
    order = []

    def arrive(name: str) -> None:
        names[entry := Entry(Kind.SPEECH)] = name
        scheduler.admit(entry, 0.0)

    def step(audio_s: float = 5.0) -> None:
        entry = scheduler.next_step(0.0)
        assert entry is not None
        order.append(names[entry])
        scheduler.end_step(entry, audio_s=audio_s)
        scheduler.want_step(entry, 0.0)

    for name in "abc":
        arrive(name)
    step()
    arrive("d")
    for _ in range(4):
        step()
    assert order == ["a", "b", "c", "d", "a"]


def test_steps_follow_the_audio_that_they_gave() -> None:
    scheduler = Scheduler(PLENTY, max_waiting=0)
    for _ in range(2):
        scheduler.admit(Entry(Kind.SPEECH), 0.0)
    brief, wordy = scheduler.active
    counts = {brief: 0, wordy: 0}
    for _ in range(60):
        entry = scheduler.next_step(0.0)
        assert entry is not None
        counts[entry] += 1
        scheduler.end_step(entry, audio_s=1.0 if entry is brief else 5.0)
        scheduler.want_step(entry, 0.0)
    assert counts == {brief: 50, wordy: 10}


def test_of_films_that_have_waited_for_too_long_the_one_that_had_least_goes_first() -> None:
    scheduler = Scheduler(PLENTY, max_waiting=0)
    films = [offering(scheduler, Kind.LONG, *(work(cost_s=5.0, most=1) for _ in range(3))) for _ in range(2)]
    served = []
    for now in (STARVING_S, 2 * STARVING_S, 3 * STARVING_S, 4 * STARVING_S):
        batch = batch_of(scheduler, now=now)
        served.append(films.index(members(batch)[0]))
        scheduler.end_batch(batch, now)
    assert served == [0, 1, 0, 1]


@pytest.mark.parametrize("served", [True, False])
def test_late_speech_waits_for_that_which_keeps_time_unless_none_of_it_is_served(served: bool) -> None:
    scheduler = Scheduler(PLENTY, max_waiting=0, lanes=2)
    offering(scheduler, Kind.LATE, work("late", most=1), work("late", most=1), now=0.0)
    running = batch_of(scheduler, lane=1, now=0.0)
    if not served:
        scheduler.end_batch(running, 0.0)
    offering(scheduler, Kind.LIVE, work("live"), now=STARVING_S)
    (first,) = members(batch_of(scheduler, now=STARVING_S + 0.1))
    assert first.kind is (Kind.LIVE if served else Kind.LATE)


def test_a_job_has_one_step_at_a_time() -> None:
    scheduler = Scheduler(PLENTY, max_waiting=0)
    entry = Entry(Kind.SHORT)
    scheduler.admit(entry, 0.0)
    assert scheduler.next_step(0.0) is entry
    scheduler.want_step(entry, 0.0)
    assert scheduler.next_step(0.0) is None
    scheduler.end_step(entry)
    assert scheduler.next_step(0.0) is entry


def test_a_job_that_paused_does_not_catch_up() -> None:
    scheduler = Scheduler(PLENTY, max_waiting=0)
    paused, busy = admitted(scheduler, Kind.SPEECH), admitted(scheduler, Kind.SPEECH)
    for _ in range(10):
        scheduler.want_step(busy, 0.0)
        assert scheduler.next_step(0.0) is busy
        scheduler.end_step(busy, audio_s=10.0)
    scheduler.want_step(paused, 0.0)
    assert paused.tag == 90.0


# Bounds


def test_a_kind_begins_no_more_jobs_than_its_limit_and_the_next_begins_when_one_ends() -> None:
    scheduler = Scheduler({Kind.LONG: 2, Kind.SHORT: 1}, max_waiting=3)
    films, clips = [Entry(Kind.LONG) for _ in range(4)], [Entry(Kind.SHORT) for _ in range(2)]
    assert [scheduler.admit(film, 0.0) for film in films] == [True, True, False, False]
    assert [scheduler.admit(clip, 0.0) for clip in clips] == [True, False]
    assert scheduler.leave(films[0], 1.0) == [films[2]]
    assert scheduler.leave(clips[0], 1.0) == [clips[1]]
    assert list(scheduler.waiting) == [films[3]]


def test_one_job_more_than_may_wait_is_refused() -> None:
    scheduler = Scheduler({Kind.LONG: 1, Kind.SHORT: 1}, max_waiting=2)
    for _ in range(3):
        scheduler.admit(Entry(Kind.LONG), 0.0)
    with pytest.raises(QueueFullError, match="2 requests are waiting"):
        scheduler.admit(Entry(Kind.LONG), 0.0)
    assert len(scheduler.waiting) == 2
    assert scheduler.admit(Entry(Kind.SHORT), 0.0)
    with pytest.raises(QueueFullError):
        scheduler.admit(Entry(Kind.SHORT), 0.0)


def test_there_is_room_as_long_as_one_of_the_kinds_would_be_admitted() -> None:
    scheduler = Scheduler({Kind.LONG: 1, Kind.SHORT: 1}, max_waiting=0)
    scheduler.admit(Entry(Kind.LONG), 0.0)
    scheduler.check_room([Kind.SHORT, Kind.LONG], 0.0)
    with pytest.raises(QueueFullError):
        scheduler.check_room([Kind.LONG], 0.0)


def test_a_job_that_waits_and_leaves_makes_room_for_one_that_waits() -> None:
    scheduler = Scheduler({Kind.LONG: 1}, max_waiting=1)
    first, second, third = (Entry(Kind.LONG) for _ in range(3))
    scheduler.admit(first, 0.0)
    scheduler.admit(second, 0.0)
    assert scheduler.leave(second, 0.0) == []
    assert not scheduler.admit(third, 0.0)
    assert scheduler.leave(first, 0.0) == [third]


def test_jobs_that_wait_expire_at_their_deadline_and_those_that_began_never() -> None:
    scheduler = Scheduler({Kind.LONG: 1}, max_waiting=9)
    scheduler.admit(Entry(Kind.LONG, deadline=1.0), 0.0)
    assert scheduler.next_deadline() == math.inf
    late, later, patient = Entry(Kind.LONG, deadline=5.0), Entry(Kind.LONG, deadline=6.0), Entry(Kind.LONG)
    for entry in (later, late, patient):
        scheduler.admit(entry, 0.0)
    assert scheduler.next_deadline() == 5.0
    assert scheduler.expire(4.99) == []
    assert scheduler.expire(5.0) == [late]
    assert scheduler.next_deadline() == 6.0
    assert list(scheduler.waiting) == [later, patient]


def test_the_time_to_try_again_follows_the_rate_at_which_jobs_end() -> None:
    scheduler = Scheduler({Kind.LONG: 1}, max_waiting=2)
    for _ in range(3):
        scheduler.admit(Entry(Kind.LONG), 100.0)
    for ended_at in (107.0, 114.0, 121.0):
        scheduler.leave(next(iter(scheduler.active)), ended_at)
        scheduler.admit(Entry(Kind.LONG), ended_at)
    assert scheduler.retry_after_s(Kind.LONG, 121.0) == 3 * 7  # the two that wait, and the one that asks
    assert scheduler.retry_after_s(Kind.LONG, 125.0) == 3 * 7
    assert scheduler.retry_after_s(Kind.LONG, 121.0 + 20.0) == 3 * 20  # nothing ends any more
    assert scheduler.retry_after_s(Kind.LONG, 9999.0) == 120
    assert scheduler.retry_after_s(Kind.SHORT, 9999.0) == 1


def test_idle_time_says_nothing_of_the_rate() -> None:
    scheduler = Scheduler({Kind.SHORT: 1}, max_waiting=1)
    for begins_at in (0.0, 1000.0, 2000.0):
        scheduler.admit(entry := Entry(Kind.SHORT), begins_at)
        scheduler.leave(entry, begins_at + 3.0)
    assert scheduler.retry_after_s(Kind.SHORT, 5000.0) == 3


# Batches


def test_work_of_one_key_shares_a_batch_up_to_the_most() -> None:
    scheduler = Scheduler(PLENTY, max_waiting=0)
    jobs = [offering(scheduler, Kind.SHORT, work("a", most=3), work("b", most=3)) for _ in range(4)]
    batch = batch_of(scheduler)
    assert members(batch) == jobs[:3]
    assert {each.item for each in batch.works} == {"a"}
    assert scheduler.in_batches() == set(jobs[:3])
    scheduler.end_batch(batch, 0.0)
    assert scheduler.in_batches() == set()


def test_work_of_another_function_is_in_another_batch() -> None:
    scheduler = Scheduler(PLENTY, max_waiting=0)
    other = Work(lambda items: items, None, key="same", cost_s=1.0, most=4)
    offering(scheduler, Kind.SHORT, work(), work())
    offering(scheduler, Kind.SHORT, other)
    assert other not in batch_of(scheduler).works


def test_free_lanes_share_what_there_is() -> None:
    scheduler = Scheduler(PLENTY, max_waiting=0, lanes=3)
    for _ in range(5):
        offering(scheduler, Kind.SHORT, work(most=8))
    assert [len(batch_of(scheduler, lane).members) for lane in range(3)] == [2, 2, 1]
    for _ in range(5):
        offering(scheduler, Kind.SHORT, work(most=8))
    scheduler.end_batch(Batch(1), 0.0)
    assert len(batch_of(scheduler, 1).members) == 5


def test_the_first_of_several_lanes_is_kept_free_of_long_jobs() -> None:
    scheduler = Scheduler(PLENTY, max_waiting=0, lanes=2)
    film = offering(scheduler, Kind.LONG, *(work(most=8) for _ in range(6)))
    clip = offering(scheduler, Kind.SHORT, work(most=8))
    assert members(batch_of(scheduler, 0, now=99.0)) == [clip]
    assert scheduler.next_batch(0, 99.0) is None
    assert members(batch_of(scheduler, 1, now=99.0)) == [film] * 6  # the first lane is no help to them


def test_a_lane_that_is_not_open_gets_nothing() -> None:
    scheduler = Scheduler(PLENTY, max_waiting=0, lanes=0)
    offering(scheduler, Kind.SHORT, work())
    assert scheduler.next_batch(0, 9.0) is None
    scheduler.lanes = 1
    assert batch_of(scheduler).works


def test_a_batch_that_is_not_full_waits_for_others_that_prepare_and_not_longer() -> None:
    scheduler = Scheduler(PLENTY, max_waiting=0)
    first = offering(scheduler, Kind.SHORT, work(most=2))
    second = Entry(Kind.SHORT)
    scheduler.admit(second, 0.0)
    assert scheduler.next_batch(0, 0.001) == GATHER_S
    assert scheduler.next_step(0.001) is second
    assert scheduler.next_batch(0, 0.002) == GATHER_S
    scheduler.offer(second, work(most=2), 0.003)
    assert members(batch_of(scheduler, now=0.003)) == [first, second]


@pytest.mark.parametrize("why", ["its time is up", "it is full", "nobody prepares", "a film prepares", "it is long"])
def test_a_batch_does_not_wait_when(why: str) -> None:
    scheduler = Scheduler(PLENTY, max_waiting=0)
    works = [work(most=2) for _ in range(2 if why == "it is full" else 1)]
    offering(scheduler, Kind.LONG if why == "it is long" else Kind.SHORT, *works)
    if why != "nobody prepares":
        scheduler.admit(Entry(Kind.LONG if why == "a film prepares" else Kind.SHORT), 0.0)
    assert len(batch_of(scheduler, now=GATHER_S if why == "its time is up" else 0.0).works) == len(works)


def test_the_work_of_a_job_that_left_vanishes_with_it() -> None:
    scheduler = Scheduler(PLENTY, max_waiting=0)
    gone, stays = (offering(scheduler, Kind.LONG, work(), work()) for _ in range(2))
    scheduler.leave(gone, 0.0)
    scheduler.offer(gone, work(), 0.0)
    scheduler.want_step(gone, 0.0)
    assert scheduler.next_step(0.0) is None
    assert members(batch_of(scheduler)) == [stays, stays]
    assert scheduler.next_batch(0, 9.0) is None


def test_while_short_work_comes_one_lane_more_is_kept_free_of_films() -> None:
    scheduler = Scheduler({Kind.SHORT: 4, Kind.LONG: 4}, max_waiting=4, lanes=3)
    clip, film = Entry(Kind.SHORT), Entry(Kind.LONG)
    for entry in (clip, film):
        scheduler.admit(entry, 0.0)
        scheduler.next_step(0.0)
        scheduler.end_step(entry)
    scheduler.offer(film, work(), 0.0)
    scheduler.offer(clip, work(), 0.0)
    of_the_clip = scheduler.next_batch(0, 0.0)
    assert isinstance(of_the_clip, Batch)
    assert [entry for entry, _ in of_the_clip.members] == [clip]
    assert scheduler.next_batch(1, 1.9) == LATELY_S
    later = scheduler.next_batch(1, 2.0)
    assert isinstance(later, Batch)
    assert [entry for entry, _ in later.members] == [film]


def test_the_last_lane_takes_films_whatever_else_comes() -> None:
    scheduler = Scheduler({Kind.SHORT: 4, Kind.LONG: 4}, max_waiting=4, lanes=3)
    clip, film = Entry(Kind.SHORT), Entry(Kind.LONG)
    for entry in (clip, film):
        scheduler.admit(entry, 0.0)
    scheduler.offer(clip, work(), 0.0)
    assert isinstance(scheduler.next_batch(0, 0.1), Batch)
    scheduler.offer(film, work(), 0.1)
    assert isinstance(scheduler.next_batch(2, 0.1), Batch)
