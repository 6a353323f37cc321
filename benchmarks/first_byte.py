"""What the service adds to the engine's own time: until the first byte, and for the whole of a speech request.

The first byte over HTTP is set against the engine's first chunk, the whole request against the engine's total for the
same chunks of text. The two of a pair are taken in turn, so that a change in the machine's speed touches both. The
engine is measured in this process, with the voice, the text and the threads of the service; a rest between lets ONNX
Runtime's threads, which spin for a while after a run, leave the processor to the other process.
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


MOST_FIRST, MOST_WHOLE = 1.15, 1.05
"""The ratios that the project holds itself to."""


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15, help="pairs for each format (default: 15)")
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=FORMATS, help="default: all")
    arguments = parser.parse_args()
    settings = Settings(_env_file=None, tts_engine="piper", hf_hub_offline=True)
    engine = create_engine(settings)
    engine.load()
    options = SynthesisOptions(engine.voices()[0])
    chunks = [chunk.text for chunk in split_text(TEXT, settings.tts_max_chars)]

    def engine_s() -> tuple[float, float]:
        time.sleep(REST_S)
        started_at = time.perf_counter()
        first_s = 0.0
        for text in chunks:
            for _ in engine.synthesize(text, options):
                first_s = first_s or time.perf_counter() - started_at
        return first_s, time.perf_counter() - started_at

    with (
        tempfile.TemporaryDirectory() as folder,
        service_process("tts", Path(folder), env={"TTS_ENGINE": "piper"}) as service,
        httpx.Client(base_url=service.base_url, timeout=60) as client,
    ):

        def request_s(audio_format: str) -> tuple[float, float]:
            time.sleep(REST_S)
            body = {"model": "tts-1", "voice": "alloy", "input": TEXT, "response_format": audio_format}
            started_at = time.perf_counter()
            with client.stream("POST", "/v1/audio/speech", json=body) as answer:
                pieces = answer.iter_raw()
                next(pieces)
                first_s = time.perf_counter() - started_at
                for _ in pieces:
                    pass
                return first_s, time.perf_counter() - started_at

        for audio_format in arguments.formats:
            engine_s(), request_s(audio_format)
        print("                first byte                   whole request")
        print("format   engine ms  HTTP ms  ratio   engine ms  HTTP ms  ratio   (medians; ratios of pairs)")
        for audio_format in arguments.formats:
            pairs = [(engine_s(), request_s(audio_format)) for _ in range(arguments.runs)]
            row = f"{audio_format:6}"
            for index in (0, 1):
                own_ms, http_ms = (
                    1000 * statistics.median(side[index] for side in sides) for sides in zip(*pairs, strict=True)
                )
                ratio = statistics.median(http[index] / own[index] for own, http in pairs)
                row += f"   {own_ms:9.1f}  {http_ms:7.1f}  {ratio:5.3f}"
            print(row, flush=True)
        print(f"wanted: first byte at most {MOST_FIRST}, whole request at most {MOST_WHOLE}")


if __name__ == "__main__":
    main()
