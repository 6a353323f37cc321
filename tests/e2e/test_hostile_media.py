"""A service as it is, with files that break its decoder for good: it serves on, and leaves no process behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.conftest import ROOT
from tests.support import hostile
from tests.support.bombs import silent_flac
from tests.support.processes import lives
from tests.support.serving import ServiceProcess, free_port, service_process, wait_until
from tests.support.speech import Sample
from tests.utils.audio.helpers import needs_proc

pytestmark = needs_proc

TRANSCRIBE = "/v1/audio/transcriptions"

# The service as it is, but a file that begins with the name of some harm does it.
SERVER = """
import sys
from tests.support import hostile
from voice_stack.core import server
from voice_stack.core.settings import load_settings
from voice_stack.utils.audio import isolation

isolation.decode_audio = hostile.decode
isolation.declared_duration_s = hostile.duration_s
sys.exit(server.serve("asr", load_settings()))
"""


def below(pid: int) -> list[int]:
    """The processes that descend from one, the nearest first."""
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(status.parent.name))
    found = [pid]
    for each in found:
        found += children.get(each, [])
    return found[1:]


@pytest.fixture
def harmful_asr(tmp_path: Path, model_dir: Path) -> Iterator[ServiceProcess]:
    port, log_path = free_port(), tmp_path / "log"
    settings = {"ASR_HOST": "127.0.0.1", "ASR_PORT": str(port), "MODEL_DIR": str(model_dir), "HF_HUB_OFFLINE": "1"}
    settings |= {"ASR_MODEL": "tiny.en", "TMPDIR": str(tmp_path / "tmp")}
    (tmp_path / "tmp").mkdir()
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVER],
            cwd=ROOT,
            env={**os.environ, **settings},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    service = ServiceProcess(process, f"http://127.0.0.1:{port}", log_path)
    try:
        wait_until(lambda: "the model is ready" in service.log, 60)
        yield service
    finally:
        process.kill()
        process.wait()


def send(service: ServiceProcess, data: bytes) -> httpx.Response:
    return httpx.post(f"{service.base_url}{TRANSCRIBE}", files={"file": data}, timeout=60)


def test_a_service_outlives_what_its_decoders_die_of(
    harmful_asr: ServiceProcess, samples: list[Sample], tmp_path: Path
) -> None:
    recording = next(sample for sample in samples if sample.language == "en").path.read_bytes()
    assert send(harmful_asr, recording).status_code == 200
    sockets = harmful_asr.open_sockets()
    with ThreadPoolExecutor(6) as pool:
        files = [hostile.CRASH, b"bomb!", recording, b"loop!"] * 3
        answers = list(pool.map(lambda data: send(harmful_asr, data), files))

    assert [answer.status_code for answer in answers] == [400, 400, 200, 400] * 3
    assert len({answer.text for answer in answers if answer.is_success}) == 1
    assert harmful_asr.process.poll() is None
    wait_until(lambda: harmful_asr.health()["active"] == 0)
    # Two for each that waits for another file.
    assert harmful_asr.open_sockets() <= sockets + 4
    assert "Traceback" not in harmful_asr.log
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_process_outlives_the_service(harmful_asr: ServiceProcess, number: signal.Signals) -> None:
    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(send, harmful_asr, hostile.SLEEP)
        wait_until(lambda: below(harmful_asr.process.pid) and below(below(harmful_asr.process.pid)[0]))
        processes = below(harmful_asr.process.pid)
        if number == signal.SIGKILL:
            os.kill(harmful_asr.process.pid, number)
        else:
            # As a terminal and systemd do it.
            os.killpg(harmful_asr.process.pid, number)
            time.sleep(0.2)
            assert Path(f"/proc/{processes[0]}").exists(), "what drains could not decode"
            os.killpg(harmful_asr.process.pid, number)
        harmful_asr.process.wait(30)
        wait_until(lambda: not any(map(lives, processes)), 2)
        assert hanging.exception() is not None or hanging.result().status_code >= 400
    assert "resource_tracker" not in harmful_asr.log
    assert "Traceback" not in harmful_asr.log


def test_days_of_audio_are_refused_in_no_time(tmp_path: Path, model_dir: Path) -> None:
    env = {"MODEL_DIR": str(model_dir), "ASR_MODEL": "tiny.en"}
    bomb = silent_flac(50_000)
    with service_process("asr", tmp_path, env=env, args=["--workers", "2"]) as service:
        for _ in range(4):
            started_at = time.monotonic()
            answer = send(service, bomb)
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, "audio_too_long")
            assert time.monotonic() - started_at < 5
        processes = below(service.process.pid)
        assert len(processes) >= 4, "each worker has its own"
    wait_until(lambda: not any(map(lives, processes)), 2)
