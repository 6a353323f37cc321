"""Speech of a text that is still being written: how late the first audio is, how soon a barge-in silences it, and
whether playback would ever have to wait.

Text goes in as a language model writes it, in tokens at 30 a second. Engine times are those of the same sentences in
this process; the two of a pair are taken in turn, with a rest between for ONNX Runtime's threads.
"""

import argparse
import itertools
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import httpx
from tests.support.sentences import SENTENCES
from tests.support.serving import ServiceProcess, service_process, wait_until
from tests.support.speech_stream import StreamClient, audio_of, speech_stream, tokens

from voice_stack.core.settings import Settings
from voice_stack.tts.engine.base import SynthesisOptions
from voice_stack.tts.engine_factory import create_engine

REST_S = 0.5
TOKENS_PER_S = 30
BYTES_PER_S = 48_000
CANCELLED = 100

MOST_FIRST = 1.2
"""First audio after the last piece of its sentence, in engine times of that sentence."""


class Engine:
    """Piper in this process."""

    def __init__(self) -> None:
        self._engine = create_engine(Settings(_env_file=None, tts_engine="piper", hf_hub_offline=True))
        self._engine.load()
        self._voice = self._engine.voices()[0]

    def times(self, text: str, *, early: bool = True) -> list[float]:
        """When each piece was there."""
        began_at = time.perf_counter()
        pieces = self._engine.synthesize(text, SynthesisOptions(self._voice, early=early))
        return [time.perf_counter() - began_at for _ in pieces]


def write(client: StreamClient, text: str, on_token: Callable[[str], None] = lambda _: None) -> None:
    """Send a text token by token, each at its time."""
    began_at = time.perf_counter()
    for number, token in enumerate(tokens(text)):
        time.sleep(max(0.0, began_at + number / TOKENS_PER_S - time.perf_counter()))
        client.write(token)
        on_token(token)


def first_audio_s(client: StreamClient, sentence: str) -> float:
    """From the last piece of the first sentence to its first audio, while the text goes on."""
    sent_at = 0.0

    def note(token: str) -> None:
        nonlocal sent_at
        if not sent_at and token[-1] in ".!?":
            sent_at = time.perf_counter()

    writing = threading.Thread(target=write, args=(client, f"{sentence} And here it goes on", note))
    writing.start()
    client.next("speech.audio.delta")
    heard_at = time.perf_counter()
    writing.join()
    client.send("speech.cancel")
    client.ended()
    return heard_at - sent_at


def show_first_audio(client: StreamClient, engine: Engine, runs: int) -> None:
    """Print how late the first audio is."""
    pairs = []
    for sentence in [SENTENCES[0], *itertools.islice(itertools.cycle(SENTENCES), runs)]:
        time.sleep(REST_S)
        own = engine.times(sentence)
        time.sleep(REST_S)
        pairs.append((first_audio_s(client, sentence), own[-1], own[0]))
    ours, whole, first = (statistics.median(side) for side in zip(*pairs[1:], strict=True))
    ratios = sorted(pair[0] / pair[1] for pair in pairs[1:])
    print(f"first audio after the sentence's last piece: {1000 * ours:.0f} ms")
    print(f"  the engine's first piece: {1000 * first:.0f} ms, its whole sentence: {1000 * whole:.0f} ms")
    print(
        f"  of the whole sentence, by pairs: median {statistics.median(ratios):.2f}, worst {ratios[-1]:.2f} "
        f"(wanted: at most {MOST_FIRST})"
    )


def show_barge_in(client: StreamClient, engine: Engine, runs: int) -> None:
    """Print how long speech goes on after a cancel."""
    text = " ".join(SENTENCES)
    steps = [after - before for sentence in SENTENCES for before, after in _steps(engine.times(sentence, early=False))]
    taken = []
    for _ in range(runs):
        client.say([text])
        client.next("speech.audio.delta")
        time.sleep(random.uniform(0, 0.5))
        began_at = time.perf_counter()
        client.send("speech.cancel")
        client.ended()
        taken.append(time.perf_counter() - began_at)
        time.sleep(REST_S)
    print(
        f"cancel until speech.cancelled: median {1000 * statistics.median(taken):.0f} ms, "
        f"worst {1000 * max(taken):.0f} ms; "
        f"a step of the engine: median {1000 * statistics.median(steps):.0f} ms, longest {1000 * max(steps):.0f} ms"
    )


def _steps(times: Sequence[float]) -> Iterator[tuple[float, float]]:
    return itertools.pairwise([0.0, *times])


def show_cancelled(service: ServiceProcess, client: StreamClient) -> None:
    """Print what cancelled utterances leave behind."""
    text = " ".join(SENTENCES)
    for turn in range(2):
        before = _held(service)
        for number in range(CANCELLED):
            client.write(*tokens(text)[: 30 + number])
            if number % 2:
                client.next("speech.audio.delta")
            client.send("speech.cancel")
            client.ended()
        wait_until(lambda: service.health()["active"] == 0)
        after = _held(service)
        print(f"{CANCELLED} cancelled utterances{' again' * turn}: {before} -> {after}")


def _held(service: ServiceProcess) -> str:
    for line in Path(f"/proc/{service.process.pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            memory_mb = int(line.split()[1]) / 1024
    return f"{service.threads()} threads, {memory_mb:.1f} MB RssAnon, {service.health()['active']} jobs"


def show_playback(service: ServiceProcess, client: StreamClient) -> None:
    """Print whether a listener would ever wait, and how the whole compares with one request."""
    text = " ".join(SENTENCES[:10])
    body = {"input": text, "response_format": "pcm"}
    began_at = time.perf_counter()
    whole = httpx.post(f"{service.base_url}/v1/audio/speech", json=body, timeout=60).content
    request_s = time.perf_counter() - began_at
    written_s = 0.0

    def say() -> None:
        nonlocal written_s
        write(client, text)
        client.send("input_text.commit")
        written_s = time.perf_counter() - began_at

    began_at = time.perf_counter()
    writing = threading.Thread(target=say)
    writing.start()
    heard_s, first_s, slack_s = 0.0, 0.0, float("inf")
    while (event := client.receive())["type"] != "speech.audio.done":
        if event["type"] == "speech.audio.delta":
            now = time.perf_counter() - began_at
            first_s = first_s or now
            if heard_s:
                slack_s = min(slack_s, first_s + heard_s - now)
            heard_s += len(audio_of([event])) / BYTES_PER_S
    total_s = time.perf_counter() - began_at
    writing.join()
    print(
        f"10 sentences at {TOKENS_PER_S} tokens a second: written in {written_s:.1f} s, "
        f"first audio at {first_s:.2f} s, "
        f"all of {heard_s:.1f} s of audio at {total_s:.1f} s; least audio ahead of playback: {slack_s:.2f} s "
        f"({'no gap' if slack_s > 0 else 'GAP'})"
    )
    print(f"  in one request: {len(whole) / BYTES_PER_S:.1f} s of audio, all at {request_s:.1f} s")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20, help="of each pair (default: 20)")
    arguments = parser.parse_args()
    engine = Engine()
    with (
        tempfile.TemporaryDirectory() as folder,
        service_process("tts", Path(folder), env={"TTS_ENGINE": "piper"}) as service,
        speech_stream(service.base_url) as client,
    ):
        show_first_audio(client, engine, arguments.runs)
        show_barge_in(client, engine, arguments.runs)
        show_cancelled(service, client)
        show_playback(service, client)


if __name__ == "__main__":
    main()
