"""Models that requests name."""

import asyncio
import gc
import weakref
from collections.abc import Callable

import pytest

from tests.conftest import SettingsFactory
from tests.support.engines import FakeAsrEngine, Gate
from tests.support.serving import client_of, wait_until
from tests.support.speech import Sample
from voice_stack.asr.app import create_app
from voice_stack.asr.engine.base import AsrEngine
from voice_stack.asr.engines import NamedEngines
from voice_stack.core.errors import ModelNotFoundError, UnavailableError

pytestmark = pytest.mark.anyio

PATH = "/v1/audio/transcriptions"


class Shelf:
    """Engines that remember how often each model was built."""

    def __init__(
        self, most: int, gate: Gate | None = None, *, ttl_s: float = 0, is_busy: Callable[[], bool] = lambda: False
    ) -> None:
        self.built: list[str] = []
        self.alive: weakref.WeakSet[FakeAsrEngine] = weakref.WeakSet()
        self._gate = gate
        self.engines = NamedEngines(self._create, most=most, ttl_s=ttl_s, is_busy=is_busy)

    def _create(self, name: str) -> AsrEngine:
        self.built.append(name)
        error = ModelNotFoundError("There is none.") if name == "missing" else None
        engine = FakeAsrEngine(load_gate=self._gate, load_error=error)
        self.alive.add(engine)
        return engine


async def test_requests_for_the_same_model_load_it_once() -> None:
    gate = Gate(opened=False)
    shelf = Shelf(1, gate)

    async def use() -> AsrEngine:
        async with shelf.engines.lend("small") as engine:
            return engine

    asked = [asyncio.create_task(use()) for _ in range(5)]
    await asyncio.to_thread(gate.reached.wait, 10)
    asked[0].cancel()
    gate.open()
    given = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(given[0], asyncio.CancelledError)
    assert len({id(engine) for engine in given[1:]}) == 1
    assert shelf.built == ["small"]


async def test_the_model_unused_for_longest_makes_room_and_is_freed() -> None:
    shelf = Shelf(2)
    for name in ("a", "b", "a", "c", "a"):
        async with shelf.engines.lend(name):
            pass
    assert shelf.built == ["a", "b", "c"]
    gc.collect()
    assert len(shelf.alive) == 2


async def test_a_model_in_use_is_not_let_go_of() -> None:
    shelf = Shelf(1)
    async with shelf.engines.lend("a"):
        with pytest.raises(UnavailableError, match="in use"):
            async with shelf.engines.lend("b"):
                pass
        async with shelf.engines.lend("a"):
            pass
    async with shelf.engines.lend("b"):
        pass
    assert shelf.built == ["a", "b"]


async def test_a_model_that_nobody_uses_is_let_go_of_after_its_time() -> None:
    busy = False
    shelf = Shelf(2, ttl_s=0.02, is_busy=lambda: busy)
    async with shelf.engines.lend("a"):
        pass
    async with shelf.engines.lend("a") as first:
        assert isinstance(first, FakeAsrEngine)
        async with shelf.engines.lend("b"), shelf.engines.lend("a"):
            pass
        await asyncio.sleep(0.06)
        assert first.unloads == 0
        busy = True
    await asyncio.sleep(0.06)
    assert first.unloads == 0, "a step of a request that has gone may still use it"
    busy = False
    await asyncio.to_thread(wait_until, lambda: first.unloads == 1)
    async with shelf.engines.lend("a") as second:
        assert second is not first
    assert shelf.built == ["a", "b", "a"]


async def test_a_model_that_cannot_be_loaded_takes_no_place_and_is_tried_again() -> None:
    shelf = Shelf(1)
    for _ in range(2):
        with pytest.raises(ModelNotFoundError):
            async with shelf.engines.lend("missing"):
                pass
    async with shelf.engines.lend("a"):
        pass
    assert shelf.built == ["missing", "missing", "a"]


async def test_a_request_is_answered_by_the_model_that_it_names(
    make_settings: SettingsFactory, samples: list[Sample]
) -> None:
    (fox,) = (sample for sample in samples if sample.path.stem == "quick_brown_fox")
    files = {"file": ("fox.wav", fox.path.read_bytes())}
    async with client_of(create_app(make_settings(), FakeAsrEngine())) as client:
        own = await client.post(PATH, files=files)
        named = await client.post(PATH, files=files, data={"model": "tiny.en"})
        german = await client.post(PATH, files=files, data={"model": "tiny.en", "language": "de"})
    assert own.json()["text"] == "hello world"
    assert "fox" in named.json()["text"]
    assert (german.status_code, german.json()["error"]["param"]) == (400, "language")


async def test_models_on_the_machine_are_listed_by_the_engine_that_can_load_them(
    make_settings: SettingsFactory,
) -> None:
    async with client_of(create_app(make_settings(asr_model="tiny.en"))) as client:
        listed = [model["id"] for model in (await client.get("/v1/models")).json()["data"]]
        assert listed[0] == "tiny.en"
        assert "base" in listed
        assert (await client.get("/v1/models/base")).status_code == 200


@pytest.mark.parametrize(
    "name", ["whisper-9", "../../etc", "/etc/passwd", "tests", "a/b/c", "x.pt", "owner/never-heard"]
)
async def test_what_is_not_here_is_a_404_and_no_name_leads_out_of_the_model_folder(
    make_settings: SettingsFactory, name: str
) -> None:
    async with client_of(create_app(make_settings(), FakeAsrEngine())) as client:
        answer = await client.post(PATH, files={"file": b"x"}, data={"model": name})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


async def test_named_models_can_be_switched_off(make_settings: SettingsFactory) -> None:
    async with client_of(create_app(make_settings(asr_max_named_models=0), FakeAsrEngine())) as client:
        answer = await client.post(PATH, files={"file": b"x"}, data={"model": "tiny.en"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
        assert "tiny.en" not in [model["id"] for model in (await client.get("/v1/models")).json()["data"]]
