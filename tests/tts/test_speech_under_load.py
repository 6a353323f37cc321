"""Several listeners at a time, and slow ones: who is served first, and that nobody has to suffer for another."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import aclosing

import numpy as np
import pytest

from tests.conftest import SettingsFactory
from tests.support.engines import FakeTtsEngine, Gate
from tests.support.serving import client_of
from voice_stack.core.errors import EngineError
from voice_stack.tts.app import create_app
from voice_stack.tts.engine.base import AudioChunk, SynthesisOptions
from voice_stack.tts.service import Speech, TtsService
from voice_stack.tts.speech import SpeechEncoder, SpeechPiece

pytestmark = pytest.mark.anyio

PATH = "/v1/audio/speech"
TENTH_S = np.zeros(2400, np.float32)


class BusyEngine(FakeTtsEngine):
    """Makes several sentences at the same time, and fails at the word that it was told."""

    def __init__(self, max_steps: int, *, gate: Gate | None = None, bad_word: str = "-") -> None:
        super().__init__(gate=gate)
        self.max_steps = max_steps
        self._bad_word = bad_word

    def synthesize(self, text: str, options: SynthesisOptions) -> Iterator[AudioChunk]:
        if self._bad_word in text:
            raise EngineError("The fake engine does not say that.")
        yield from super().synthesize(text, options)


def speech(text: str) -> dict[str, str]:
    return {"model": "tts-1", "voice": "alloy", "input": text, "response_format": "pcm"}


async def until(condition: object) -> None:
    assert callable(condition)
    for _ in range(3000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never happened")


@pytest.mark.parametrize("max_steps", [1, 2])
async def test_the_first_sentences_of_all_come_before_the_second_of_any(
    make_settings: SettingsFactory, max_steps: int
) -> None:
    engine = BusyEngine(max_steps, gate=Gate(opened=False))
    app = create_app(make_settings(), engine)
    service: TtsService = app.state.service
    text = "This is the beginning. Here somebody goes on. That was the end."
    async with client_of(app) as client:
        answers = [asyncio.ensure_future(client.post(PATH, json=speech(text))) for _ in range(10)]
        await until(lambda: service.queue.active == 10 and engine.gate.steps == max_steps)
        engine.gate.open()
        statuses = {answer.status_code for answer in await asyncio.gather(*answers)}
    assert statuses == {200}
    said = [text.split()[0] for text, _ in engine.said]
    assert said[:10] == ["This"] * 10
    assert sorted(said[10:]) == ["Here"] * 10 + ["That"] * 10


@pytest.mark.parametrize("max_steps", [1, 3])
async def test_as_many_sentences_are_made_at_a_time_as_the_engine_can(
    make_settings: SettingsFactory, max_steps: int
) -> None:
    engine = BusyEngine(max_steps, gate=Gate(opened=False))
    app = create_app(make_settings(), engine)
    async with client_of(app) as client:
        answers = [asyncio.ensure_future(client.post(PATH, json=speech("Good morning to you."))) for _ in range(5)]
        await until(lambda: app.state.service.queue.active == 5 and engine.gate.steps >= max_steps)
        await asyncio.sleep(0.05)
        assert engine.gate.steps == max_steps
        engine.gate.open()
        await asyncio.gather(*answers)


async def test_who_fails_or_leaves_is_not_noticed_by_who_speaks_at_the_same_time(
    make_settings: SettingsFactory,
) -> None:
    engine = BusyEngine(2, gate=Gate(opened=False), bad_word="badly")
    app = create_app(make_settings(), engine)
    service: TtsService = app.state.service
    good = " ".join(f"This is sentence {word} of a good text." for word in ("one", "two", "three", "four"))
    async with client_of(app) as client:
        stays = asyncio.ensure_future(client.post(PATH, json=speech(good)))
        leaves = asyncio.ensure_future(client.post(PATH, json=speech(good)))
        await until(lambda: engine.gate.steps == 2)
        fails = asyncio.ensure_future(client.post(PATH, json=speech("This one ends badly, alas.")))
        leaves.cancel()
        engine.gate.open()
        whole = await stays
        assert (await fails).status_code == 500
        await until(lambda: service.queue.active == 0)
        alone = await client.post(PATH, json=speech(good))
    assert whole.status_code == 200
    assert whole.content == alone.content


async def test_little_is_made_ahead_of_a_reader_who_does_not_read(make_settings: SettingsFactory) -> None:
    engine = BusyEngine(2)
    app = create_app(make_settings(), engine)
    service: TtsService = app.state.service
    text = " ".join(f"And here comes sentence number {number}." for number in range(200))
    async with client_of(app), aclosing(await service.speak(Speech(text, "alloy", "mp3"), model="tts-1")) as chunks:
        assert (await anext(chunks)).data
        await asyncio.sleep(0.1)
        # What was made while the first bytes were not taken: the rest of the first sentence, and one more.
        assert len(engine.said) == 2
        await anext(chunks)
        await until(lambda: len(engine.said) == 3)


async def test_the_engine_goes_on_while_its_speech_is_encoded(
    make_settings: SettingsFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = SpeechEncoder.encode
    went_on = threading.Event()

    def encode_late(self: SpeechEncoder, piece: SpeechPiece) -> object:
        assert went_on.wait(10)
        return encode(self, piece)

    class Engine(FakeTtsEngine):
        def synthesize(self, text: str, options: SynthesisOptions) -> Iterator[AudioChunk]:
            if self.said:
                went_on.set()
            yield from super().synthesize(text, options)

    monkeypatch.setattr(SpeechEncoder, "encode", encode_late)
    async with client_of(create_app(make_settings(), Engine())) as client:
        answer = await client.post(PATH, json=speech("This is the beginning. Here somebody goes on."))
    assert answer.status_code == 200


async def test_only_the_first_sentence_is_wanted_early(make_settings: SettingsFactory) -> None:
    engine = FakeTtsEngine()
    async with client_of(create_app(make_settings(), engine)) as client:
        await client.post(PATH, json=speech("This is the beginning. Here somebody goes on. That was the end."))
    assert [options.early for _, options in engine.said] == [True, False, False]


async def test_closing_an_encoder_waits_for_the_piece_it_works_on() -> None:
    encoder = SpeechEncoder("mp3", 24_000)
    encoder.encode(SpeechPiece(TENTH_S, 0.1))
    with encoder._lock:
        closing = threading.Thread(target=encoder.close)
        closing.start()
        closing.join(0.05)
        assert closing.is_alive()
    closing.join(10)
    with pytest.raises(EngineError):
        encoder.encode(SpeechPiece(TENTH_S, 0.1))
    with pytest.raises(EngineError):
        encoder.finish()
