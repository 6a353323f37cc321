"""What a realtime session holds on to: an hour of speech through one session, as fast as the service hears it.

The memory of the process (RssAnon) is read at several points. A session that kept its audio would grow by 230 MB an
hour, one that kept its text by far less: so the last point is compared with the one after the first tenth.
"""

import argparse
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from tests.support.realtime import TRANSCRIPTION, RealtimeClient, pcm, realtime
from tests.support.serving import ServiceProcess, service_process
from tests.support.speech import decode, load_samples

from benchmarks.material import MODEL_DIR, SPEECH

RATE_HZ = 16_000
PAUSE_S = 0.8


def main() -> None:
    """Run a session and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="tiny.en")
    parser.add_argument("--minutes", type=float, default=60, help="of speech (default: 60)")
    parser.add_argument("--points", type=int, default=10, help="at which the memory is read (default: 10)")
    args = parser.parse_args()
    env = {"MODEL_DIR": str(MODEL_DIR), "ASR_MODEL": args.model}
    with tempfile.TemporaryDirectory() as folder, service_process("asr", Path(folder), env=env) as service:
        with realtime(service.base_url, timeout_s=600) as client:
            client.configure(transcription={"language": "en"})
            _speak(service, client, minutes=args.minutes, points=args.points)
        time.sleep(1)
        print(f"after the session {rss_anon_mb(service):.1f} MB, {service.threads()} threads")


def _speak(service: ServiceProcess, client: RealtimeClient, *, minutes: float, points: int) -> None:
    clips = [decode(sample.path.read_bytes()) for sample in load_samples(SPEECH) if sample.language == "en"]
    pause = np.zeros(round(PAUSE_S * RATE_HZ), np.float32)
    round_of_speech = np.concatenate([part for clip in clips for part in (clip, pause)])
    data = pcm(round_of_speech)
    rounds = max(points, round(minutes * 60 * RATE_HZ / len(round_of_speech)))
    ended = threading.Event()
    completed: list[str] = []

    def read() -> None:
        while not ended.is_set():
            event = client.receive()
            if event["type"] == f"{TRANSCRIPTION}.completed":
                completed.append(event["transcript"])
            elif event["type"] == "input_audio_buffer.cleared":
                ended.set()

    reading = threading.Thread(target=read)
    reading.start()
    began_at = time.monotonic()
    print(f"before {rss_anon_mb(service):.1f} MB, {service.threads()} threads")
    print("minutes of audio   seconds   utterances   RssAnon MB")
    for number in range(1, rounds + 1):
        client.append(data)
        if number % (rounds // points) == 0:
            spoken = number * len(round_of_speech) / RATE_HZ / 60
            took_s = time.monotonic() - began_at
            print(f"{spoken:16.1f}   {took_s:7.0f}   {len(completed):10}   {rss_anon_mb(service):10.1f}", flush=True)
    client.send("input_audio_buffer.clear")
    reading.join()
    print(f"{len(completed)} utterances of {rounds * len(clips)}; the last: {completed[-1]!r}")


def rss_anon_mb(service: ServiceProcess) -> float:
    """The memory of the process that is no file's."""
    for line in Path(f"/proc/{service.process.pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no RssAnon")


if __name__ == "__main__":
    main()
