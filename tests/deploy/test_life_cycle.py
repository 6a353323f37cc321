"""How services stop, and what SIGHUP does: real processes, real models."""

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.support.broken import HANG
from tests.support.raw_http import RawClient, upload_form
from tests.support.serving import ServiceProcess, free_port, service_process, wait_until
from tests.support.speech import Sample, decode, wav_bytes

TRANSCRIPTIONS, SPEECH = "/v1/audio/transcriptions", "/v1/audio/speech"
LONG_TEXT = " ".join(["This is one of many sentences that take a while to say."] * 1000)
AT_ONCE_S = 1.5
"""What a machine with other things to do may take for what happens at once."""

OVER_GRACE_S = 2.5


def noise(seconds: float) -> bytes:
    return wav_bytes(np.random.default_rng(1).normal(0, 0.1, round(16_000 * seconds)).astype(np.float32))


@contextmanager
def asr(folder: Path, model_dir: Path, **env: str) -> Iterator[ServiceProcess]:
    with service_process("asr", folder, env={"MODEL_DIR": str(model_dir), **env}) as service:
        yield service


@contextmanager
def tts(folder: Path, model_dir: Path, *args: str, **env: str) -> Iterator[ServiceProcess]:
    env = {"MODEL_DIR": str(model_dir), "TTS_ENGINE": "piper", **env}
    with service_process("tts", folder, env=env, args=args) as service:
        yield service


def stop(service: ServiceProcess) -> float:
    """Tell a service to stop; returns when."""
    service.process.send_signal(signal.SIGTERM)
    return time.monotonic()


def is_closed(client: RawClient) -> bool:
    client.socket.settimeout(AT_ONCE_S)
    try:
        while client.socket.recv(65536):
            pass
    except TimeoutError:
        return False
    return True


def test_a_stop_waits_for_an_upload_that_arrives_and_answers_it(
    tmp_path: Path, model_dir: Path, samples: list[Sample]
) -> None:
    form = upload_form(next(sample for sample in samples if sample.language == "en").path.read_bytes())
    with asr(tmp_path, model_dir) as service:
        idle, uploading = RawClient(service.base_url), RawClient(service.base_url)
        idle.socket.sendall(b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n")
        assert idle.socket.recv(65536).startswith(b"HTTP/1.1 200")
        uploading.post(TRANSCRIPTIONS, form, part=0.5)
        time.sleep(0.3)
        stop(service)
        with idle.socket:
            assert is_closed(idle), "a connection without a request is closed at once"
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{service.base_url}/healthz")
        time.sleep(1)
        uploading.socket.sendall(form.body[round(len(form.body) * 0.5) :])
        status, body = uploading.answer()
        assert (status, bool(json.loads(body)["text"])) == (200, True)
        assert service.process.wait(10) == 0
    assert "Traceback" not in service.log


def test_a_stop_refuses_what_waits_and_abandons_the_rest_at_the_end_of_the_grace(
    tmp_path: Path, model_dir: Path
) -> None:
    with (
        asr(tmp_path, model_dir, SHUTDOWN_GRACE_S="3", ASR_VAD_ENABLED="false") as service,
        ThreadPoolExecutor() as pool,
    ):
        upload = noise(900)

        def send() -> tuple[int, str, float]:
            answer = httpx.post(f"{service.base_url}{TRANSCRIPTIONS}", files={"file": ("a.wav", upload)}, timeout=60)
            return answer.status_code, answer.json()["error"]["code"], time.monotonic()

        sent = [pool.submit(send) for _ in range(6)]
        wait_until(lambda: (service.health()["active"], service.health()["queue_depth"]) == (4, 2), 60)
        told_at = stop(service)
        ended = sorted((each.result() for each in sent), key=lambda result: result[2])
        assert service.process.wait(10) == 0
        assert time.monotonic() - told_at < 3 + OVER_GRACE_S
    assert {(status, code) for status, code, _ in ended} == {(503, "stopping")}
    assert [at - told_at < AT_ONCE_S for *_, at in ended] == [True, True, False, False, False, False]


def test_streams_that_outlast_the_grace_end_with_an_error(tmp_path: Path, model_dir: Path) -> None:
    with tts(tmp_path, model_dir, SHUTDOWN_GRACE_S="2") as service, ThreadPoolExecutor() as pool:
        begun = threading.Semaphore(0)

        def listen(**more: str) -> bytes:
            received = b""
            with httpx.stream("POST", f"{service.base_url}{SPEECH}", json={"input": LONG_TEXT, **more}) as answer:
                for piece in answer.iter_raw():
                    if not received:
                        begun.release()
                    received += piece
            return received

        events = pool.submit(listen, stream_format="sse", response_format="pcm")
        audio = pool.submit(listen, response_format="mp3")
        assert begun.acquire(timeout=30)
        assert begun.acquire(timeout=30)
        told_at = stop(service)
        kind, data = events.result().decode().strip().split("\n\n")[-1].split("\n")
        assert kind == "event: error"
        assert json.loads(data.removeprefix("data: "))["error"]["code"] == "stopping"
        with pytest.raises(httpx.RemoteProtocolError):
            audio.result()
        assert service.process.wait(10) == 0
        assert 2 <= time.monotonic() - told_at < 2 + OVER_GRACE_S


def test_a_transcript_that_outlasts_the_grace_ends_with_an_error_event(
    tmp_path: Path, model_dir: Path, samples: list[Sample]
) -> None:
    with asr(tmp_path, model_dir, SHUTDOWN_GRACE_S="1") as service:
        spoken = decode(next(sample for sample in samples if sample.language == "en").path.read_bytes())
        files = {"file": ("long.wav", wav_bytes(np.tile(spoken, 300 * 16_000 // len(spoken))))}
        received = ""
        with httpx.stream(
            "POST", f"{service.base_url}{TRANSCRIPTIONS}", files=files, data={"stream": "true"}, timeout=120
        ) as answer:
            for piece in answer.iter_text():
                if not received:
                    told_at = stop(service)
                received += piece
        assert received.strip().split("\n\n")[-1].startswith("event: error")
        assert service.process.wait(10) == 0
        assert time.monotonic() - told_at < 1 + OVER_GRACE_S


def test_a_second_signal_ends_the_process_at_once(tmp_path: Path, model_dir: Path) -> None:
    with tts(tmp_path, model_dir) as service:
        with (
            httpx.stream("POST", f"{service.base_url}{SPEECH}", json={"input": LONG_TEXT}) as answer,
            pytest.raises(httpx.RemoteProtocolError),
        ):
            pieces = answer.iter_raw()
            next(pieces)
            stop(service)
            time.sleep(0.5)
            assert service.process.poll() is None
            told_at = stop(service)
            for _ in pieces:
                pass
        assert service.process.wait(5) == 128 + signal.SIGTERM
        assert time.monotonic() - told_at < AT_ONCE_S


@pytest.mark.parametrize("args", [(), ("--workers", "2")])
def test_a_native_call_that_hangs_holds_the_end_up_no_longer_than_the_grace(
    tmp_path: Path, args: tuple[str, ...]
) -> None:
    env = {"SHUTDOWN_GRACE_S": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    with (
        service_process("tts", tmp_path, env=env, args=args, module="tests.support.broken") as service,
        ThreadPoolExecutor() as pool,
    ):
        waiting = pool.submit(httpx.post, f"{service.base_url}{SPEECH}", json={"input": HANG}, timeout=60)
        time.sleep(1)
        told_at = stop(service)
        assert waiting.result().json()["error"]["code"] == "stopping"
        assert service.process.wait(10) == 0
        assert time.monotonic() - told_at < 1 + OVER_GRACE_S
    assert "something still runs: ending without it" in service.log


def test_a_new_service_takes_the_port_while_the_old_one_drains(tmp_path: Path, model_dir: Path) -> None:
    port = free_port()
    folders = [tmp_path / "old", tmp_path / "new"]
    for folder in folders:
        folder.mkdir()
    env = {"MODEL_DIR": str(model_dir), "TTS_ENGINE": "piper", "SHUTDOWN_GRACE_S": "120"}
    with service_process("tts", folders[0], env=env, port=port) as old:
        for args in ((), ("--workers", "2")):
            second = [sys.executable, "-m", "voice_stack", "tts", "--host", "127.0.0.1", "--port", str(port), *args]
            refused = subprocess.run(second, cwd=tmp_path, capture_output=True, text=True, timeout=60)
            assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
            assert f"cannot listen on 127.0.0.1 port {port}: Address already in use" in refused.stderr
        with httpx.stream("POST", f"{old.base_url}{SPEECH}", json={"input": LONG_TEXT[:1500]}, timeout=60) as answer:
            pieces = answer.iter_raw()
            next(pieces)
            stop(old)
            time.sleep(0.5)
            with service_process("tts", folders[1], env=env, port=port) as new:
                assert old.process.poll() is None
                assert new.health()["status"] == "ok"
                assert sum(map(len, pieces)) > 0
            assert old.process.wait(60) == 0


def test_sighup_tells_which_voices_came_and_went_and_drops_no_request(tmp_path: Path, model_dir: Path) -> None:
    voices = tmp_path / "voices"
    voices.mkdir()
    where = subprocess.run(
        [sys.executable, "-m", "voice_stack", "models", "pull", "en_US-joe-medium"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    packaged = Path(where.stdout.strip())
    with tts(tmp_path, model_dir) as service:
        with httpx.stream("POST", f"{service.base_url}{SPEECH}", json={"input": LONG_TEXT[:800]}) as answer:
            pieces = answer.iter_raw()
            next(pieces)
            for suffix in (".onnx", ".onnx.json"):
                shutil.copy(packaged.with_suffix(suffix), voices / f"en_GB-anna-medium{suffix}")
            service.process.send_signal(signal.SIGHUP)
            wait_until(lambda: "read the voices again, there are 2; new: 1" in service.log)
            for path in voices.iterdir():
                path.unlink()
            reloaded = httpx.post(f"{service.base_url}/v1/audio/voices/reload").json()
            assert [voice["id"] for voice in reloaded["data"]] == ["en_US-joe-medium"]
            wait_until(lambda: "there are 1; gone: 1" in service.log)
            assert sum(map(len, pieces)) > 0
        service.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "nothing has changed" in service.log)


def test_sighup_does_not_end_speech_to_text(tmp_path: Path, model_dir: Path) -> None:
    with asr(tmp_path, model_dir) as service:
        service.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "nothing to read again" in service.log)
        assert service.health()["status"] == "ok"


def test_a_terminal_that_is_closed_ends_its_service(tmp_path: Path, model_dir: Path) -> None:
    port = free_port()
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        os.environ.update(MODEL_DIR=str(model_dir), TTS_ENGINE="piper")
        args = ["-m", "voice_stack", "tts", "--host", "127.0.0.1", "--port", str(port)]
        os.execv(sys.executable, [sys.executable, *args])  # noqa: S606 - as a shell would

    def serves() -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200
        except httpx.TransportError:
            return False

    wait_until(serves, 60)
    os.close(terminal)
    ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert ended == 0


@pytest.mark.parametrize("name", ["asr", "tts"])
@pytest.mark.parametrize("after_s", [0.0, 0.3, 0.6])
def test_a_stop_while_the_model_is_loaded_is_no_failure(
    name: str, after_s: float, tmp_path: Path, model_dir: Path
) -> None:
    with service_process(name, tmp_path, env={"MODEL_DIR": str(model_dir)}, ready=False) as service:
        wait_until(lambda: "listens on" in service.log and _answers(service))
        time.sleep(after_s)
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(10) == 0, service.log


def _answers(service: ServiceProcess) -> bool:
    try:
        return httpx.get(f"{service.base_url}/healthz").status_code == 200
    except httpx.TransportError:
        return False
