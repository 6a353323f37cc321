"""Live sessions on a fake engine and real voice detection: order, bounds, cuts, failure, abandonment."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from tests.asr.live.conftest import silence
from tests.conftest import SettingsFactory
from tests.support.engines import Gate
from tests.support.live import WORD_S, FakeLiveEngine, feed_and_read, joined
from tests.support.serving import wait_until
from voice_stack.asr.engine.base import SAMPLE_RATE_HZ, AudioBlock
from voice_stack.asr.live import transcriber, transcription
from voice_stack.asr.live.events import (
    Committed,
    Completed,
    Delta,
    Failed,
    LiveEvent,
    SegmentDone,
    SpeechStarted,
    SpeechStopped,
)
from voice_stack.asr.live.options import LiveOptions, TurnDetection
from voice_stack.asr.live.transcription import LiveTranscription
from voice_stack.asr.service import AsrService
from voice_stack.core.errors import InvalidRequestError
from voice_stack.utils.queue_manager import Job
from voice_stack.utils.scheduling import Kind

pytestmark = pytest.mark.anyio

Serve = Callable[..., AbstractAsyncContextManager[tuple[AsrService, LiveTranscription]]]

MANUAL = LiveOptions(language="en", turns=None)
ENGLISH = LiveOptions(language="en")


@pytest.fixture
def serve(make_settings: SettingsFactory) -> Serve:
    """A live session on an engine: ``async with serve(engine, options) as (service, live)``."""

    @asynccontextmanager
    async def served(
        engine: FakeLiveEngine, options: LiveOptions = ENGLISH
    ) -> AsyncIterator[tuple[AsrService, LiveTranscription]]:
        service = AsrService(make_settings(), engine, lambda _: engine)
        service.lifecycle.start()
        try:
            async with service.live(options) as live:
                yield service, live
        finally:
            engine.gate.open()
            await asyncio.to_thread(service.close)

    return served


@pytest.fixture
def long_speech(fox: AudioBlock) -> AudioBlock:
    """Forty seconds without a pause of half a second."""
    return np.concatenate([fox[2000:-8000]] * 17)


async def test_each_utterance_is_told_once_in_order_and_adds_up(serve: Serve, three_foxes: AudioBlock) -> None:
    async with serve(FakeLiveEngine()) as (_, live):
        events = await feed_and_read(live, three_foxes)
    ids = [event.utterance for event in events if isinstance(event, SpeechStarted)]
    assert len(set(ids)) == 3
    assert [event.utterance for event in events if isinstance(event, SpeechStopped)] == ids
    committed = [event for event in events if isinstance(event, Committed)]
    assert [(event.utterance, event.previous) for event in committed] == list(zip(ids, [None, *ids[:2]], strict=True))
    completed = [event for event in events if isinstance(event, Completed)]
    assert [event.utterance for event in completed] == ids
    for event in completed:
        assert event.text == joined(events, event.utterance) != ""
        assert event.text.split() == [f"word{number}" for number in range(len(event.text.split()))]
        assert event.language == "en"
        assert event.duration_s == pytest.approx(3.3, abs=0.2)
        kinds = [type(other) for other in events if other.utterance == event.utterance]
        assert kinds[0] is SpeechStarted
        assert kinds[-2:] == [SegmentDone, Completed]


async def test_text_comes_while_somebody_speaks(serve: Serve, fox: AudioBlock) -> None:
    async with serve(FakeLiveEngine()) as (_, live):

        async def feed() -> None:
            for first in range(0, fox.size, 3200):
                await live.feed(fox[first : first + 3200])
                await asyncio.sleep(0.02)

        feeding = asyncio.ensure_future(feed())
        events: list[LiveEvent] = []
        while not any(isinstance(event, Delta) for event in events):
            events.append(await asyncio.wait_for(anext(live), 5))
        await feeding
        assert not any(isinstance(event, SpeechStopped | Committed) for event in events)


async def test_audio_faster_than_it_is_spoken_costs_one_call_an_utterance(
    serve: Serve, three_foxes: AudioBlock
) -> None:
    engine = FakeLiveEngine(call_s=0.05)
    async with serve(engine) as (_, live):
        events = await feed_and_read(live, np.concatenate([three_foxes] * 8), block_s=5)
    assert sum(isinstance(event, Completed) for event in events) == 24
    assert len(engine.windows) <= 30


async def test_feeding_waits_where_too_much_is_waiting_and_loses_nothing(serve: Serve, three_foxes: AudioBlock) -> None:
    engine = FakeLiveEngine(gate=Gate(opened=False))
    audio = np.concatenate([three_foxes] * 10)
    async with serve(engine) as (_, live):
        feeding = asyncio.ensure_future(feed_and_read(live, audio))
        await asyncio.to_thread(engine.gate.reached.wait, 5)
        done, _ = await asyncio.wait({feeding}, timeout=0.7)
        assert not done
        bound = transcription.WAITING_S + 2 * transcription.INBOX_S + transcription.LISTEN_MOST_S
        held = sum(one.waiting for one in live._order) + live._inbox_size
        assert held < bound * SAMPLE_RATE_HZ < audio.size
        engine.gate.open()
        assert sum(isinstance(event, Completed) for event in await feeding) == 30


async def test_speech_without_a_pause_is_cut_into_parts_that_add_up(serve: Serve, long_speech: AudioBlock) -> None:
    engine = FakeLiveEngine()
    async with serve(engine) as (_, live):
        events = await feed_and_read(live, np.concatenate([long_speech, silence(1)]))
    (completed,) = [event for event in events if isinstance(event, Completed)]
    parts = [event for event in events if isinstance(event, SegmentDone)]
    assert max(window.samples.size for window in engine.windows) <= transcriber.MOST_S * SAMPLE_RATE_HZ
    assert len(parts) >= long_speech.size / SAMPLE_RATE_HZ / transcriber.MOST_S
    assert completed.text == " ".join(part.text for part in parts) == joined(events, completed.utterance)
    assert parts[0].start_s == pytest.approx(0, abs=0.4)
    assert all(first.end_s == pytest.approx(second.start_s) for first, second in pairwise(parts))
    # No word is lost at a cut, and none is said twice: the fake numbers them on.
    assert len(completed.text.split()) == pytest.approx(completed.duration_s / WORD_S, abs=len(parts) + 1)


async def test_words_given_out_beyond_a_cut_are_not_said_again(serve: Serve, long_speech: AudioBlock) -> None:
    engine = FakeLiveEngine()
    async with serve(engine) as (_, live):

        async def feed() -> None:
            for first in range(0, long_speech.size, 6400):
                await live.feed(long_speech[first : first + 6400])
                await asyncio.sleep(0.01)
            await live.finish()

        feeding = asyncio.ensure_future(feed())
        events = [event async for event in live]
        await feeding
    (completed,) = [event for event in events if isinstance(event, Completed)]
    assert sum(bool(window.prefix) for window in engine.windows if window.timed) > 5
    parts = sum(isinstance(event, SegmentDone) for event in events)
    assert parts >= 3
    assert len(completed.text.split()) == pytest.approx(completed.duration_s / WORD_S, abs=parts + 1)


async def test_a_commit_ends_the_utterance_at_hand_and_parts_are_told_on_the_way(
    serve: Serve, three_foxes: AudioBlock
) -> None:
    async with serve(FakeLiveEngine(), MANUAL) as (_, live):
        events = await feed_and_read(live, three_foxes, commits=True)
    assert {type(event) for event in events} == {Committed, Delta, SegmentDone, Completed}
    (completed,) = [event for event in events if isinstance(event, Completed)]
    parts = [event.text for event in events if isinstance(event, SegmentDone)]
    assert len(parts) == 3
    assert completed.text == " ".join(parts) == joined(events, completed.utterance)
    assert completed.duration_s == pytest.approx(three_foxes.size / SAMPLE_RATE_HZ)


async def test_a_commit_of_silence_is_an_empty_text_and_of_nothing_an_error(serve: Serve) -> None:
    engine = FakeLiveEngine()
    async with serve(engine, MANUAL) as (_, live):
        with pytest.raises(InvalidRequestError) as caught:
            await live.commit()
        assert caught.value.code == "input_audio_buffer_commit_empty"
        await live.feed(silence(0.09))
        with pytest.raises(InvalidRequestError):
            await live.commit()
        await live.feed(silence(0.02))
        await live.commit()
        events = [await anext(live), await anext(live)]
    assert [type(event) for event in events] == [Committed, Completed]
    assert isinstance(events[1], Completed)
    assert (events[1].text, events[1].language) == ("", None)
    assert events[1].duration_s == pytest.approx(0.11)
    assert engine.windows == []


async def test_what_was_cleared_is_never_told(serve: Serve, fox: AudioBlock) -> None:
    async with serve(FakeLiveEngine()) as (_, live):
        await live.feed(fox[:30_000])
        started = await anext(live)
        await live.clear()
        events = await feed_and_read(live, np.concatenate([fox, silence(1)]))
    assert isinstance(started, SpeechStarted)
    (completed,) = [event for event in events if isinstance(event, Completed)]
    assert completed.utterance != started.utterance
    committed = [event for event in events if isinstance(event, Committed)]
    assert [(event.utterance, event.previous) for event in committed] == [(completed.utterance, None)]


async def test_what_was_not_read_yet_of_what_is_cleared_is_dropped_and_nothing_else(
    serve: Serve, fox: AudioBlock, three_foxes: AudioBlock
) -> None:
    async with serve(FakeLiveEngine()) as (_, live):
        for audio in (three_foxes[: fox.size + 24_000], *np.array_split(fox, 20)):
            await live.feed(audio)
            await asyncio.sleep(0.02)
        spoken = {event.utterance for event in live._events if isinstance(event, Delta)}
        assert len(spoken) == 2
        await live.clear()
        await live.finish()
        events = [event async for event in live]
    assert {event.utterance for event in events} == {events[0].utterance}
    assert [type(event) for event in events].count(Completed) == 1


async def test_whoever_gives_up_waiting_for_a_commit_does_not_end_the_session(serve: Serve, fox: AudioBlock) -> None:
    async with serve(FakeLiveEngine()) as (_, live):
        await live.feed(fox)
        committing = asyncio.ensure_future(live.commit())
        await asyncio.sleep(0)
        committing.cancel()
        events = await feed_and_read(live, np.concatenate([silence(1), fox, silence(1)]))
    assert sum(isinstance(event, Completed) for event in events) == 2


async def test_what_is_asked_for_after_the_end_is_refused(serve: Serve) -> None:
    async with serve(FakeLiveEngine()) as (_, live):
        asked = [asyncio.ensure_future(ask()) for ask in (live.finish, live.finish, live.commit)]
        done, _ = await asyncio.wait(asked, timeout=2)
        assert [isinstance(one.exception(), InvalidRequestError) for one in asked if one in done] == [False, True, True]


async def test_nothing_is_left_of_a_session_that_was_left_in_mid_speech(serve: Serve, fox: AudioBlock) -> None:
    async with serve(FakeLiveEngine(call_s=0.05)) as (service, _):
        gc.collect()
        gc.disable()
        try:
            async with service.live(ENGLISH) as live:
                await live.feed(fox)
                assert isinstance(await anext(live), SpeechStarted)
                await asyncio.sleep(0.03)
            left = weakref.ref(live)
            del live
            await asyncio.sleep(0.1)
            assert left() is None
        finally:
            gc.enable()


async def test_speech_that_comes_faster_than_it_is_spoken_goes_after_that_which_does_not(
    serve: Serve, fox: AudioBlock, three_foxes: AudioBlock, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds: list[Kind] = []
    async with serve(FakeLiveEngine(call_s=0.05)) as (service, live):
        make = service.queue.job

        def job(*args: Any, kind: Kind, **rest: Any) -> AbstractContextManager[Job[Any]]:
            kinds.append(kind)
            return make(*args, kind=kind, **rest)

        monkeypatch.setattr(service.queue, "job", job)
        for block in np.array_split(fox, 15):
            await live.feed(block)
            await asyncio.sleep(0.02)
        await feed_and_read(live, silence(1))
        assert set(kinds) == {Kind.LIVE, Kind.PARTIAL}
        kinds.clear()
        async with service.live(ENGLISH) as flooding:
            await feed_and_read(flooding, np.concatenate([three_foxes] * 4), block_s=5)
        assert kinds.count(Kind.LATE) > len(kinds) / 2


async def test_an_engine_failure_ends_its_utterance_and_no_other(serve: Serve, three_foxes: AudioBlock) -> None:
    async with serve(FakeLiveEngine(fail_at=0)) as (_, live):
        events = await feed_and_read(live, three_foxes, block_s=5)
    ends = [event for event in events if isinstance(event, Completed | Failed)]
    assert [type(event) for event in ends] == [Failed, Completed, Completed]
    assert [event.utterance for event in ends] == [event.utterance for event in events if isinstance(event, Committed)]


async def test_text_where_nobody_speaks_is_not_given_out(serve: Serve, fox: AudioBlock) -> None:
    async with serve(FakeLiveEngine(no_speech_prob=0.8)) as (_, live):
        events = await feed_and_read(live, np.concatenate([fox, silence(1)]))
    (completed,) = [event for event in events if isinstance(event, Completed)]
    assert (completed.text, completed.language) == ("", None)
    assert not any(isinstance(event, Delta | SegmentDone) for event in events)


async def test_leaving_abandons_what_runs_and_what_waits(serve: Serve, three_foxes: AudioBlock) -> None:
    engine = FakeLiveEngine(gate=Gate(opened=False))
    async with serve(engine) as (service, live):
        async with service.live(ENGLISH) as other:
            feeding = asyncio.ensure_future(feed_and_read(other, np.concatenate([three_foxes] * 10)))
            await asyncio.to_thread(engine.gate.reached.wait, 5)
        feeding.cancel()
        engine.gate.open()
        wait_until(lambda: service.queue.active == 0)
        calls = len(engine.windows)
        assert calls <= transcription.AT_ONCE
        events = await feed_and_read(live, three_foxes)
        assert sum(isinstance(event, Completed) for event in events) == 3


async def test_options_change_with_the_next_utterance(serve: Serve, three_foxes: AudioBlock) -> None:
    engine = FakeLiveEngine()
    async with serve(engine) as (_, live):
        await live.feed(three_foxes[:40_000])
        assert isinstance(await anext(live), SpeechStarted)
        with pytest.raises(InvalidRequestError):
            live.configure(LiveOptions(language="klingon"))
        live.configure(LiveOptions(language="german", turns=TurnDetection(silence_s=1.5)))
        events = await feed_and_read(live, three_foxes[40_000:])
    completed = [event for event in events if isinstance(event, Completed)]
    assert [event.language for event in completed] == ["en", "de"]


async def test_many_sessions_share_the_engine_and_each_keeps_its_own(serve: Serve, three_foxes: AudioBlock) -> None:
    engine = FakeLiveEngine()
    async with serve(engine) as (service, _):

        async def session() -> list[str]:
            async with service.live(ENGLISH) as live:
                events = await feed_and_read(live, three_foxes)
            return [event.text for event in events if isinstance(event, Completed)]

        texts = await asyncio.gather(*(session() for _ in range(8)))
    assert all(text == texts[0] and len(text) == 3 for text in texts)
    assert engine.most_at_once <= engine.lanes


async def test_memory_does_not_grow_with_the_session(serve: Serve, long_speech: AudioBlock) -> None:
    engine = FakeLiveEngine()
    async with serve(engine, MANUAL) as (_, live):
        reading = asyncio.ensure_future(feed_and_read(live, np.concatenate([long_speech] * 5)))
        most = 0
        while not reading.done():
            await asyncio.sleep(0.01)
            engine.windows.clear()
            most = max(most, sum(one.waiting for one in live._order) + live._inbox_size)
        assert sum(isinstance(event, Completed) for event in await reading) == 1
    assert most < (transcription.WAITING_S + 3 * transcription.INBOX_S) * SAMPLE_RATE_HZ
