"""What the services make of damaged media files that arrive over HTTP: each must be answered with 200 or 400.

The files are those of ``benchmarks.fuzz_audio``, half a second each, so that decoding is most of the work. Three in
four go to speech to text, the others to text to speech, as recordings of a consent, which are deleted again.
"""

import argparse
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
from tests.support.serving import ServiceProcess, service_process
from tests.utils.audio.mutations import KINDS, make, mutated

TRANSCRIBE = "/v1/audio/transcriptions"
CONSENTS = "/v1/audio/voice_consents"
ANSWERS = {200, 400}
LIMIT_S = 60.0
WARM_UP_FILES = 500
SNAPSHOT_S = 10.0


@dataclass(frozen=True)
class Answer:
    """What became of one file."""

    seed: int
    kind: str
    service: str
    result: str
    wall_s: float
    allowed: bool


class Sender:
    """Sends files to both services."""

    def __init__(self, services: dict[str, ServiceProcess]) -> None:
        self._originals = {kind: make(kind) for kind in KINDS}
        self._clients = {
            name: httpx.Client(base_url=service.base_url, timeout=LIMIT_S) for name, service in services.items()
        }

    def send(self, seed: int) -> Answer:
        """Send the file of a number; no answer is an outcome too."""
        kind, data = mutated(seed, self._originals)
        name = "tts" if seed % 4 == 0 else "asr"
        client = self._clients[name]
        started_at = time.perf_counter()
        try:
            if name == "asr":
                answer = client.post(TRANSCRIBE, files={"file": ("a", data)})
            else:
                form = {"name": "fuzz", "language": "en-US"}
                answer = client.post(CONSENTS, files={"recording": ("a", data, "audio/wav")}, data=form)
                if answer.status_code == 200:
                    client.delete(f"{CONSENTS}/{answer.json()['id']}").raise_for_status()
        except httpx.TransportError as error:
            return Answer(seed, kind, name, f"NO ANSWER: {error!r}", time.perf_counter() - started_at, allowed=False)
        wall_s = time.perf_counter() - started_at
        code = "" if answer.is_success else f" {answer.json()['error']['code']}"
        message = "" if answer.is_success else answer.json()["error"]["message"]
        if "made the decoder" in message:
            code += f" ({message.split(':')[0]})"
        return Answer(seed, kind, name, f"{answer.status_code}{code}", wall_s, answer.status_code in ANSWERS)


def memory_mb(pid: int) -> float:
    """What a process and those below it hold, what they share counted once."""
    return sum(_pss_kb(each) for each in processes(pid)) / 1024


def processes(pid: int) -> list[int]:
    """A process and all that descend from it."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = [pid]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found


def _pss_kb(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def describe(name: str, service: ServiceProcess) -> str:
    """How a service stands."""
    return (
        f"{name}: {service.memory_mb():.0f} MB resident, {memory_mb(service.process.pid):.0f} MB with its decoders, "
        f"{len(processes(service.process.pid)) - 1} processes below it, {service.open_sockets()} sockets, "
        f"{service.threads()} threads"
    )


def main() -> None:
    """Send the files and print what became of them; the exit status is 1 where something must not have happened."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=20_000, help="how many (default: 20000)")
    parser.add_argument("--first", type=int, default=100_000, help="number of the first file (default: 100000)")
    parser.add_argument("--jobs", type=int, default=4, help="connections (default: 4)")
    parser.add_argument("--model-dir", type=Path, default=Path(".cache/models"), help="default: .cache/models")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        services = {name: stack.enter_context(_service(name, folder, arguments.model_dir)) for name in ("asr", "tts")}
        sender = Sender(services)
        seeds = iter(range(arguments.first, arguments.first + arguments.files))
        answers: list[Answer] = []
        with ThreadPoolExecutor(arguments.jobs) as pool:
            answers += pool.map(sender.send, islice(seeds, WARM_UP_FILES))
            for name, service in services.items():
                print(f"after {len(answers)} files, {describe(name, service)}", flush=True)
            for answer in _sent(pool, sender, seeds):
                answers.append(answer)
                if len(answers) % 1000 == 0:
                    print(f"{len(answers)} files", flush=True)
        bad = report(answers)
        # By then every decoder that waited for another file has ended.
        time.sleep(SNAPSHOT_S + 1)
        for name, service in services.items():
            print(f"at the end, {describe(name, service)}; active: {service.health().get('active')}")
            bad += service.process.poll() is not None
            bad += service.log.count("unexpected error") + service.log.count("Traceback")
        left = [path for name in services for path in (folder / name / "tmp").iterdir()]
        kept = [path for path in (folder / "tts" / "voices").rglob("*") if path.is_file()]
        print(f"files left in TMPDIR: {len(left)}; left beside the voices: {len(kept)} {kept[:3]}")
    raise SystemExit(bool(bad or left or kept))


def _service(name: str, folder: Path, model_dir: Path) -> AbstractContextManager[ServiceProcess]:
    own = folder / name
    (own / "tmp").mkdir(parents=True)
    env = {"MODEL_DIR": str(model_dir.absolute()), "TMPDIR": str(own / "tmp"), "LOG_LEVEL": "WARNING"}
    env |= {"ASR_MODEL": "tiny.en", "TTS_ENGINE": "piper", "TTS_VOICE_DIR": str(own / "voices")}
    return service_process(name, own, env=env)


def _sent(pool: ThreadPoolExecutor, sender: Sender, seeds: Iterator[int]) -> Iterator[Answer]:
    while batch := list(islice(seeds, 100)):
        yield from pool.map(sender.send, batch)


def report(answers: list[Answer]) -> int:
    """Print the figures; return how many files were answered as none may be."""
    for (service, result), count in Counter((answer.service, answer.result) for answer in answers).most_common():
        print(f"{count:6d}  {service} {result}")
    bad = [answer for answer in answers if not answer.allowed]
    for answer in bad[:50]:
        print(f"file {answer.seed} ({answer.kind}) to {answer.service}: {answer.result}")
    slowest = sorted(answers, key=lambda answer: answer.wall_s)[-3:]
    told = ", ".join(f"{each.wall_s:.2f} s (file {each.seed}, {each.kind}, {each.service})" for each in slowest)
    print(f"neither 200 nor 400: {len(bad)}; slowest: {told}")
    return len(bad)


if __name__ == "__main__":
    main()
