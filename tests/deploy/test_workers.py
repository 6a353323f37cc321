"""Several processes on one port: one that ends is replaced, and the others do not feel it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.broken import LOSE_GPU
from tests.support.counts import total
from tests.support.serving import ServiceProcess, free_port, service_process, wait_until

SPEECH = "/v1/audio/speech"
SHORT = {"input": "Hello there.", "response_format": "pcm"}
LONG = {"input": " ".join(["This is one of many sentences."] * 30), "response_format": "pcm"}


@contextmanager
def two_workers(folder: Path, **options: str) -> Iterator[ServiceProcess]:
    env = {"PYTHONPATH": os.pathsep.join(sys.path), "WORKERS": "2", **options}
    with service_process("tts", folder, env=env, module="tests.support.broken") as service:
        wait_until(lambda: len(workers(service)) == 2 and service.log.count("the model is ready") >= 2, 60)
        yield service


def workers(service: ServiceProcess) -> list[int]:
    children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children").read_text().split()
    return [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def count(service: ServiceProcess, name: str, **labels: str) -> float:
    return total(httpx.get(f"{service.base_url}/metrics").text, name, **labels)


def test_a_worker_that_is_killed_is_replaced_and_what_it_counted_stays(tmp_path: Path, model_dir: Path) -> None:
    env = {"MODEL_DIR": str(model_dir), "TTS_ENGINE": "piper"}
    with service_process("tts", tmp_path, env=env, args=("--workers", "2")) as service:
        wait_until(lambda: service.log.count("the model is ready") == 2, 60)
        for _ in range(6):
            assert httpx.post(f"{service.base_url}{SPEECH}", json=SHORT).status_code == 200
        with httpx.stream("POST", f"{service.base_url}{SPEECH}", json=LONG, timeout=60) as answer:
            pieces = answer.iter_raw()
            next(pieces)
            before = {pid: cpu_ticks(pid) for pid in workers(service)}
            time.sleep(1)
            idle = min(before, key=lambda pid: cpu_ticks(pid) - before[pid])
            os.kill(idle, signal.SIGKILL)
            wait_until(lambda: len(set(workers(service)) - {idle}) == 2)
            assert sum(map(len, pieces)) > 0, "the request of the other worker goes on"
        wait_until(lambda: service.log.count("the model is ready") == 3, 60)
        assert f"worker {idle} has ended (SIGKILL): another takes its place" in service.log
        assert count(service, "http_requests_total", route=SPEECH, status="200", outcome="ok") == 7
        wait_until(lambda: count(service, "model_state", state="ok") == 2)
        assert count(service, "queue_depth") == 0


def test_a_worker_that_loses_its_gpu_is_replaced(tmp_path: Path) -> None:
    with two_workers(tmp_path) as service:
        before = set(workers(service))
        lost = httpx.post(f"{service.base_url}{SPEECH}", json={"input": LOSE_GPU})
        assert (lost.status_code, lost.json()["error"]["code"]) == (503, "device_lost")
        wait_until(lambda: "has ended (exit code 4)" in service.log and len(workers(service)) == 2)
        assert len(before & set(workers(service))) == 1
        assert httpx.post(f"{service.base_url}{SPEECH}", json=SHORT).status_code == 200


@pytest.mark.parametrize("service", ["asr", "tts"])
def test_a_model_that_cannot_be_loaded_ends_all_of_them_with_one_line(tmp_path: Path, service: str) -> None:
    wrong = {"ASR_MODEL": "large-v3", "TTS_DEFAULT_VOICE": "nobody", "TTS_ENGINE": "piper", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "voice_stack", service, "--workers", "3", "--port", str(free_port())]
    env = {**os.environ, **wrong, "MODEL_DIR": str(tmp_path), "LOG_FORMAT": "json"}
    ended = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 3
    errors = [entry for entry in map(json.loads, ended.stderr.splitlines()) if entry["level"] == "ERROR"]
    assert len(errors) == 1, errors
    assert ("large-v3" if service == "asr" else "nobody") in errors[0]["message"]


def test_sighup_reaches_every_worker_and_ends_none(tmp_path: Path) -> None:
    with two_workers(tmp_path) as service:
        before = workers(service)
        service.process.send_signal(signal.SIGHUP)
        wait_until(lambda: service.log.count("read the voices again") == 2)
        assert workers(service) == before


def test_a_stop_waits_for_what_every_worker_does_and_a_second_one_does_not(tmp_path: Path, model_dir: Path) -> None:
    env = {"MODEL_DIR": str(model_dir), "TTS_ENGINE": "piper", "SHUTDOWN_GRACE_S": "120"}
    for again in (False, True):
        with service_process("tts", tmp_path, env=env, args=("--workers", "2")) as service:
            with httpx.stream("POST", f"{service.base_url}{SPEECH}", json=LONG, timeout=60) as answer:
                pieces = answer.iter_raw()
                next(pieces)
                service.process.send_signal(signal.SIGTERM)
                for pid in workers(service):
                    os.kill(pid, signal.SIGTERM)  # as systemd does, which tells the whole group
                time.sleep(1)
                assert service.process.poll() is None
                if again:
                    service.process.send_signal(signal.SIGTERM)
                    with pytest.raises(httpx.RemoteProtocolError):
                        list(pieces)
                else:
                    assert sum(map(len, pieces)) > 0
            assert service.process.wait(10) == (128 + signal.SIGTERM if again else 0)


def test_workers_end_with_their_parent(tmp_path: Path) -> None:
    with two_workers(tmp_path) as service:
        left = workers(service)
        service.process.kill()
        service.process.wait()

        def gone(pid: int) -> Callable[[], bool]:
            return lambda: not Path(f"/proc/{pid}").exists()

        for pid in left:
            wait_until(gone(pid), 10)
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{service.base_url}/healthz")
