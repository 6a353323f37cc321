"""What a benchmark measures with: the services, the systems to compare with, peers, and how many runs."""

import asyncio
import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tests.support.serving import ServiceProcess, service_process

from benchmarks.clients import Client, Reply
from benchmarks.material import MODEL_DIR, ROOT
from benchmarks.reference import Reference, reference
from benchmarks.wire import Target

REST_S = 0.5
"""Between runs: the threads of OpenMP and ONNX Runtime spin for a while after their work, on cores that others need."""

WHISPER_PYTHON = ROOT / ".venv-torch" / "bin" / "python"
WHISPER_CHECKPOINT = ROOT / ".cache" / "openai-whisper" / "base.pt"

T = TypeVar("T")


@dataclass(frozen=True)
class Bench:
    """How to measure."""

    quick: bool = False
    runs: int | None = None  # of each pair; None: what the benchmark thinks right
    asr_env: Mapping[str, str] = field(default_factory=dict)
    tts_env: Mapping[str, str] = field(default_factory=dict)
    peers: Mapping[str, Target] = field(default_factory=dict)
    whisper_python: Path = WHISPER_PYTHON

    def pick(self, full: T, quick: T) -> T:
        """One of two sizes."""
        return quick if self.quick else full

    def rounds(self, full: int) -> int:
        """How many runs to make of each pair."""
        return self.runs or self.pick(full, 1)

    @contextmanager
    def asr(self, **env: str) -> Iterator[ServiceProcess]:
        """A speech to text service of its own."""
        with (
            tempfile.TemporaryDirectory() as folder,
            service_process("asr", Path(folder), env={**self._asr_env(), **env}) as service,
        ):
            yield service

    @contextmanager
    def asr_starting(self, **env: str) -> Iterator[ServiceProcess]:
        """The same, from the moment at which its process exists."""
        with (
            tempfile.TemporaryDirectory() as folder,
            service_process("asr", Path(folder), env={**self._asr_env(), **env}, ready=False) as service,
        ):
            yield service

    @contextmanager
    def tts(self) -> Iterator[ServiceProcess]:
        """A text to speech service of its own."""
        with (
            tempfile.TemporaryDirectory() as folder,
            service_process("tts", Path(folder), env={**self._tts_env()}) as service,
        ):
            yield service

    def faster_whisper(self, service: ServiceProcess) -> AbstractContextManager[Reference]:
        """faster-whisper with the service's model, arithmetic and device."""
        device = str(service.health()["device"])
        given = self.asr_env.get("ASR_COMPUTE_TYPE", "auto")
        compute_type = given if given != "auto" else "int8" if device == "cpu" else "float16"
        model = self.asr_env.get("ASR_MODEL", "base")
        config = {"model": model, "device": device, "compute_type": compute_type, "model_dir": str(MODEL_DIR)}
        return reference("faster-whisper", config, {})

    def own_engine(self) -> AbstractContextManager[Reference]:
        """The service's own engine, with its settings."""
        return reference("engine", {}, self._asr_env())

    def openai_whisper(self, service: ServiceProcess) -> AbstractContextManager[Reference] | None:
        """openai-whisper with the same weights; None where it is not installed or its checkpoint has not been made."""
        if not (os.access(self.whisper_python, os.X_OK) and WHISPER_CHECKPOINT.is_file()):
            return None
        config = {"checkpoint": str(WHISPER_CHECKPOINT), "device": str(service.health()["device"])}
        return reference("openai-whisper", config, {}, self.whisper_python)

    def piper(self, service: ServiceProcess) -> AbstractContextManager[Reference]:
        """Piper by itself with the service's voice."""
        voice_dir = self._tts_env()["TTS_VOICE_DIR"]
        config = {"model_dir": str(MODEL_DIR), "voice_dir": voice_dir, "device": str(service.health()["device"])}
        return reference("piper", config, {})

    def _asr_env(self) -> dict[str, str]:
        return {"MODEL_DIR": str(MODEL_DIR), **self.asr_env}

    def _tts_env(self) -> dict[str, str]:
        own = {"MODEL_DIR": str(MODEL_DIR), "TTS_ENGINE": "piper", "TTS_VOICE_DIR": str(ROOT / "voices")}
        return {**own, **self.tts_env}


def post(client: Client, number: int = 0) -> Reply:
    """One request while nothing else runs."""
    return asyncio.run(client.request(number))


def in_turn(sides: Mapping[str, Callable[[], float]], runs: int, *, rest_s: float = REST_S) -> dict[str, list[float]]:
    """What each side measures, run by run: all of them one after the other, then again, after a run to warm up."""
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for run in range(runs + 1):
        for name, measure in sides.items():
            time.sleep(rest_s)
            value = measure()
            if run:
                taken[name].append(value)
    return taken


def usable_peers(
    peers: Mapping[str, Target], client: Callable[[Target], Client]
) -> tuple[dict[str, Client], list[str]]:
    """The peers that answer such a request, and what is wrong with the others."""
    usable, notes = {}, []
    for name, target in peers.items():
        with contextlib.suppress(OSError):
            reply = post(asking := client(target))
            if reply.status == 200:
                usable[name] = asking
            else:
                notes.append(f"{name} was left out: it answered {reply.status}")
            continue
        notes.append(f"{name} was left out: it cannot be reached")
    return usable, notes
