"""Both services answer at once while they work on something long."""

import http.client
import json
import math
import statistics
import threading
import time
from dataclasses import dataclass

import numpy as np
import pytest

from tests.support.raw_http import Form, RawClient, upload_form
from tests.support.sentences import SENTENCES
from tests.support.serving import ServiceProcess, wait_until
from tests.support.speech import Sample, decode, wav_bytes

REQUESTS = 200
SLOWEST_MS = 250.0
PAUSE_S = 0.08
"""200 requests then last for the 16 s in which ten minutes are decoded, searched for speech and half transcribed."""


@dataclass(frozen=True)
class Answers:
    """What a service answered to ``/healthz``."""

    statuses: list[int]
    times_ms: list[float]
    active: list[int]


def ask_for_health(service: ServiceProcess) -> Answers:
    """One request after the other, on one connection."""
    answers = Answers([], [], [])
    connection = http.client.HTTPConnection(service.base_url.removeprefix("http://"), timeout=30)
    for _ in range(REQUESTS):
        asked_at = time.perf_counter()
        connection.request("GET", "/healthz")
        response = connection.getresponse()
        body = json.loads(response.read())
        answers.times_ms.append(1000 * (time.perf_counter() - asked_at))
        answers.statuses.append(response.status)
        answers.active.append(body["active"])
        time.sleep(PAUSE_S)
    connection.close()
    return answers


@pytest.fixture(scope="module")
def ten_minutes(samples: list[Sample]) -> bytes:
    """The recordings over and over, as a WAV of 16 kHz."""
    once = np.concatenate([decode(sample.path.read_bytes()) for sample in samples])
    length = 600 * 16_000
    return wav_bytes(np.tile(once, math.ceil(length / len(once)))[:length])


def test_health_is_answered_at_once_during_long_jobs(
    asr: ServiceProcess, tts: ServiceProcess, ten_minutes: bytes
) -> None:
    text = " ".join(SENTENCES * 60)
    listener, speaker = RawClient(asr.base_url), RawClient(tts.base_url)
    answers: dict[str, Answers] = {}
    spoken = 0
    stopped = threading.Event()

    def read_speech() -> None:
        nonlocal spoken
        while not stopped.is_set():
            spoken += speaker.receive(1)

    def ask(service: ServiceProcess, name: str) -> None:
        answers[name] = ask_for_health(service)

    speech = Form("application/json", json.dumps({"input": text, "voice": "alloy", "response_format": "pcm"}).encode())
    speaker.post("/v1/audio/speech", speech)
    reader = threading.Thread(target=read_speech)
    askers = [threading.Thread(target=ask, args=arguments) for arguments in ((asr, "asr"), (tts, "tts"))]
    for thread in (reader, *askers):
        thread.start()
    listener.post("/v1/audio/transcriptions", upload_form(ten_minutes))
    for asker in askers:
        asker.join()
    working = {service: service.health() for service in (asr, tts)}
    stopped.set()
    reader.join()
    hung_up_at = time.monotonic()
    listener.hang_up()
    speaker.hang_up()

    for name, given in answers.items():
        ordered = sorted(given.times_ms)
        print(
            f"{name}: {len(ordered)} answers, median {statistics.median(ordered):.1f} ms, "
            f"p99 {ordered[round(0.99 * len(ordered)) - 1]:.1f} ms, max {ordered[-1]:.1f} ms"
        )
    print(f"spoken meanwhile: {spoken / 48_000:.0f} s")
    assert [health["active"] for health in working.values()] == [1, 1], "a job was too short to be a load"
    for service in working:
        wait_until(lambda service=service: service.health()["active"] == 0, 150)
        print(f"{service.health()['service']}: idle {time.monotonic() - hung_up_at:.1f} s after the client hung up")
    for given in answers.values():
        assert set(given.statuses) == {200}
        assert max(given.times_ms) < SLOWEST_MS
        assert statistics.mean(given.active) > 0.9
    assert spoken > 0
