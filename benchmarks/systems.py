"""What the services are compared with, each in a process of its own, which ``reference.Reference`` starts.

Requests come on standard input and answers leave on standard output, one JSON object a line.
"""

import json
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.machine import usable_cores


class System(ABC):
    """One thing to compare with; built when the process starts."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config

    @abstractmethod
    def work(self, request: dict[str, Any]) -> str:
        """Do what is asked; gives the text that was heard, or nothing."""


class FasterWhisper(System):
    """``WhisperModel.transcribe`` with a beam of 5, or ``BatchedInferencePipeline`` where a batch size is asked for."""

    def __init__(self, config: dict[str, Any]) -> None:
        from faster_whisper import BatchedInferencePipeline, WhisperModel

        from voice_stack.utils.models.store import ModelStore

        super().__init__(config)
        folder = ModelStore(Path(config["model_dir"]), offline=True).find_whisper(config["model"], allow_path=True)
        device, _, index = config["device"].partition(":")
        self._model = WhisperModel(
            str(folder),
            device=device,
            device_index=int(index or 0),
            compute_type=config["compute_type"],
            cpu_threads=usable_cores(),
            local_files_only=True,
        )
        self._batched = BatchedInferencePipeline(self._model)

    def work(self, request: dict[str, Any]) -> str:
        options = {"language": request.get("language"), "beam_size": 5}
        texts = []
        for path in request["paths"]:
            if batch := request.get("batch"):
                segments, _ = self._batched.transcribe(path, batch_size=batch, **options)
            else:
                segments, _ = self._model.transcribe(path, **options)
            texts.append("".join(segment.text for segment in segments))
        return "".join(texts)


class OwnEngine(System):
    """The service's engine without the service: what HTTP, the queue and JSON add shows in the difference."""

    def __init__(self, config: dict[str, Any]) -> None:
        from voice_stack.asr.engine_factory import create_engine
        from voice_stack.core.memory import return_freed_memory
        from voice_stack.core.settings import load_settings

        super().__init__(config)
        return_freed_memory()
        self._settings = load_settings(None)
        self._engine = create_engine(self._settings)
        self._engine.load()

    def work(self, request: dict[str, Any]) -> str:
        return "".join(text for path in request["paths"] for text in self._texts(Path(path), request.get("language")))

    def _texts(self, path: Path, language: str | None) -> Iterator[str]:
        from voice_stack.asr.engine.base import Segment, TranscribeOptions
        from voice_stack.asr.requests import resolve_options
        from voice_stack.utils.audio.decode import decode_audio

        options = resolve_options(TranscribeOptions(language=language), self._engine, self._settings)
        with path.open("rb") as upload:
            for step in self._engine.transcribe(decode_audio(upload), options):
                if isinstance(step, Segment):
                    yield step.text


class OpenAiWhisper(System):
    """``whisper.transcribe`` with a beam of 5, on PyTorch."""

    def __init__(self, config: dict[str, Any]) -> None:
        import torch
        import whisper

        super().__init__(config)
        torch.set_num_threads(usable_cores())
        self._model = whisper.load_model(config["checkpoint"], device=config["device"])
        self._half = config["device"].startswith("cuda")

    def work(self, request: dict[str, Any]) -> str:
        from tests.support.speech import decode

        texts = []
        for path in request["paths"]:
            audio = decode(Path(path).read_bytes())
            heard = self._model.transcribe(audio, language=request.get("language"), beam_size=5, fp16=self._half)
            texts.append(str(heard["text"]))
        return "".join(texts)


class PiperLoop(System):
    """Piper's own loop: ``PiperVoice.synthesize`` for each text."""

    def __init__(self, config: dict[str, Any]) -> None:
        from piper import PiperVoice

        from voice_stack.utils.models.store import ModelStore

        super().__init__(config)
        files = ModelStore(Path(config["model_dir"]), offline=True).find_piper_voices(Path(config["voice_dir"]))[0]
        cuda = config["device"].startswith("cuda")
        self._voice = PiperVoice.load(files.model_path, files.config_path, use_cuda=cuda)

    def work(self, request: dict[str, Any]) -> str:
        for text in request["texts"]:
            for _ in self._voice.synthesize(text):
                pass
        return ""


SYSTEMS: dict[str, type[System]] = {
    "faster-whisper": FasterWhisper,
    "engine": OwnEngine,
    "openai-whisper": OpenAiWhisper,
    "piper": PiperLoop,
}


def main() -> None:
    """Build the system that the arguments name, then answer requests until standard input ends."""
    answers = sys.stdout
    # What libraries print must not come between the answers.
    sys.stdout = sys.stderr
    system = SYSTEMS[sys.argv[1]](json.loads(sys.argv[2]))
    print("{}", file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        started_at = time.perf_counter()
        text = system.work(request)
        print(json.dumps({"seconds": time.perf_counter() - started_at, "text": text}), file=answers, flush=True)


if __name__ == "__main__":
    main()
