"""Clients that hang up, at every stage of a request, leave nothing behind."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.support.raw_http import Form, RawClient, upload_form
from tests.support.sentences import SENTENCES
from tests.support.serving import ServiceProcess, service_process, wait_until
from tests.support.speech import decode, wav_bytes
from voice_stack.utils.audio.decoder_process import MOST_IDLE

WARM_UP = 3
ROUNDS = 5
"""Of ten clients each. Memory reaches its level in the first rounds and then moves up and down below it."""

STEP_S = 30.0
"""What one step of an engine takes at most here, on a busy machine: then an abandoned request must be over."""

ONE_TRY_S = 60.0
"""What one decoding of a window takes at most with the ``base`` model, on a busy machine."""

GROWTH_MB = 45.0
"""What the memory may grow by over fifty clients. Their audio, decoded, is 270 MB."""

POOLED_THREADS = 5
"""Threads that write uploads come and go with the load; a thread that stayed for each client would make fifty."""

SPARE_SOCKETS = 2 * MOST_IDLE
"""Those of decoders that wait for the next upload; two for each client would make a hundred."""

GIVES_BACK = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}
"""With these glibc hands freed memory back at once: the memory of the process is then what it holds."""

TRANSCRIBE = "/v1/audio/transcriptions"
SPEAK = "/v1/audio/speech"


@dataclass(frozen=True)
class Holdings:
    """What a process holds while it has nothing to do."""

    memory_mb: float
    threads: int
    files: list[str]
    sockets: int

    @classmethod
    def of(cls, service: ServiceProcess) -> "Holdings":
        def memory_mb() -> float:
            time.sleep(0.1)
            return service.memory_mb()

        # What belongs to a request goes right after its answer.
        least_mb = min(memory_mb() for _ in range(10))
        return cls(least_mb, service.threads(), service.open_files(), service.open_sockets())


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """The folder for temporary files of a service."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


@pytest.fixture
def lone_asr(tmp_path: Path, temporary: Path, model_dir: Path) -> Iterator[ServiceProcess]:
    """Speech to text with the small packaged model, for one test alone."""
    env = {"MODEL_DIR": str(model_dir), "ASR_MODEL": "tiny.en", "TMPDIR": str(temporary), **GIVES_BACK}
    with service_process("asr", tmp_path, env=env) as service:
        yield service


@pytest.fixture
def lone_tts(tmp_path: Path, temporary: Path, model_dir: Path) -> Iterator[ServiceProcess]:
    """Text to speech, for one test alone."""
    # Short pieces of text make short steps: ten clients take turns.
    env = {"MODEL_DIR": str(model_dir), "TTS_ENGINE": "piper", "TTS_MAX_CHARS": "40", "TMPDIR": str(temporary)}
    env.update(GIVES_BACK)
    with service_process("tts", tmp_path, env=env) as service:
        yield service


@pytest.fixture(scope="session")
def speech_wav(tts: ServiceProcess) -> bytes:
    """Half a minute of speech: 1.7 MB, which the service keeps in a temporary file."""
    request = {"input": " ".join(SENTENCES[:11]), "voice": "alloy", "response_format": "wav"}
    return httpx.post(f"{tts.base_url}{SPEAK}", json=request, timeout=60).raise_for_status().content


def settle(service: ServiceProcess) -> float:
    """Wait until nothing goes on; returns for how many seconds something did."""
    begun_at = time.monotonic()
    wait_until(lambda: is_idle(service), 60)
    return time.monotonic() - begun_at


def is_idle(service: ServiceProcess) -> bool:
    health = service.health()
    return (health["active"], health["queue_depth"]) == (0, 0)


def leave_during_transcription(service: ServiceProcess, speech: bytes, long: bytes) -> float:
    """Ten clients; returns how long after the last one had left something still went on, in seconds."""
    short_form, long_form = upload_form(speech), upload_form(long)
    uploading = [RawClient(service.base_url).post(TRANSCRIBE, short_form, part=part) for part in (0.0, 0.5, 0.9)]
    working = [RawClient(service.base_url).post(TRANSCRIBE, short_form) for _ in range(4)]
    wait_until(lambda: service.health()["active"] == 4)
    waiting = RawClient(service.base_url).post(TRANSCRIBE, short_form)
    wait_until(lambda: service.health()["queue_depth"] == 1)
    decoding = [RawClient(service.base_url).post(TRANSCRIBE, long_form) for _ in range(2)]
    wait_until(lambda: service.health()["queue_depth"] == 3)
    waiting.hang_up()
    wait_until(lambda: service.health()["queue_depth"] == 2)
    for number, client in enumerate(working):
        client.hang_up(reset=number % 2 == 0)
    # The long ones get their turn now.
    wait_until(lambda: service.health()["queue_depth"] == 0)
    decoding.pop().hang_up(reset=True)
    wait_until(lambda: service.health()["active"] == 1)
    time.sleep(0.2)
    decoding.pop().hang_up()
    for number, client in enumerate(uploading):
        client.hang_up(reset=number == 1)
    return settle(service)


def leave_during_speech(service: ServiceProcess, speech: Form) -> float:
    """Ten clients; returns how long after the last one had left something still went on, in seconds."""
    clients = [RawClient(service.base_url).post(SPEAK, speech, part=part) for part in (0.0, 0.5)]
    clients += [RawClient(service.base_url).post(SPEAK, speech) for _ in range(7)]
    # Three have heard a sentence, one several; four never listen, and the last leaves before anything was said.
    for least_bytes, client in zip((1, 1, 1, 40_000), clients[2:6], strict=True):
        client.receive(least_bytes)
    last = RawClient(service.base_url).post(SPEAK, speech)
    for number, client in enumerate([*clients[1:], last]):
        client.hang_up(reset=number % 2 == 0)
    clients[0].hang_up()
    return settle(service)


def assert_nothing_stays(
    service: ServiceProcess, temporary: Path, leave: Callable[[], float], serve: Callable[[], object]
) -> None:
    """Let clients leave, round after round, and compare what the service holds before and after."""

    def memory_after_leaving() -> float:
        idle_after_s.append(leave())
        time.sleep(0.3)
        return service.memory_mb()

    idle_after_s: list[float] = []
    warm_mb = max(memory_after_leaving() for _ in range(WARM_UP))
    serve()
    before, lying_about = Holdings.of(service), list(temporary.iterdir())
    later_mb = max(memory_after_leaving() for _ in range(ROUNDS))
    most_sockets = before.sockets + SPARE_SOCKETS
    wait_until(lambda: service.open_files() == before.files and service.open_sockets() <= most_sockets, 5)
    worked_s = service.cpu_s()
    time.sleep(1)
    worked_s = service.cpu_s() - worked_s
    serve()
    after = Holdings.of(service)
    print(f"idle after {max(idle_after_s):.1f} s at most; then {worked_s:.2f} s of processor time in a second")
    print(f"memory {warm_mb:.0f} -> {later_mb:.0f} MB, threads {before.threads} -> {after.threads}")
    print(f"files {len(before.files)} -> {len(after.files)}, sockets {before.sockets} -> {after.sockets}")
    assert max(idle_after_s) < STEP_S
    assert worked_s < 0.1
    assert after.files == before.files
    assert after.sockets <= most_sockets
    assert after.threads <= before.threads + POOLED_THREADS
    assert list(temporary.iterdir()) == lying_about
    assert later_mb - warm_mb < GROWTH_MB
    assert "Traceback" not in service.log


def test_clients_that_leave_speech_to_text_leave_nothing_behind(
    lone_asr: ServiceProcess, temporary: Path, speech_wav: bytes, speech_dir: Path
) -> None:
    long = wav_bytes(np.tile(decode(speech_wav), 8))
    fox = upload_form((speech_dir / "en" / "quick_brown_fox.wav").read_bytes())

    def serve() -> None:
        status, body = RawClient(lone_asr.base_url).post(TRANSCRIBE, fox).answer()
        assert status == 200
        assert "fox" in json.loads(body)["text"]

    assert_nothing_stays(lone_asr, temporary, lambda: leave_during_transcription(lone_asr, speech_wav, long), serve)


def test_clients_that_leave_text_to_speech_leave_nothing_behind(lone_tts: ServiceProcess, temporary: Path) -> None:
    def request(text: str) -> Form:
        return Form("application/json", json.dumps({"input": text, "voice": "alloy"}).encode())

    def serve() -> None:
        status, body = RawClient(lone_tts.base_url).post(SPEAK, request("Hello there.")).answer()
        assert status == 200
        assert len(body) > 1000

    speech = request("So it goes. " * 1000)
    assert_nothing_stays(lone_tts, temporary, lambda: leave_during_speech(lone_tts, speech), serve)


def test_a_window_on_which_the_engine_tries_again_and_again_is_abandoned_between_the_tries(
    asr: ServiceProcess, speech_dir: Path
) -> None:
    counting = decode((speech_dir / "en" / "counting.wav").read_bytes())
    # What repeats itself looks like a hallucination: all six temperatures are tried, half a minute in all.
    client = RawClient(asr.base_url).post(TRANSCRIBE, upload_form(wav_bytes(np.tile(counting, 20))))
    wait_until(lambda: asr.health()["active"] == 1)
    time.sleep(5)
    assert asr.health()["active"] == 1
    client.hang_up()
    idle_after_s = settle(asr)
    print(f"idle {idle_after_s:.1f} s after the client hung up")
    assert idle_after_s < ONE_TRY_S
