"""A service that is not used gives its model's memory back."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.conftest import ROOT
from tests.support.serving import ServiceProcess, free_port, wait_until
from tests.support.speech import Sample

MOST_MB = 60.0
"""What may be resident after the model was let go of, over what was before it was loaded first."""

# The service as it is, but it loads its model when the file is there.
SERVER = """
import sys, time
from pathlib import Path
from voice_stack.core import server
from voice_stack.core.settings import load_settings
from {module} import {engine}

load = {engine}.load

def load_when_told(self):
    while not Path(sys.argv[1]).exists():
        time.sleep(0.02)
    load(self)

{engine}.load = load_when_told
sys.exit(server.serve("{name}", load_settings()))
"""
ENGINES = {
    "asr": ("voice_stack.asr.engine.fasterwhisper", "FasterWhisperEngine"),
    "tts": ("voice_stack.tts.engine.piper", "PiperEngine"),
}
SPEECH = {"model": "tts-1", "voice": "alloy", "input": "The memory of a model that nobody uses is given back."}


@contextmanager
def service_that_waits(name: str, folder: Path, model_dir: Path) -> Iterator[ServiceProcess]:
    module, engine = ENGINES[name]
    port, log_path = free_port(), folder / "log"
    settings = {f"{name.upper()}_HOST": "127.0.0.1", f"{name.upper()}_PORT": str(port), "MODEL_DIR": str(model_dir)}
    settings |= {"MODEL_TTL_S": "0.5", "HF_HUB_OFFLINE": "1", "TTS_ENGINE": "piper", "ASR_MODEL": "base"}
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVER.format(name=name, module=module, engine=engine), str(folder / "go")],
            cwd=ROOT,
            env={**os.environ, **settings},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield ServiceProcess(process, f"http://127.0.0.1:{port}", log_path)
    finally:
        process.terminate()
        process.wait(60)


def use(service: ServiceProcess, recording: Path) -> None:
    if service.health()["service"] == "asr":
        files = {"file": recording.read_bytes()}
        answer = httpx.post(f"{service.base_url}/v1/audio/transcriptions", files=files, timeout=60)
    else:
        answer = httpx.post(f"{service.base_url}/v1/audio/speech", json=SPEECH, timeout=60)
    assert answer.status_code == 200, answer.text


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("name", ["asr", "tts"])
def test_a_model_that_is_let_go_of_leaves_little_behind(
    name: str, tmp_path: Path, model_dir: Path, samples: list[Sample]
) -> None:
    def answers() -> bool:
        try:
            return bool(service.health()["status"] == "loading")
        except OSError:
            return False

    with service_that_waits(name, tmp_path, model_dir) as service:
        wait_until(answers)
        before = service.memory_mb()
        (tmp_path / "go").touch()
        use(service, samples[0].path)
        in_use = service.memory_mb() - before
        wait_until(lambda: service.health()["status"] == "idle" and "memory was given back" in service.log)
        over = service.memory_mb() - before
        print(f"{name}: {before:.0f} MB before the model, {in_use:+.0f} MB with it, {over:+.0f} MB without")
        assert in_use > over + 60, "the model was not in memory"
        assert over < MOST_MB
