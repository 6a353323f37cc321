"""Both services as real processes with real models, started once."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import OpenAI

from tests.support.serving import ServiceProcess, service_process


@pytest.fixture(scope="session")
def asr(tmp_path_factory: pytest.TempPathFactory, model_dir: Path) -> Iterator[ServiceProcess]:
    """The speech to text service with the packaged multilingual ``base``."""
    with service_process("asr", tmp_path_factory.mktemp("asr"), env={"MODEL_DIR": str(model_dir)}) as service:
        yield service


@pytest.fixture(scope="session")
def tts(tmp_path_factory: pytest.TempPathFactory, model_dir: Path) -> Iterator[ServiceProcess]:
    """The text to speech service with the packaged Piper voice."""
    env = {"MODEL_DIR": str(model_dir), "TTS_ENGINE": "piper"}
    with service_process("tts", tmp_path_factory.mktemp("tts"), env=env) as service:
        yield service


def sdk(service: ServiceProcess, **options: object) -> OpenAI:
    """OpenAI's SDK, unchanged but for the base URL."""
    return OpenAI(base_url=f"{service.base_url}/v1", api_key="unused", max_retries=0, **options)  # type: ignore[arg-type]


@pytest.fixture
def asr_client(asr: ServiceProcess) -> Iterator[OpenAI]:
    """The SDK, pointed at speech to text."""
    with sdk(asr) as client:
        yield client


@pytest.fixture
def tts_client(tts: ServiceProcess) -> Iterator[OpenAI]:
    """The SDK, pointed at text to speech."""
    with sdk(tts) as client:
        yield client
