"""Whisper by openai-whisper (PyTorch)."""

import gc
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import Any

from voice_stack.asr.engine.base import (
    SAMPLE_RATE_HZ,
    AudioBlock,
    Capabilities,
    Hypothesis,
    Language,
    LiveWindow,
    Piece,
    Segment,
    TranscribeOptions,
    Word,
)
from voice_stack.asr.engine.doubts import is_doubtful
from voice_stack.asr.engine.tasks import WindowResult, WindowTask
from voice_stack.asr.engine.windowed import WindowedEngine, decode_in_turn
from voice_stack.core.errors import EngineError, ModelLoadError
from voice_stack.utils.language.whisper import LANGUAGE_NAMES
from voice_stack.utils.models.openai_whisper import find_checkpoint
from voice_stack.utils.steps import stop_if_abandoned

_FALLBACK_TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
_BEST_OF = 5
"""Samples to choose from above temperature 0, as openai-whisper's own command has it."""
_FRAMES_PER_S = 100
_SPECIAL_TOKEN = re.compile(r"<\|[^|]*\|>")


class WhisperEngine(WindowedEngine):
    """Decodes each window on its own with openai-whisper's sequential algorithm.

    A window is one step: its segments come together. What is abandoned ends at the decoder's next token.

    Args:
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``, which cannot time words.
        compute_type: ``float32``, ``float16`` (CUDA only), or ``auto``: float16 on CUDA, else float32.
    """

    name = "whisper"
    _half = False

    def load(self) -> None:
        try:
            import torch
            import whisper
        except ImportError as error:
            raise ModelLoadError(
                f"openai-whisper cannot be imported ({error}); install it with: pip install 'voice-stack[asr,whisper]'"
            ) from error
        device = _choose_device(torch, self._device)
        half = _choose_half(self._compute_type, device)
        path = find_checkpoint(self._name, self._store, allow_path=not self._named_by_client)
        try:
            model = whisper.load_model(str(path), device="cpu")
            # The library knows the heads that tell word times only for models that it downloads itself.
            if heads := getattr(whisper, "_ALIGNMENT_HEADS", {}).get(path.stem):
                with suppress(RuntimeError):  # another architecture under the same name
                    model.set_alignment_heads(heads)
            if device == "mps":
                model.alignment_heads = None  # a sparse tensor, which mps does not have
            self._model = model.to(device)
        except Exception as error:
            reason = next(iter(str(error).splitlines()), "") or type(error).__name__
            raise ModelLoadError(f"openai-whisper cannot load {path} on {device}: {reason}") from error
        self._model.decoder.register_forward_pre_hook(_before_each_token, with_kwargs=True)
        self._device = device
        self._half = half
        dims = self._model.dims
        multilingual = bool(self._model.is_multilingual)
        self._capabilities = Capabilities(
            languages=tuple(LANGUAGE_NAMES)[: self._model.num_languages] if multilingual else ("en",),
            # Turbo and the distilled models were trained without translation data: asked to translate, they
            # transcribe (openai/whisper, model card). A decoder with fewer layers than the encoder tells them.
            translate=multilingual and dims.n_text_layer == dims.n_audio_layer,
            word_timestamps=device != "mps",  # which has no float64 either
            detect_language=multilingual,
            live=True,
        )

    def unload(self) -> None:
        import torch

        self._model = None
        if self._device.startswith("cuda"):
            # Its modules refer to each other in circles, and what they hold on a GPU is free only when they are.
            gc.collect()
            torch.cuda.empty_cache()

    def _listen(self, blocks: Sequence[AudioBlock]) -> Sequence[Mapping[str, float]]:
        return [self._languages(samples) for samples in blocks]

    def _decode(self, tasks: Sequence[WindowTask]) -> Sequence[WindowResult]:
        return decode_in_turn(tasks, self._languages, self._decode_one)

    def _languages(self, samples: AudioBlock) -> Mapping[str, float]:
        if not self.capabilities.detect_language:
            return {"en": 1.0}
        import whisper

        stop_if_abandoned()
        with _translated():
            mel = whisper.log_mel_spectrogram(whisper.pad_or_trim(samples), self._model.dims.n_mels)
            _, probabilities = self._model.detect_language(mel.to(self._model.device))
        return {code: float(probability) for code, probability in probabilities.items()}

    def _hypothesize(self, windows: Sequence[LiveWindow]) -> Sequence[Hypothesis]:
        return [self._hypothesis(window) for window in windows]

    def _hypothesis(self, window: LiveWindow) -> Hypothesis:
        import torch
        import whisper

        language = window.options.language
        probability = 1.0
        stop_if_abandoned()
        with _translated(), torch.no_grad():
            mel = whisper.log_mel_spectrogram(whisper.pad_or_trim(window.samples), self._model.dims.n_mels)
            mel = mel.to(self._model.device, torch.float16 if self._half else torch.float32)
            encoded = self._model.encoder(mel[None])
            if language is None and self.capabilities.detect_language:
                _, (told,) = self._model.detect_language(encoded)
                language = max(told, key=told.__getitem__)
                probability = float(told[language])
            language = language or "en"
            written = self._write(window, encoded, language)
            pieces = self._pieces(window, mel, language, [*window.prefix, *written.tokens])
        return Hypothesis(
            tuple(pieces),
            Language(language, probability),
            float(written.avg_logprob),
            float(written.compression_ratio),
            float(written.no_speech_prob),
        )

    def _write(self, window: LiveWindow, encoded: Any, language: str) -> Any:  # noqa: ANN401 - PyTorch has no types
        """The library's ``DecodingResult`` for what follows the prefix."""
        import whisper

        for temperature in _FALLBACK_TEMPERATURES if window.final else (0.0,):
            options = whisper.DecodingOptions(
                language=language,
                prompt=_prompt(window.options),
                prefix=list(window.prefix) or None,
                temperature=temperature,
                beam_size=window.options.beam_size if window.final and not temperature else None,
                # After a prefix the text may be at its end, and the library would divide by the length of nothing.
                suppress_blank=not window.prefix,
                length_penalty=1.0 if window.prefix else None,
                without_timestamps=True,
                fp16=self._half,
            )
            (written,) = whisper.decode(self._model, encoded, options)
            if not is_doubtful(
                compression_ratio=written.compression_ratio,
                avg_logprob=written.avg_logprob,
                no_speech_prob=written.no_speech_prob,
            ):
                break
        return written

    def _pieces(
        self, window: LiveWindow, mel: Any, language: str, tokens: Sequence[int]  # noqa: ANN401 - as above
    ) -> Iterator[Piece]:
        from whisper.timing import find_alignment
        from whisper.tokenizer import get_tokenizer

        tokenizer = get_tokenizer(
            self._model.is_multilingual, num_languages=self._model.num_languages, language=language, task="transcribe"
        )
        tokens = [token for token in tokens if token < tokenizer.eot]
        spans: list[tuple[tuple[float, float], float]] = []
        if window.timed and tokens and self.capabilities.word_timestamps:
            frames = max(2, round(window.samples.size / SAMPLE_RATE_HZ * _FRAMES_PER_S))
            for word in find_alignment(self._model, tokenizer, tokens, mel, frames):
                spans += [((float(word.start), float(word.end)), float(word.probability))] * len(word.tokens)
        at = 0
        for text, spelled in zip(*tokenizer.split_tokens_on_unicode(tokens), strict=True):
            yield Piece(text, tuple(spelled), *(spans[at] if at < len(spans) else ()))
            at += len(spelled)

    def _decode_one(self, task: WindowTask) -> Iterator[Segment]:
        options = task.options
        with _translated():
            result = self._model.transcribe(
                task.samples,
                task=options.task,
                language=options.language,
                initial_prompt=_prompt(options),
                # What is left at the end of a window may be decoded again: words to expect are expected there too.
                carry_initial_prompt=options.hotwords is not None,
                condition_on_previous_text=False,
                beam_size=options.beam_size,
                best_of=_BEST_OF,
                temperature=(
                    _FALLBACK_TEMPERATURES if task.fall_back and not options.temperature else options.temperature
                ),
                word_timestamps=options.word_timestamps and self.capabilities.word_timestamps,
                fp16=self._half,
                verbose=None,
            )
        for segment in result["segments"]:
            if segment["text"].strip():
                yield _segment(segment)


def _segment(segment: Mapping[str, Any]) -> Segment:
    return Segment(
        start_s=float(segment["start"]),
        end_s=float(segment["end"]),
        text=segment["text"],
        tokens=tuple(segment["tokens"]),
        avg_logprob=float(segment["avg_logprob"]),
        compression_ratio=float(segment["compression_ratio"]),
        no_speech_prob=float(segment["no_speech_prob"]),
        temperature=float(segment["temperature"]),
        seek=segment["seek"],
        words=tuple(
            Word(float(word["start"]), float(word["end"]), word["word"], float(word["probability"]))
            for word in segment.get("words", ())
        ),
    )


def _prompt(options: TranscribeOptions) -> str | None:
    said = " ".join(part for part in (options.hotwords, options.prompt) if part)
    # Its tokenizer refuses text that spells a special token.
    return _SPECIAL_TOKEN.sub(" ", said).strip() or None


def _before_each_token(_decoder: object, _args: object, kwargs: Mapping[str, object]) -> None:
    # Without a cache it is timing words, and ended there the library would leave its hooks on the model.
    if kwargs.get("kv_cache") is not None:
        stop_if_abandoned()


@contextmanager
def _translated() -> Iterator[None]:
    with warnings.catch_warnings():
        # It warns of what was asked for (words of a translation, a CPU beside an unused GPU), and leaves a file open.
        warnings.simplefilter("ignore")
        try:
            yield
        except (RuntimeError, ValueError) as error:
            raise EngineError(f"openai-whisper failed: {error}") from error


def _choose_device(torch: ModuleType, wanted: str) -> str:
    kind, _, index = wanted.partition(":")
    if kind == "auto":
        kind = "cuda" if torch.cuda.is_available() else "cpu"
    if kind == "mps" and not torch.backends.mps.is_available():
        raise ModelLoadError("PyTorch cannot use mps on this machine; set ASR_DEVICE to cpu or auto.")
    if kind != "cuda":
        return kind
    if int(index or 0) >= torch.cuda.device_count():
        raise ModelLoadError(
            f"PyTorch sees {torch.cuda.device_count()} CUDA devices, so there is no {wanted}; set ASR_DEVICE to cpu "
            "or auto, or install a build of PyTorch for CUDA."
        )
    return f"cuda:{index or 0}"


def _choose_half(compute_type: str, device: str) -> bool:
    cuda = device.startswith("cuda")
    if compute_type not in ({"auto", "float32", "float16"} if cuda else {"auto", "float32"}):
        raise ModelLoadError(
            f"openai-whisper cannot compute in {compute_type} on {device}; set ASR_COMPUTE_TYPE to auto, float32 or, "
            "on CUDA, float16."
        )
    return cuda and compute_type != "float32"
