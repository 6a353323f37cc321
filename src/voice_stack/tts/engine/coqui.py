"""Coqui XTTS-v2: speaks 17 languages with the voice of a few seconds' sample. coqui-tts and PyTorch are optional.

The weights are under a licence that forbids commercial use (utils/models/coqui.py asks for its acceptance).
"""

import gc
import hashlib
import importlib
import io
import logging
import secrets
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from voice_stack.core.errors import (
    DeviceLostError,
    EngineError,
    InvalidRequestError,
    ModelLoadError,
    VoiceNotFoundError,
    VoiceStackError,
    quoted,
)
from voice_stack.tts.engine.base import ANY_LANGUAGE, AudioChunk, Capabilities, SynthesisOptions, TtsEngine, Voice
from voice_stack.utils.models.coqui import find_xtts
from voice_stack.utils.models.store import ModelStore
from voice_stack.utils.steps import stop_if_abandoned

if TYPE_CHECKING:
    from voice_stack.tts.engine.xtts_gpt import Sampling
    from voice_stack.tts.engine.xtts_speakers import Speaker, SpeakerCache

_logger = logging.getLogger(__name__)

LANGUAGES = ("en", "es", "fr", "de", "it", "pt", "pl", "tr", "ru", "nl", "cs", "ar", "zh", "ja", "hu", "ko", "hi")

FIRST_LATENTS, MOST_LATENTS = 8, 48
"""Latents (46 ms each) of an utterance's first piece, and the most of any: each has twice those of the one before."""

_SPEAKERS_FOLDER = "xtts-speakers"
_PROBE_BYTES = 2**20


class CoquiEngine(TtsEngine):
    """Speaks with an XTTS-v2 checkpoint.

    Each utterance has its own cache, random numbers and vocoder state: whatever happens to one, no other can tell.

    Args:
        model: coqui's model name, or the folder of a checkpoint.
        licence_accepted: whether the operator has accepted the weights' licence.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
    """

    name = "coqui"
    capabilities = Capabilities(cloning=True, languages=LANGUAGES)

    def __init__(self, model: str, store: ModelStore, *, licence_accepted: bool = False, device: str = "auto") -> None:
        self._name = model
        self._store = store
        self._licence_accepted = licence_accepted
        self._device = device
        self._model: Any = None
        self._sampling: Sampling | None = None
        self._speakers: SpeakerCache | None = None
        self._voices: list[Voice] = []

    @property
    def model(self) -> str:
        # A path tells clients nothing, and more than they should know.
        return self._name if self._name.startswith("tts_models/") else Path(self._name).name

    @property
    def device(self) -> str:
        return self._device

    def load(self) -> None:
        try:
            import torch

            with _quiet():
                # Both complain of how coqui-tts uses them, which is not for us to mend.
                importlib.import_module("transformers").logging.set_verbosity_error()
                importlib.import_module("TTS.tts.models.xtts")
        except ImportError as error:
            raise ModelLoadError(
                f"coqui-tts cannot be imported ({error}); install it with: pip install 'voice-stack[xtts]'"
            ) from error
        from voice_stack.tts.engine.xtts_gpt import Sampling
        from voice_stack.tts.engine.xtts_speakers import SpeakerCache

        folder = find_xtts(self._name, self._store, licence_accepted=self._licence_accepted)
        self._device = _choose_device(torch, self._device)
        self._model = _load(folder, self._device)
        config = self._model.config
        self._sampling = Sampling(
            float(config.temperature), float(config.repetition_penalty), int(config.top_k), float(config.top_p)
        )
        self._speakers = SpeakerCache(self._model, _fingerprint(folder), self._store.model_dir / _SPEAKERS_FOLDER)
        built_in = self._model.speaker_manager.speakers if self._model.speaker_manager else {}
        self._voices = [Voice(name, name, ANY_LANGUAGE) for name in built_in]

    def unload(self) -> None:
        import torch

        self._model = self._speakers = None
        if self._device.startswith("cuda"):
            # Its modules refer to each other in circles, and what they hold on a GPU is free only when they are.
            gc.collect()
            torch.cuda.empty_cache()

    def voices(self) -> Sequence[Voice]:
        return self._voices

    def max_chars(self, language: str) -> int | None:
        limits: dict[str, int] = self._model.tokenizer.char_limits
        return limits.get(_primary(language))

    def synthesize(self, text: str, options: SynthesisOptions) -> Iterator[AudioChunk]:
        language = self._language(options)
        seed = secrets.randbits(63) if options.seed is None else options.seed
        with _translated():
            speaker = self._speaker(options.voice)
        for number, part in enumerate(self._parts(text, language)):
            yield from self._say(part, speaker, seed + number)

    def _say(self, text_tokens: Sequence[int], speaker: "Speaker", seed: int) -> Iterator[AudioChunk]:
        import torch

        from voice_stack.tts.engine.xtts_gpt import stream_latents
        from voice_stack.tts.engine.xtts_vocoder import StreamingVocoder

        assert self._sampling is not None  # noqa: S101 - set by load
        rate_hz = int(self._model.hifigan_decoder.output_sample_rate)
        with _translated():
            tokens = torch.tensor([text_tokens], dtype=torch.int32, device=self._model.device)
            latents = stream_latents(self._model.gpt, speaker.conditioning, tokens, self._sampling, seed)
            vocoder = StreamingVocoder(self._model.hifigan_decoder, speaker.embedding)
        waiting: list[Any] = []
        size = FIRST_LATENTS
        while True:
            stop_if_abandoned()
            with _translated():
                latent = next(latents, None)
                last = latent is None
                if latent is not None:
                    waiting.append(latent)
                samples = np.zeros(0, np.float32)
                if last or len(waiting) >= size:
                    samples = vocoder.process(waiting, last=last)
                    waiting, size = [], min(2 * size, MOST_LATENTS)
            if samples.size or len(waiting) % FIRST_LATENTS == 0:
                yield AudioChunk(samples, rate_hz)
            if last:
                return

    def _parts(self, text: str, language: str) -> Iterator[Sequence[int]]:
        """The tokens of a text, in parts where it has more than the model takes."""
        with _translated():
            tokens: list[int] = self._model.tokenizer.encode(text.strip().lower(), lang=language)
        if len(tokens) < self._model.args.gpt_max_text_tokens - 2:
            yield tokens
            return
        middle = len(text) // 2
        space = text.rfind(" ", 1, middle)
        cut = space if space > 0 else middle
        yield from self._parts(text[:cut], language)
        yield from self._parts(text[cut:], language)

    def _speaker(self, voice: Voice) -> "Speaker":
        from voice_stack.tts.engine.xtts_speakers import Speaker

        if voice.samples:
            assert self._speakers is not None  # noqa: S101 - set by load
            try:
                return self._speakers.speaker(voice.samples)
            except FileNotFoundError as error:
                raise VoiceNotFoundError(
                    f"The voice {quoted(voice.id)} is not here any more.", param="voice"
                ) from error
        built_in = self._model.speaker_manager.speakers[voice.id]
        conditioning = built_in["gpt_cond_latent"].to(self._model.device)
        return Speaker(conditioning, built_in["speaker_embedding"].to(self._model.device))

    def _language(self, options: SynthesisOptions) -> str:
        wanted = options.language or options.voice.language
        language = "en" if wanted == ANY_LANGUAGE else _primary(wanted)
        if language not in LANGUAGES:
            raise InvalidRequestError(
                f"XTTS does not speak {quoted(wanted)}; it speaks: {', '.join(LANGUAGES)}.",
                param="language",
                code="unsupported_language",
            )
        return language


def _load(folder: Path, device: str) -> Any:  # noqa: ANN401 - coqui's Xtts; coqui-tts has no types
    from TTS.tts.configs.xtts_config import XttsConfig
    from TTS.tts.models.xtts import Xtts

    try:
        with _quiet():
            config = XttsConfig()
            config.load_json(str(folder / "config.json"))
            model = Xtts(config)
            model.load_checkpoint(config, checkpoint_dir=str(folder), eval=True)
            return model.to(device)
    except Exception as error:
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise ModelLoadError(f"coqui-tts cannot load {folder} on {device}: {reason}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """coqui-tts and what it imports warn of their own affairs, and one of them prints."""
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except VoiceStackError:
        raise
    except Exception as error:
        raise _translate(error) from error


def _translate(error: Exception) -> VoiceStackError:
    import torch

    reason = next(iter(str(error).splitlines()), "") or type(error).__name__
    if isinstance(error, torch.OutOfMemoryError):
        torch.cuda.empty_cache()
        return EngineError("XTTS ran out of GPU memory on this text; try again, or send it in shorter parts.")
    # After any other error of CUDA's no call of this process succeeds again.
    lost: tuple[type[BaseException], ...] = (getattr(torch, "AcceleratorError", RuntimeError),)
    if isinstance(error, lost) and "CUDA" in str(error):
        return DeviceLostError(f"The GPU failed: {reason}")
    if isinstance(error, RuntimeError) and any(mark in str(error) for mark in ("CUDA error", "CUBLAS_", "CUDNN_")):
        return DeviceLostError(f"The GPU failed: {reason}")
    return EngineError(f"XTTS failed on this text: {reason}")


def _choose_device(torch: Any, wanted: str) -> str:  # noqa: ANN401 - a module
    kind = wanted.partition(":")[0]
    if kind == "cuda" and not torch.cuda.is_available():
        raise ModelLoadError("TTS_DEVICE is cuda, and PyTorch sees no CUDA device; set it to cpu or auto.")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise ModelLoadError("TTS_DEVICE is mps, which this machine does not have; set it to cpu or auto.")
    if kind == "auto":
        return "cuda:0" if torch.cuda.is_available() else "cpu"
    return "cuda:0" if wanted == "cuda" else wanted


def _fingerprint(folder: Path) -> str:
    """Tells checkpoints apart without reading gigabytes: the configuration, and the weights' size and two ends."""
    digest = hashlib.sha256((folder / "config.json").read_bytes())
    with (folder / "model.pth").open("rb") as weights:
        size = weights.seek(0, io.SEEK_END)
        digest.update(str(size).encode())
        for start in (0, max(0, size - _PROBE_BYTES)):
            weights.seek(start)
            digest.update(weights.read(_PROBE_BYTES))
    return digest.hexdigest()


def _primary(language: str) -> str:
    return language.lower().partition("-")[0]
