"""What batches gain: seconds of audio a second by the size of the batch, for films' windows and for short clips.

One call of the model after the other, with everything that belongs to it: log-mel frames, encoder, beam search. Each
size is measured in turn with the others, run after run; the ratio is to a batch of one.
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
from tests.support.speech import decode, load_samples

from voice_stack.asr.engine.base import SAMPLE_RATE_HZ, AudioBlock, TranscribeOptions
from voice_stack.asr.engine.batched import BatchDecoder, fitted_s
from voice_stack.asr.engine.tasks import WindowTask
from voice_stack.asr.engine_factory import create_engine
from voice_stack.core.settings import Settings

ROOT = Path(__file__).parents[1]
SIZES = (1, 2, 4, 8, 16, 32, 64)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--model", default="base")
    parser.add_argument("--model-dir", type=Path, default=ROOT / ".cache" / "models")
    parser.add_argument("--speech", type=Path, default=ROOT / ".cache" / "speech", help="scripts/fetch_test_speech.py")
    parser.add_argument("--runs", type=int, default=5, help="(default: 5)")
    parser.add_argument("--most", type=int, default=SIZES[-1], help="largest batch")
    args = parser.parse_args()
    settings = Settings(
        _env_file=None, asr_model=args.model, asr_device=args.device, model_dir=args.model_dir, hf_hub_offline=True
    )
    engine = create_engine(settings)
    engine.load()
    decoder = engine._decoder  # type: ignore[attr-defined]  # noqa: SLF001 - what is measured
    assert isinstance(decoder, BatchDecoder)
    clips = [decode(sample.path.read_bytes()) for sample in load_samples(args.speech) if sample.language == "en"]
    sizes = [size for size in SIZES if size <= args.most]
    print(f"{args.model} on {engine.device}, medians of {args.runs} runs")
    for name, pieces in (("windows of 28 s", _windows(clips)), ("clips of 3 s", [clips[0]])):
        options = TranscribeOptions(language="en", segment_times=False)
        tasks = [WindowTask(piece, options, fitted_s(piece.size / SAMPLE_RATE_HZ)) for piece in pieces]
        audio_s = pieces[0].size / SAMPLE_RATE_HZ
        speeds: dict[int, list[float]] = {size: [] for size in sizes}
        for run in range(args.runs + 1):
            for size in sizes:
                batch = [tasks[number % len(tasks)] for number in range(size)]
                started_at = time.perf_counter()
                decoder.decode(batch)
                if run:  # the first warms up
                    speeds[size].append(size * audio_s / (time.perf_counter() - started_at))
        alone = statistics.median(speeds[1])
        print(f"{name}\n  batch   seconds of audio a second   against one at a time")
        for size in sizes:
            speed = statistics.median(speeds[size])
            print(f"  {size:5}   {speed:26.1f}   {speed / alone:21.2f}", flush=True)


def _windows(clips: list[AudioBlock]) -> list[AudioBlock]:
    """Windows full of different speech."""
    length = 28 * SAMPLE_RATE_HZ
    rng = np.random.default_rng(5)
    windows = []
    for _ in range(8):
        parts = [clips[number] for number in rng.integers(0, len(clips), 40)]
        windows.append(np.concatenate(parts)[:length])
    return windows


if __name__ == "__main__":
    main()
