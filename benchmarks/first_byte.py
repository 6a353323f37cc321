"""Time to the first byte of a speech request over HTTP, against the engine's own time for its first chunk.

Both are taken in turn, so that a change in the machine's speed touches both. The engine is measured in this process,
with the voice, the text and the threads of the service; a rest between lets ONNX Runtime's threads, which spin for a
while after a run, leave the processor to the other process.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import httpx
from tests.support.sentences import SENTENCES
from tests.support.serving import service_process

from voice_stack.core.settings import Settings
from voice_stack.tts.engine.base import SynthesisOptions
from voice_stack.tts.engine_factory import create_engine
from voice_stack.utils.text import split_text

FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")
REST_S = 0.5
TEXT = " ".join(SENTENCES[:10])


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15, help="pairs for each format (default: 15)")
    runs: int = parser.parse_args().runs
    settings = Settings(_env_file=None, tts_engine="piper", hf_hub_offline=True)
    engine = create_engine(settings)
    engine.load()
    options = SynthesisOptions(engine.voices()[0])

    def engine_s() -> float:
        time.sleep(REST_S)
        started_at = time.perf_counter()
        next(engine.synthesize(next(split_text(TEXT, settings.tts_max_chars)).text, options))
        return time.perf_counter() - started_at

    with (
        tempfile.TemporaryDirectory() as folder,
        service_process("tts", Path(folder), env={"TTS_ENGINE": "piper"}) as service,
        httpx.Client(base_url=service.base_url, timeout=60) as client,
    ):

        def first_byte_s(audio_format: str) -> float:
            time.sleep(REST_S)
            body = {"model": "tts-1", "voice": "alloy", "input": TEXT, "response_format": audio_format}
            started_at = time.perf_counter()
            with client.stream("POST", "/v1/audio/speech", json=body) as answer:
                next(answer.iter_raw())
                taken = time.perf_counter() - started_at
            # The abandoned speech ends within a step: what it still does must not slow down the next measurement.
            while client.get("/healthz").json()["active"]:
                time.sleep(0.01)
            return taken

        for audio_format in FORMATS:
            engine_s(), first_byte_s(audio_format)
        print("format   engine ms   first byte ms   ratio (median of pairs)")
        for audio_format in FORMATS:
            pairs = [(engine_s(), first_byte_s(audio_format)) for _ in range(runs)]
            ratio = statistics.median(http / own for own, http in pairs)
            own_ms, http_ms = (1000 * statistics.median(column) for column in zip(*pairs, strict=True))
            print(f"{audio_format:6}   {own_ms:9.1f}   {http_ms:13.1f}   {ratio:.2f}")


if __name__ == "__main__":
    main()
