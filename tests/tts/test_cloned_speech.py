"""Cloned voices from the request to the sound: the real service with XTTS and random weights, and OpenAI's SDK."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from openai import APIConnectionError, APIStatusError, AsyncOpenAI, OpenAI

from tests.conftest import SettingsFactory
from tests.support.serving import served, wait_until
from tests.support.speech import Sample, decode, wav_bytes
from tests.tts.engine.conftest import HAS_COQUI, NO_COQUI
from voice_stack.core.errors import EngineError
from voice_stack.core.settings import Settings
from voice_stack.tts.app import create_app
from voice_stack.tts.engine.base import AudioChunk, SynthesisOptions

if not HAS_COQUI:
    pytest.skip(NO_COQUI, allow_module_level=True)

from tests.support.xtts_checkpoint import make_xtts_checkpoint
from voice_stack.tts.engine.coqui import CoquiEngine
from voice_stack.tts.engine_factory import create_engine

TEXT = "Hello there, my friend."
LONG_SEED = 1


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_xtts_checkpoint(tmp_path_factory.mktemp("xtts"))


@pytest.fixture
def settings(make_settings: SettingsFactory, checkpoint: Path, tmp_path: Path, samples: list[Sample]) -> Settings:
    voices = tmp_path / "voices"
    voices.mkdir()
    audio = np.concatenate([decode(sample.path.read_bytes()) for sample in samples[:3]])
    (voices / "ann_en.wav").write_bytes(wav_bytes(audio))
    return make_settings(tts_model=str(checkpoint), model_dir=tmp_path / "models", tts_device="cpu")


@pytest.fixture
def url(settings: Settings) -> Iterator[str]:
    with served(create_app(settings)) as url:
        wait_until(lambda: httpx.get(f"{url}/health").status_code == 200)
        yield url


def sdk(url: str) -> OpenAI:
    return OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0)


def test_coqui_is_the_engine_where_it_is_installed(settings: Settings) -> None:
    assert isinstance(create_engine(settings), CoquiEngine)


def test_a_voice_of_the_folder_speaks_in_every_format(url: str) -> None:
    durations_s = {}
    with sdk(url) as client:
        for audio_format in ("mp3", "opus", "aac", "flac", "wav"):
            answer = client.audio.speech.create(
                model="tts-1", voice="ann_en", input="Hi.", response_format=audio_format, extra_body={"seed": 4}
            )
            durations_s[audio_format] = decode(answer.content, 24_000).size / 24_000
        pcm = client.audio.speech.create(
            model="tts-1", voice="ann_en", input="Hi.", response_format="pcm", extra_body={"seed": 4}
        )
    expected_s = len(pcm.content) / 48_000
    assert expected_s > 0.1
    assert all(abs(seconds - expected_s) <= 0.02 for seconds in durations_s.values()), durations_s


def test_a_voice_is_made_and_deleted_over_the_sdk_while_the_service_runs(url: str, samples: list[Sample]) -> None:
    recording = np.concatenate([decode(sample.path.read_bytes()) for sample in samples[3:6]])
    with sdk(url) as client:
        made = client.audio.voices.create(
            name="bea_de", consent="signed on paper", audio_sample=("bea.wav", wav_bytes(recording), "audio/wav")
        )
        assert made.id == "bea_de"
        spoken = client.audio.speech.create(
            model="tts-1", voice={"id": "bea_de"}, input="Hallo.", response_format="pcm"
        )
        assert len(spoken.content) > 4_800
        client.audio.voices.delete("bea_de")
        with pytest.raises(APIStatusError, match="no voice 'bea_de'"):
            client.audio.speech.create(model="tts-1", voice="bea_de", input="Hallo.")


def test_a_sample_that_is_put_into_the_folder_is_a_voice_at_once(
    url: str, settings: Settings, samples: list[Sample]
) -> None:
    recording = np.concatenate([decode(sample.path.read_bytes()) for sample in samples[3:6]])
    (settings.tts_voice_dir / "cleo_fr.wav").write_bytes(wav_bytes(recording))
    wait_until(lambda: httpx.get(f"{url}/v1/audio/voices/cleo_fr").status_code == 200, 5)
    with sdk(url) as client:
        assert client.audio.speech.create(model="tts-1", voice="cleo", input="Salut.", response_format="pcm").content


@pytest.mark.anyio
async def test_of_8_requests_one_hangs_up_and_the_others_get_what_they_get_alone(url: str) -> None:
    def request(seed: int) -> dict[str, object]:
        voice = ("ann_en", "Ana Noise", "Ben Noise")[seed % 3]
        return {"model": "tts-1", "voice": voice, "input": TEXT, "response_format": "pcm", "seed": seed}

    async with httpx.AsyncClient(base_url=f"{url}/v1/audio", timeout=120) as client:

        async def ask(seed: int) -> bytes:
            return (await client.post("/speech", json=request(seed))).content

        async def hang_up(seed: int) -> bytes:
            async with client.stream("POST", "/speech", json=request(seed)) as answer:
                return await anext(answer.aiter_raw())

        seeds = range(1, 9)
        alone = {seed: await ask(seed) for seed in seeds}
        together = await asyncio.gather(*(hang_up(seed) if seed == LONG_SEED else ask(seed) for seed in seeds))
    assert [seed for seed, audio in zip(seeds, together, strict=True) if audio != alone[seed]] == [LONG_SEED]
    wait_until(lambda: httpx.get(f"{url}/health").json()["active"] == 0)


@pytest.mark.anyio
async def test_an_engine_failure_in_mid_stream_is_an_exception_to_sdk_users_and_harms_nobody(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = create_engine(settings)
    real = engine.synthesize

    def failing(text: str, options: SynthesisOptions) -> Iterator[AudioChunk]:
        for number, chunk in enumerate(real(text, options)):
            if options.voice.id == "Ben Noise" and number > 2:
                raise EngineError("It broke.")
            yield chunk

    monkeypatch.setattr(engine, "synthesize", failing)
    with served(create_app(settings, engine)) as url:
        wait_until(lambda: httpx.get(f"{url}/health").status_code == 200)
        client = AsyncOpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0)

        async def speak(voice: str) -> bytes:
            answer = await client.audio.speech.create(
                model="tts-1", voice=voice, input=TEXT * 3, response_format="pcm", extra_body={"seed": LONG_SEED}
            )
            return answer.content

        results = await asyncio.gather(speak("Ana Noise"), speak("Ben Noise"), return_exceptions=True)
        assert isinstance(results[0], bytes)
        assert isinstance(results[1], APIConnectionError)
        await client.close()


@pytest.mark.parametrize(
    ("language", "text"),
    [("sv", "Hej."), (None, "สวัสดีครับ")],
)
def test_a_language_that_xtts_lacks_is_refused(url: str, language: str | None, text: str) -> None:
    with sdk(url) as client, pytest.raises(APIStatusError) as caught:
        client.audio.speech.create(model="tts-1", voice="ann_en", input=text, extra_body={"language": language})
    assert (caught.value.status_code, caught.value.code) == (400, "unsupported_language")
