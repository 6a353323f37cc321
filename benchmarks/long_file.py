"""Memory and first words of a long file: the service's peak above its idle state, and when the first delta leaves.

The file is the recorded English speech with silence between, repeated, as FLAC. The service is a process of its own;
memory is its resident set as the kernel counts it, peak included.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import av
import httpx
import numpy as np
from numpy.typing import NDArray
from tests.support.serving import service_process
from tests.support.speech import decode, load_samples

from voice_stack.utils.audio.pcm import float_to_int16

ROOT = Path(__file__).parents[1]
RATE_HZ = 16_000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=3.0)
    parser.add_argument("--model", default="base")
    parser.add_argument("--speech", type=float, default=0.5, help="how much of the file is speech (default: half)")
    parser.add_argument("--words", action="store_true", help="srt in place of a stream")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        film = folder / "film.flac"
        _repeat(film, args.hours * 3600, args.speech)
        with (
            service_process("asr", folder, env={"ASR_MODEL": args.model}) as service,
            httpx.Client(base_url=service.base_url, timeout=24 * 3600) as client,
            film.open("rb") as upload,
        ):
            process = Path(f"/proc/{service.process.pid}")
            idle_mb = _memory_mb(process, "VmRSS")
            form = {"model": "whisper-1", "language": "en"}
            form |= {"response_format": "srt"} if args.words else {"stream": "true"}
            started_at, first_s, deltas = time.perf_counter(), 0.0, 0
            with client.stream("POST", "/v1/audio/transcriptions", files={"file": upload}, data=form) as answer:
                for line in answer.iter_lines():
                    if line.startswith("data: ") and json.loads(line[6:])["type"] == "transcript.text.delta":
                        first_s = first_s or time.perf_counter() - started_at
                        deltas += 1
            total_s = time.perf_counter() - started_at
            peak_mb = _memory_mb(process, "VmHWM")
    print(
        f"{args.hours} h of speech with {args.model}: status {answer.status_code} in {total_s:.0f} s, {deltas} deltas"
    )
    if first_s:
        print(f"first delta after {first_s:.1f} s: {first_s / total_s:.2%} of the work")
    print(f"resident memory: idle {idle_mb:.0f} MB, peak {peak_mb:.0f} MB, difference {peak_mb - idle_mb:.0f} MB")


def _repeat(path: Path, seconds: float, speech: float) -> None:
    samples = [
        decode(sample.path.read_bytes())
        for sample in load_samples(ROOT / ".cache" / "speech")
        if sample.language == "en"
    ]
    spoken = float_to_int16(np.concatenate(samples))
    period = np.concatenate([spoken, np.zeros(round(spoken.size * (1 / speech - 1)), np.int16)])
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac", rate=RATE_HZ, layout="mono")
        written = 0
        while written < seconds * RATE_HZ:
            for packet in stream.encode(_frame(period)):
                container.mux(packet)
            written += period.size
        for packet in stream.encode(None):
            container.mux(packet)


def _frame(samples: NDArray[np.int16]) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
    frame.sample_rate = RATE_HZ
    return frame


def _memory_mb(process: Path, field: str) -> float:
    lines = (process / "status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:"))


if __name__ == "__main__":
    main()
