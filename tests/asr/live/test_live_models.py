"""Live sessions with real weights and recorded speech."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache

import numpy as np
import pytest

from tests.asr.live.conftest import silence
from tests.conftest import SettingsFactory
from tests.support.live import feed_and_read, joined
from tests.support.noises import KINDS
from tests.support.speech import Sample, decode
from tests.support.wer import character_error_rate, english_word_error_rate
from voice_stack.asr.engine.base import AsrEngine, AudioBlock
from voice_stack.asr.engine_factory import create_engine
from voice_stack.asr.live.events import Completed, Delta, LiveEvent
from voice_stack.asr.live.options import LiveOptions
from voice_stack.asr.live.transcription import LiveTranscription
from voice_stack.asr.service import AsrService

pytestmark = pytest.mark.anyio

Serve = Callable[..., AbstractAsyncContextManager[LiveTranscription]]
DETECT = LiveOptions()
REFERENCE = "The quick brown fox jumps over the lazy dog."


@pytest.fixture(scope="module")
def engines() -> dict[str, AsrEngine]:
    """The engines that were loaded, by the name of the model."""
    return {}


@pytest.fixture
def serve(make_settings: SettingsFactory, engines: dict[str, AsrEngine]) -> Serve:
    """A live session: ``async with serve(options, model=...) as live``; a model is loaded once."""

    @asynccontextmanager
    async def served(options: LiveOptions = DETECT, *, model: str = "base") -> AsyncIterator[LiveTranscription]:
        settings = make_settings(asr_model=model)
        engine = engines.setdefault(model, create_engine(settings))
        engine.load = cache(engine.load)  # type: ignore[method-assign]
        service = AsrService(settings, engine, lambda _: engine)
        service.lifecycle.start()
        try:
            async with service.live(options) as live:
                yield live
        finally:
            await asyncio.to_thread(service.close)

    return served


def texts_of(events: Sequence[LiveEvent]) -> list[str]:
    for event in events:
        if isinstance(event, Completed):
            assert event.text == joined(events, event.utterance)
    return [event.text for event in events if isinstance(event, Completed)]


async def test_speech_in_real_time_is_told_word_by_word_and_right(serve: Serve, fox: AudioBlock) -> None:
    audio = np.concatenate([fox, silence(0.7)])
    async with serve(LiveOptions(language="en"), model="tiny.en") as live:

        async def feed() -> None:
            for first in range(0, audio.size, 1600):
                await live.feed(audio[first : first + 1600])
                await asyncio.sleep(0.1)
            await live.finish()

        feeding = asyncio.ensure_future(feed())
        events = [event async for event in live]
        await feeding
    (text,) = texts_of(events)
    assert english_word_error_rate([REFERENCE], [text]) == 0
    assert sum(isinstance(event, Delta) for event in events) > 1


async def test_a_file_as_fast_as_it_is_taken_is_heard_whole(serve: Serve, three_foxes: AudioBlock) -> None:
    async with serve(model="base") as live:
        texts = texts_of(await feed_and_read(live, three_foxes))
    assert len(texts) == 3
    assert english_word_error_rate([REFERENCE] * 3, texts) == 0


async def test_a_sentence_said_again_and_again_is_told_as_often(serve: Serve, fox: AudioBlock) -> None:
    audio = np.concatenate([fox[:-4000]] * 4 + [silence(1)])
    async with serve(LiveOptions(language="en", turns=None), model="tiny.en") as live:
        (text,) = texts_of(await feed_and_read(live, audio, commits=True))
    assert english_word_error_rate([" ".join([REFERENCE] * 4)], [text]) < 0.1


async def test_noise_hum_and_silence_say_nothing(serve: Serve) -> None:
    rng = np.random.default_rng(11)
    noise = np.concatenate([kind(4.0, rng) for kind in KINDS])
    async with serve(LiveOptions(turns=None), model="base") as live:
        assert texts_of(await feed_and_read(live, noise, commits=True)) == [""]


async def test_each_utterance_is_in_its_own_language(serve: Serve, samples: list[Sample]) -> None:
    known = {(one.language, one.path.stem): one for one in samples}
    said = [known["en", "quick_brown_fox"], known["fr", "pangrama"], known["ja", "konnichiwa_sekai"]]
    audio = [part for one in said for part in (decode(one.path.read_bytes()), silence(1))]
    async with serve(model="base") as live:
        events = await feed_and_read(live, np.concatenate(audio))
    completed = [event for event in events if isinstance(event, Completed)]
    assert [event.language for event in completed] == [one.language for one in said]
    assert all(
        character_error_rate(one.transcript, event.text) < 0.35 for one, event in zip(said, completed, strict=True)
    )
