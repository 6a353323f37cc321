"""Whisper by faster-whisper (CTranslate2)."""

import logging
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from voice_stack.asr.engine.base import AudioBlock, Capabilities, Hypothesis, LiveWindow, Segment, Word
from voice_stack.asr.engine.batched import BatchDecoder, fitted_s
from voice_stack.asr.engine.hypotheses import HypothesisDecoder
from voice_stack.asr.engine.tasks import WHOLE_S, WindowResult, WindowTask
from voice_stack.asr.engine.windowed import WindowedEngine, decode_in_turn
from voice_stack.core.errors import EngineError, ModelLoadError
from voice_stack.utils.language.whisper import LANGUAGE_NAMES
from voice_stack.utils.models.store import ModelStore
from voice_stack.utils.models.whisper import REPOSITORIES
from voice_stack.utils.processors import usable_cores
from voice_stack.utils.steps import stop_if_abandoned

_logger = logging.getLogger(__name__)

_FALLBACK_TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
_TURBO = ("turbo", "large-v3-turbo")


_CPU_BATCH_S = 120.0
"""Seconds of windows in a batch: on a CPU larger ones gain nothing and take longer."""
_MOST_ON_CPU = 16
_MOST_ON_GPU = 32
_GPU_BATCH_BYTES = 4 * 10**9
"""Memory that a batch may take on a GPU. What the decoder keeps of a window is about a tenth of the model's file."""


class FasterWhisperEngine(WindowedEngine):
    """Decodes windows in batches, or each on its own with faster-whisper's sequential algorithm.

    What was said before is not the context of a window: a repetition would go on from one to the next.

    Args:
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        compute_type: CTranslate2's name of the arithmetic, or ``auto``: int8 on a CPU, float16 on CUDA.
        decode: ``batched``, or ``accurate`` for faster-whisper's own algorithm.
        sharers: processes that share the processors with this one, itself included.
    """

    name = "faster-whisper"

    def __init__(
        self,
        model: str,
        store: ModelStore,
        *,
        device: str = "auto",
        compute_type: str = "auto",
        named_by_client: bool = False,
        decode: Literal["batched", "accurate"] = "batched",
        sharers: int = 1,
    ) -> None:
        super().__init__(model, store, device=device, compute_type=compute_type, named_by_client=named_by_client)
        self._is_batched = decode == "batched"
        self._sharers = sharers
        self._decoder: BatchDecoder | None = None
        self._live: HypothesisDecoder | None = None
        self._lanes = 1
        self._model_bytes = 1

    @property
    def lanes(self) -> int:
        return self._lanes

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
        lanes, threads = _plan(kind, usable_cores(self._sharers))
        try:
            self._model = WhisperModel(
                str(folder),
                device=kind,
                device_index=int(index or 0),
                compute_type=compute_type,
                cpu_threads=threads,
                num_workers=lanes,
                local_files_only=True,
            )
        except (RuntimeError, ValueError, OSError) as error:
            raise ModelLoadError(f"faster-whisper cannot load {folder} on {self._device}: {error}") from error
        # One window of 30 s may take many calls: one for each temperature that it falls back to.
        self._model.model = _Interruptible(self._model.model)
        self._lanes = lanes
        self._model_bytes = max(1, (folder / "model.bin").stat().st_size)
        self._decoder = BatchDecoder(self._model, on_gpu=kind == "cuda")
        self._live = HypothesisDecoder(self._model, self._decoder, on_gpu=kind == "cuda")
        self._device = f"cuda:{index or 0}" if kind == "cuda" else kind
        multilingual = bool(self._model.model.is_multilingual)
        known = self._model.hf_tokenizer.token_to_id
        self._capabilities = Capabilities(
            languages=(
                tuple(code for code in LANGUAGE_NAMES if known(f"<|{code}|>") is not None) if multilingual else ("en",)
            ),
            translate=multilingual and not _is_turbo(self._name, folder),
            word_timestamps=True,
            detect_language=multilingual,
            live=True,
        )

    def unload(self) -> None:
        super().unload()
        self._decoder = self._live = None

    def _window_s(self, seconds: float) -> float:
        return fitted_s(seconds) if self._is_batched else WHOLE_S

    def _key(self, task: WindowTask) -> Hashable:
        return self._loaded().key(task) if self._is_batched else None

    def _most(self, task: WindowTask) -> int:
        if not self._is_batched:
            return 1
        if self._device == "cpu":
            return min(_MOST_ON_CPU, int(_CPU_BATCH_S / task.window_s))
        return min(_MOST_ON_GPU, max(4, 10 * _GPU_BATCH_BYTES // self._model_bytes))

    def _listen(self, blocks: Sequence[AudioBlock]) -> Sequence[Mapping[str, float]]:
        with _translated():
            return self._loaded().listen(blocks)

    def _decode(self, tasks: Sequence[WindowTask]) -> Sequence[WindowResult]:
        with _translated():
            if not self._is_batched:
                return decode_in_turn(tasks, lambda samples: self._listen([samples])[0], self._decode_one)
            try:
                return self._loaded().decode(tasks)
            except RuntimeError as error:
                if len(tasks) == 1 or "out of memory" not in str(error):
                    raise
                _logger.warning("%d windows are too much for the memory of %s: %s", len(tasks), self._device, error)
        half = len(tasks) // 2
        return [*self._decode(tasks[:half]), *self._decode(tasks[half:])]

    def _hypothesize(self, windows: Sequence[LiveWindow]) -> Sequence[Hypothesis]:
        with _translated():
            return self._loaded_live().decode(windows)

    def _live_key(self, window: LiveWindow) -> Hashable:
        return self._loaded_live().key(window)

    def _most_live(self, window: LiveWindow) -> int:
        # On a CPU a batch takes as long as its windows one after the other, and the first would wait for the last.
        return 1 if self._device == "cpu" else self._most(WindowTask(window.samples, window.options))

    def _loaded_live(self) -> HypothesisDecoder:
        if self._live is None:
            raise EngineError("The model is not loaded.")
        return self._live

    def _loaded(self) -> BatchDecoder:
        if self._decoder is None:
            raise EngineError("The model is not loaded.")
        return self._decoder

    def _decode_one(self, task: WindowTask) -> Iterator[Segment]:
        options = task.options
        expected, said = self._loaded().tokens_before(options)
        segments, _ = self._model.transcribe(
            task.samples,
            task=options.task,
            language=options.language,
            initial_prompt=said or None,
            hotwords=self._model.hf_tokenizer.decode(expected) or None,
            beam_size=options.beam_size,
            # Samples in a batch would each have their own copy of the audio for cross-attention: 37 MB with base.
            best_of=1,
            temperature=_FALLBACK_TEMPERATURES if task.fall_back and not options.temperature else options.temperature,
            word_timestamps=options.word_timestamps,
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


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (RuntimeError, ValueError) as error:
        raise EngineError(f"faster-whisper failed: {error}") from error


class _Interruptible:
    """CTranslate2's model, but a call for a request that was abandoned ends it instead."""

    def __init__(self, model: object) -> None:
        self._model = model

    def __getattr__(self, name: str) -> object:
        stop_if_abandoned()
        return getattr(self._model, name)


def _plan(kind: str, cores: int) -> tuple[int, int]:
    """How many calls of the model run at a time, and the threads of each."""
    if kind == "cuda":
        return 2, 0
    # A call gains little from a second thread: two calls with half of the cores each do more. One more is for what is
    # short and came while they were at it.
    at_once = 1 if cores < 2 else 2
    return at_once + 1, max(1, cores // at_once)


def _is_turbo(name: str, folder: Path) -> bool:
    # Turbo was trained without translation data: asked to translate, it transcribes (openai/whisper, model card).
    return any(turbo in part.lower() for turbo in _TURBO for part in (name, folder.name))
