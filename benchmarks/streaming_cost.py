"""What streaming costs with XTTS: upstream's vocoding against ours, and how far ours is from decoding at once.

Upstream decodes all latents so far for each chunk of 20; we decode what is new, with some context. Both take the same
latents, of utterances of 2 to 20 seconds, with the full-size decoder (and, asked for by --gpt, the full-size GPT of 30
layers) and random weights: the time does not depend on the weights' values. Needs coqui-tts.
"""

# ruff: noqa: SLF001 - the parts of the engine are what is measured

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tests.support.xtts_checkpoint import make_xtts_checkpoint

from voice_stack.tts.engine.base import SynthesisOptions
from voice_stack.tts.engine.coqui import FIRST_LATENTS, MOST_LATENTS, CoquiEngine
from voice_stack.tts.engine.xtts_gpt import Sampling, stream_latents
from voice_stack.tts.engine.xtts_vocoder import StreamingVocoder
from voice_stack.utils.models.store import ModelStore

LATENT_S = 1024 / 22_050
UPSTREAM_CHUNK = 20
DURATIONS_S = (2, 5, 10, 20)


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--runs", type=int, default=3, help="pairs for each duration (default: 3); 0: the engine as a whole only"
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--gpt", action="store_true", help="the GPT has its full size, too: 1.9 GB, and minutes")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        size = (
            {"layers": 30, "channels": 1024, "heads": 16} if args.gpt else {"layers": 2, "channels": 1024, "heads": 16}
        )
        checkpoint = make_xtts_checkpoint(Path(folder) / "xtts", stop_bias=-100.0, **size)
        engine = CoquiEngine(str(checkpoint), ModelStore(Path(folder), offline=True), device=args.device)
        engine.load()
        print(f"{engine.device}, {torch.get_num_threads()} threads, GPT of {size['layers']} layers of 1024\n")
        if args.runs:
            _vocoder(engine, args.runs)
        _whole_engine(engine)


def _vocoder(engine: CoquiEngine, runs: int) -> None:
    decoder = engine._model.hifigan_decoder
    embedding = engine._speaker(engine.voices()[0]).embedding
    print("| speech | at once | upstream's stream | ours | upstream / ours | ours per second of speech | error |")
    print("|---|---|---|---|---|---|---|")
    per_second = []
    # The first run of a process pays for what later ones find prepared.
    _ours(decoder, torch.randn(60, 1024, device=engine.device), embedding)
    for duration_s in DURATIONS_S:
        count = round(duration_s / LATENT_S)
        latents = torch.randn(
            count, 1024, device=engine.device, generator=torch.Generator(engine.device).manual_seed(1)
        )
        at_once, upstream, ours = [], [], []
        for _ in range(runs):
            taken_s, whole = _timed(lambda: _at_once(decoder, latents, embedding))  # noqa: B023 - called at once
            at_once.append(taken_s)
            upstream.append(_timed(lambda: _upstream(decoder, latents, embedding))[0])  # noqa: B023
            taken_s, streamed = _timed(lambda: _ours(decoder, latents, embedding))  # noqa: B023
            ours.append(taken_s)
        error_db = 20 * np.log10(np.linalg.norm(streamed - whole) / np.linalg.norm(whole))
        medians = [statistics.median(times) for times in (at_once, upstream, ours)]
        per_second.append(medians[2] / (count * LATENT_S))
        ratio = statistics.median(a / b for a, b in zip(upstream, ours, strict=True))
        cells = [f"{duration_s} s", *(f"{taken:.2f} s" for taken in medians), f"{ratio:.1f}"]
        print(f"| {' | '.join(cells)} | {per_second[-1]:.3f} s | {error_db:.0f} dB |")
    print(f"\nours, per second of speech, highest / lowest: {max(per_second) / min(per_second):.2f}\n")


def _timed(work: Callable[[], NDArray[np.float32]]) -> tuple[float, NDArray[np.float32]]:
    started_at = time.perf_counter()
    made = work()
    return time.perf_counter() - started_at, made


def _at_once(decoder: torch.nn.Module, latents: torch.Tensor, embedding: torch.Tensor) -> NDArray[np.float32]:
    with torch.inference_mode():
        waveform: NDArray[np.float32] = decoder(latents[None], g=embedding)[0, 0].cpu().numpy()
    return waveform


def _upstream(decoder: torch.nn.Module, latents: torch.Tensor, embedding: torch.Tensor) -> NDArray[np.float32]:
    """The decoding of ``Xtts.inference_stream``: all that there is, after each chunk and at the end."""
    ends = [*range(UPSTREAM_CHUNK, len(latents), UPSTREAM_CHUNK), len(latents)]
    return [_at_once(decoder, latents[:end], embedding) for end in ends][-1]


def _ours(decoder: torch.nn.Module, latents: torch.Tensor, embedding: torch.Tensor) -> NDArray[np.float32]:
    vocoder = StreamingVocoder(decoder, embedding)
    pieces, start, size = [], 0, FIRST_LATENTS
    while start < len(latents):
        part = latents[start : start + size]
        start += size
        size = min(2 * size, MOST_LATENTS)
        pieces.append(vocoder.process([latent[None] for latent in part], last=start >= len(latents)))
    return np.concatenate(pieces)


def _whole_engine(engine: CoquiEngine) -> None:
    """GPT and vocoder together: when the first sound is there, and what a second of speech costs on the way."""
    options = SynthesisOptions(engine.voices()[0], "en", seed=1)
    started_at = time.perf_counter()
    first_s = made_s = 0.0
    marks: dict[int, tuple[float, float]] = {}
    for chunk in engine.synthesize("hello there my friend", options):
        made_s += chunk.samples.size / chunk.sample_rate_hz
        elapsed_s = time.perf_counter() - started_at
        if made_s and not first_s:
            first_s = elapsed_s
        for duration_s in DURATIONS_S:
            if made_s >= duration_s:
                marks.setdefault(duration_s, (elapsed_s, made_s))
        if made_s >= DURATIONS_S[-1]:
            break
    conditioning = engine._speaker(engine.voices()[0]).conditioning
    tokens = torch.tensor([engine._model.tokenizer.encode("hello there my friend", lang="en")])
    started_at = time.perf_counter()
    for number, _ in enumerate(
        stream_latents(engine._model.gpt, conditioning, tokens.to(engine.device), Sampling(0.75, 5.0, 50, 0.85), 1)
    ):
        if number == FIRST_LATENTS - 1:
            break
    print(
        f"GPT and vocoder together: first sound after {first_s:.2f} s, of which the GPT's first {FIRST_LATENTS} latents"
    )
    print(f"take {time.perf_counter() - started_at:.2f} s; upstream's first chunk needs {UPSTREAM_CHUNK}.")
    for elapsed_s, sound_s in marks.values():
        print(f"  {sound_s:5.1f} s of sound after {elapsed_s:6.2f} s: {elapsed_s / sound_s:.3f} s a second")


if __name__ == "__main__":
    main()
