"""A GPU that fails: noticed by the request, told by health, and cured by a new process."""

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.conftest import ROOT, SettingsFactory
from tests.support.engines import FakeTtsEngine
from tests.support.serving import client_of, free_port, wait_until
from voice_stack.core.errors import DeviceLostError
from voice_stack.tts.app import create_app

REQUEST = {"model": "tts-1", "voice": "alloy", "input": "Hello there.", "response_format": "pcm"}

SERVER = """
import sys
from pathlib import Path
from tests.support.engines import FakeTtsEngine
from voice_stack.core import server
from voice_stack.core.errors import DeviceLostError
from voice_stack.core.settings import load_settings
from voice_stack.tts import app

marker, least_uptime_s = Path(sys.argv[1]), float(sys.argv[2])
fails = not marker.exists()
marker.write_text(marker.read_text() + "x" if marker.exists() else "x")
app.create_engine = lambda settings: FakeTtsEngine(fail_at=0 if fails else None, error=DeviceLostError("CUDA error"))
server.LEAST_UPTIME_S = least_uptime_s
sys.exit(server.serve("tts", load_settings()))
"""


@pytest.mark.anyio
async def test_a_lost_gpu_fails_the_request_and_is_told_by_health(make_settings: SettingsFactory) -> None:
    engine = FakeTtsEngine(fail_at=1, error=DeviceLostError("CUDA error: an illegal memory access"))
    async with client_of(create_app(make_settings(), engine)) as client:
        assert (await client.post("/v1/audio/speech", json=REQUEST)).status_code == 200
        assert (await client.get("/health")).status_code == 200
        failed = await client.post("/v1/audio/speech", json=REQUEST)
        assert (failed.status_code, failed.json()["error"]["code"]) == (503, "device_lost")
        health = await client.get("/health")
        assert (health.status_code, health.json()["status"]) == (503, "failed")
        assert "illegal memory access" in health.json()["error"]
        assert (await client.post("/v1/audio/speech", json=REQUEST)).status_code == 503


def serve(tmp_path: Path, least_uptime_s: float) -> tuple["subprocess.Popen[bytes]", str]:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(tmp_path / "starts"), str(least_uptime_s)],
        cwd=ROOT,
        env={"PATH": "", "TTS_HOST": "127.0.0.1", "TTS_PORT": str(port), "MODEL_DIR": str(tmp_path)},
    )
    return process, f"http://127.0.0.1:{port}"


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health").status_code == 200
    except httpx.TransportError:
        return False


def test_a_process_whose_gpu_is_lost_replaces_itself(tmp_path: Path) -> None:
    process, url = serve(tmp_path, least_uptime_s=0)
    try:
        wait_until(lambda: is_ready(url))
        assert httpx.post(f"{url}/v1/audio/speech", json=REQUEST).status_code == 503
        wait_until(lambda: (tmp_path / "starts").read_text() == "xx" and is_ready(url))
        assert process.poll() is None
        assert httpx.post(f"{url}/v1/audio/speech", json=REQUEST).status_code == 200
    finally:
        process.terminate()
        assert process.wait(30) is not None


def test_a_gpu_that_is_lost_at_once_ends_the_process(tmp_path: Path) -> None:
    process, url = serve(tmp_path, least_uptime_s=60)
    try:
        wait_until(lambda: is_ready(url))
        assert httpx.post(f"{url}/v1/audio/speech", json=REQUEST).status_code == 503
        assert process.wait(30) == 3
    finally:
        process.kill()
        process.wait()
