"""Whisper by faster-whisper (CTranslate2)."""

import os
from collections.abc import Iterator
from pathlib import Path

from voice_stack.asr.engine.base import AudioBlock, Capabilities, Segment, TranscribeOptions, Word
from voice_stack.asr.engine.windowed import WindowedEngine
from voice_stack.core.errors import EngineError, ModelLoadError
from voice_stack.utils.language.whisper import LANGUAGE_NAMES
from voice_stack.utils.models.whisper import REPOSITORIES
from voice_stack.utils.queue_manager import stop_if_abandoned

_FALLBACK_TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
_MAX_NEW_TOKENS = 220
"""Half of Whisper's context, as in openai-whisper, less room for the longest prompt: what repeats itself ends."""
_TURBO = ("turbo", "large-v3-turbo")


class FasterWhisperEngine(WindowedEngine):
    """Decodes each window on its own with faster-whisper's sequential algorithm.

    What was said before is not the context of a window: a repetition would go on from one to the next.

    Args:
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        compute_type: CTranslate2's name of the arithmetic, or ``auto``: int8 on a CPU, float16 on CUDA.
    """

    name = "faster-whisper"

    def load(self) -> None:
        try:
            import ctranslate2
            from faster_whisper import WhisperModel
        except ImportError as error:
            raise ModelLoadError(
                f"faster-whisper cannot be imported ({error}); install it with: pip install 'voice-stack[asr]'"
            ) from error
        folder = self._store.find_whisper(
            self._name,
            allow_path=not self._named_by_client,
            download=not self._named_by_client or self._name in REPOSITORIES,
        )
        kind, _, index = self._device.partition(":")
        if kind == "mps":
            raise ModelLoadError("faster-whisper cannot use mps; set ASR_DEVICE to cpu or auto.")
        if kind == "auto":
            kind = "cuda" if ctranslate2.get_cuda_device_count() > 0 else "cpu"
        compute_type = self._compute_type
        if compute_type == "auto":
            compute_type = "float16" if kind == "cuda" else "int8"
        try:
            self._model = WhisperModel(
                str(folder),
                device=kind,
                device_index=int(index or 0),
                compute_type=compute_type,
                cpu_threads=_usable_cores(),
                local_files_only=True,
            )
        except (RuntimeError, ValueError, OSError) as error:
            raise ModelLoadError(f"faster-whisper cannot load {folder} on {self._device}: {error}") from error
        # One window of 30 s may take many calls: one for each temperature that it falls back to.
        self._model.model = _Interruptible(self._model.model)
        self._device = f"cuda:{index or 0}" if kind == "cuda" else kind
        multilingual = bool(self._model.model.is_multilingual)
        self._capabilities = Capabilities(
            languages=tuple(LANGUAGE_NAMES) if multilingual else ("en",),
            translate=multilingual and not _is_turbo(self._name, folder),
            word_timestamps=True,
            detect_language=multilingual,
        )

    def _languages(self, samples: AudioBlock) -> dict[str, float]:
        if not self.capabilities.detect_language:
            return {"en": 1.0}
        try:
            _, _, probabilities = self._model.detect_language(samples)
        except (RuntimeError, ValueError) as error:
            raise EngineError(f"faster-whisper failed: {error}") from error
        return {code: float(probability) for code, probability in probabilities}

    def _decode(self, samples: AudioBlock, options: TranscribeOptions, *, fall_back: bool) -> Iterator[Segment]:
        try:
            segments, _ = self._model.transcribe(
                samples,
                task=options.task,
                language=options.language,
                initial_prompt=options.prompt,
                hotwords=options.hotwords,
                beam_size=options.beam_size,
                # Samples in a batch would each have their own copy of the audio for cross-attention: 37 MB with base.
                best_of=1,
                temperature=_FALLBACK_TEMPERATURES if fall_back and not options.temperature else options.temperature,
                word_timestamps=options.word_timestamps,
                max_new_tokens=_MAX_NEW_TOKENS,
                condition_on_previous_text=False,
                vad_filter=False,
            )
            for segment in segments:
                yield Segment(
                    start_s=float(segment.start),
                    end_s=float(segment.end),
                    text=segment.text,
                    tokens=tuple(segment.tokens),
                    avg_logprob=float(segment.avg_logprob),
                    compression_ratio=float(segment.compression_ratio),
                    no_speech_prob=float(segment.no_speech_prob),
                    temperature=float(segment.temperature or 0.0),
                    seek=segment.seek,
                    words=tuple(
                        Word(float(word.start), float(word.end), word.word, float(word.probability))
                        for word in segment.words or ()
                    ),
                )
        except (RuntimeError, ValueError) as error:
            raise EngineError(f"faster-whisper failed: {error}") from error


class _Interruptible:
    """CTranslate2's model, but a call for a request that was abandoned ends it instead."""

    def __init__(self, model: object) -> None:
        self._model = model

    def __getattr__(self, name: str) -> object:
        stop_if_abandoned()
        return getattr(self._model, name)


def _usable_cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1


def _is_turbo(name: str, folder: Path) -> bool:
    # Turbo was trained without translation data: asked to translate, it transcribes (openai/whisper, model card).
    return any(turbo in part.lower() for turbo in _TURBO for part in (name, folder.name))
