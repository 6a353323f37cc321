"""Which voice speaks which language, and what is refused."""

import asyncio
from collections.abc import Sequence

import pytest

from tests.conftest import SettingsFactory
from tests.support.engines import FakeTtsEngine
from tests.support.serving import client_of
from voice_stack.tts.app import create_app
from voice_stack.tts.engine.base import ANY_LANGUAGE, Capabilities, Voice

pytestmark = pytest.mark.anyio

MIXED = "This is an English sentence. Das hier ist ein deutscher Satz. And this is English again."


class CloningEngine(FakeTtsEngine):
    """Each voice speaks three languages."""

    capabilities = Capabilities(cloning=True, languages=("en", "de", "fr"))

    def voices(self) -> Sequence[Voice]:
        return [Voice("Ana", "Ana", ANY_LANGUAGE), Voice("bea_fr", "bea", "fr"), Voice("ulf_sv", "ulf", "sv")]


async def said(
    engine: FakeTtsEngine, make_settings: SettingsFactory, text: str, **more: object
) -> list[tuple[str, str | None]]:
    settings = make_settings(tts_auto_lang=more.pop("auto", True))
    async with client_of(create_app(settings, engine)) as client:
        answer = await client.post("/v1/audio/speech", json={"model": "tts-1", "voice": "alloy", "input": text, **more})
        assert answer.status_code == 200, answer.text
    return [(options.voice.id, options.language) for _, options in engine.said]


async def error(
    engine: FakeTtsEngine, make_settings: SettingsFactory, text: str, **more: object
) -> tuple[int, str, str]:
    async with client_of(create_app(make_settings(), engine)) as client:
        answer = await client.post("/v1/audio/speech", json={"model": "tts-1", "voice": "alloy", "input": text, **more})
        body = answer.json()["error"]
        assert (await client.post("/v1/audio/speech", json={"input": "Fine."})).status_code == 200
    return answer.status_code, body["code"], body["message"]


async def test_mixed_text_changes_the_voice_between_sentences(make_settings: SettingsFactory) -> None:
    assert await said(FakeTtsEngine(), make_settings, MIXED) == [
        ("en_US-ann-medium", "en"),
        ("de_DE-bert-low", "de"),
        ("en_US-ann-medium", "en"),
    ]


async def test_a_voice_asked_for_by_name_is_not_replaced(make_settings: SettingsFactory) -> None:
    assert {voice for voice, _ in await said(FakeTtsEngine(), make_settings, MIXED, voice="ann")} == {
        "en_US-ann-medium"
    }


async def test_a_cloned_voice_changes_its_language_between_sentences(make_settings: SettingsFactory) -> None:
    expected = [("bea_fr", "en"), ("bea_fr", "de"), ("bea_fr", "en")]
    assert await said(CloningEngine(), make_settings, MIXED, voice="bea") == expected


async def test_a_language_that_is_asked_for_overrides_that_of_the_text_and_the_voice(
    make_settings: SettingsFactory,
) -> None:
    assert set(await said(CloningEngine(), make_settings, MIXED, voice="bea_fr", language="de")) == {("bea_fr", "de")}
    assert {voice for voice, _ in await said(FakeTtsEngine(), make_settings, "Hallo.", language="de")} == {
        "de_DE-bert-low"
    }
    assert {voice for voice, _ in await said(FakeTtsEngine(), make_settings, "Hello.", language="en-GB")} == {
        "en_GB-cleo-high"
    }


async def test_without_detection_the_voices_own_language_is_spoken(make_settings: SettingsFactory) -> None:
    assert set(await said(CloningEngine(), make_settings, MIXED, voice="bea", auto=False)) == {("bea_fr", "fr")}
    assert set(await said(CloningEngine(), make_settings, MIXED, voice="Ana", auto=False)) == {("Ana", "en")}


async def test_a_voice_cloned_from_a_language_that_the_engine_lacks_speaks_the_others(
    make_settings: SettingsFactory,
) -> None:
    assert await said(CloningEngine(), make_settings, MIXED, voice="ulf") == [
        ("ulf_sv", "en"),
        ("ulf_sv", "de"),
        ("ulf_sv", "en"),
    ]
    assert await said(CloningEngine(), make_settings, "OK.", voice="ulf") == [("ulf_sv", "en")]


@pytest.mark.parametrize("language", ["sv", "klingon", "e", "../de", "en\x00"])
async def test_a_language_that_nobody_speaks_is_refused(make_settings: SettingsFactory, language: str) -> None:
    status, code, message = await error(CloningEngine(), make_settings, "Hej.", language=language)
    assert (status, code) == (400, "unsupported_language")
    assert "de, en, fr" in message


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("Привет, как дела?", "Cyrillic"),
        ("こんにちは、元気ですか。", "Kana"),
        ("สวัสดีครับ", "Thai"),
        ("مرحبا", "Arabic"),
    ],
)
async def test_text_in_a_script_that_nobody_reads_is_refused(
    make_settings: SettingsFactory, text: str, script: str
) -> None:
    for engine in (CloningEngine(), FakeTtsEngine()):
        status, code, message = await error(engine, make_settings, text)
        assert (status, code) == (400, "unsupported_language")
        assert script in message


async def test_a_foreign_word_in_a_text_is_no_reason_to_refuse_it(make_settings: SettingsFactory) -> None:
    assert await said(FakeTtsEngine(), make_settings, "The Russian word for hello is привет, they say.")


async def test_the_same_seed_gives_each_chunk_its_own_and_the_same(make_settings: SettingsFactory) -> None:
    seeds = []
    for _ in range(2):
        engine = CloningEngine()
        await said(engine, make_settings, MIXED, seed=7)
        seeds.append([options.seed for _, options in engine.said])
    assert seeds[0] == seeds[1]
    assert len(set(seeds[0])) == 3


async def test_a_default_voice_that_is_not_there_fails_the_start(make_settings: SettingsFactory) -> None:
    async with client_of(create_app(make_settings(tts_default_voice="dora"), CloningEngine()), ready=False) as client:
        while (health := (await client.get("/health")).json())["status"] == "loading":
            await asyncio.sleep(0.01)
    assert health["status"] == "failed"
    assert "no voice 'dora'" in health["error"]
