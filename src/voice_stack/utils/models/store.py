"""The model store: from a model's name to its files, fetched or put together when they are not there yet."""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from voice_stack.core.errors import ModelLoadError, ModelNotFoundError, VoiceStackError
from voice_stack.utils.models import hub, piper, whisper
from voice_stack.utils.models.embedded import EMBEDDED_MODELS, INSTALL_COMMAND, ModelKind, find_parts
from voice_stack.utils.models.piper import (
    PIPER_FOLDER,
    PIPER_REPOSITORY,
    PiperVoiceFiles,
    find_voices,
    is_hub_voice,
)
from voice_stack.utils.models.placement import is_joined, joined_folder, model_dir_unusable, place
from voice_stack.utils.models.whisper import (
    COMPLETE,
    REPOSITORIES,
    RESERVED_FOLDERS,
    check_name,
    display_name,
    existing_path,
    folder_names,
    is_whisper_folder,
    printable,
    repository,
    short_names,
)

logger = logging.getLogger(__name__)

ModelSource = Literal["voice_dir", "model_dir", "embedded", "hub_cache"]

_DOWNLOADS_FOLDER = ".downloads"


@dataclass(frozen=True)
class ModelInfo:
    """A model on this machine."""

    name: str
    kind: ModelKind
    source: ModelSource
    path: Path  # a folder (whisper) or the .onnx file (piper)
    size_bytes: int


class ModelStore:
    """Finds models in ``MODEL_DIR``, embedded packages and the hub's cache, and fetches them from the hub.

    Every method blocks; :meth:`find_whisper` and :meth:`pull` for as long as a download takes. All are safe
    in several threads and processes at once. ``model_dir`` need not exist: it is made when something goes in.

    Args:
        model_dir: the setting ``MODEL_DIR``.
        offline: never ask the hub (``HF_HUB_OFFLINE``).
        hub_cache: where the hub's client caches; None for what its environment variables say.
    """

    def __init__(self, model_dir: Path, *, offline: bool, hub_cache: Path | None = None) -> None:
        self.model_dir = model_dir
        self.offline = offline
        self.hub_cache = hub_cache or hub.cache_folder()

    def find_whisper(
        self, name: str, *, download: bool = True, progress: bool = True, allow_path: bool = False
    ) -> Path:
        """The folder (or the file, where ``name`` is its path) of a Whisper model.

        Looked for as a path, in ``MODEL_DIR``, in the embedded packages, in the hub's cache, then on the hub,
        from where it goes into ``MODEL_DIR``.

        Args:
            name: ``base``, ``owner/name`` on the hub, or a path.
            download: whether the hub may be asked.
            progress: whether a download shows a bar on stderr.
            allow_path: whether ``name`` may be a path. Only for names that the operator gave: a client
                could look around on the disk with it.

        Raises:
            ModelNotFoundError: the model is not here, and may not or cannot be downloaded.
            ModelLoadError: it should be here but cannot be used, or its download failed.
        """
        if allow_path and (path := existing_path(name)):
            return path
        check_name(name)
        if found := self._find_local(name):
            return found.path
        if snapshot := self._find_cached(name):
            return snapshot
        if repository(name) is None or not download or self.offline:
            raise self._not_found(name)
        return self._download_whisper(name, progress=progress)

    def find_piper_voices(self, voice_dir: Path) -> list[PiperVoiceFiles]:
        """The Piper voices of ``voice_dir``, ``MODEL_DIR/piper`` and the embedded packages, in this order.

        A voice found twice counts once, the first. Broken ones are skipped with a warning in the log.
        """
        voices: dict[str, PiperVoiceFiles] = {}
        for folder in (voice_dir, self.model_dir / PIPER_FOLDER):
            for voice in find_voices(folder):
                voices.setdefault(voice.voice_id, voice)
        for model in EMBEDDED_MODELS:
            if model.kind != "piper" or model.name in voices:
                continue
            try:
                placed = place(model, self.model_dir)
            except VoiceStackError as error:
                logger.warning("%s", error)
                continue
            if placed:
                onnx = placed / model.files[0].name
                voices[model.name] = PiperVoiceFiles(model.name, onnx, onnx.with_name(f"{onnx.name}.json"))
        return list(voices.values())

    def available(self) -> list[ModelInfo]:
        """The models on this machine, in the order in which they are looked for; a name appears once a kind.

        Quick enough for each request: folders are listed and nothing is hashed or imported.
        """
        models: dict[tuple[ModelKind, str], ModelInfo] = {}
        for listing in (self._list_model_dir, self._list_embedded, self._list_hub_cache):
            for model in listing():
                models.setdefault((model.kind, model.name), model)
        return list(models.values())

    def pull(self, name: str, *, progress: bool = True) -> ModelInfo:
        """Make a model usable without the hub: join an embedded one, or download into ``MODEL_DIR``.

        Args:
            name: a Whisper model (``small``, ``owner/name``) or a Piper voice (``en_US-lessac-medium``).
            progress: show a bar for each file on stderr.

        Raises:
            ModelNotFoundError: neither here nor on the hub knows the model, or the hub may not be asked.
            ModelLoadError: the download failed, or ``MODEL_DIR`` cannot be written.
        """
        if is_hub_voice(name):
            return self._find_local_voice(name) or self._download_voice(name, progress=progress)
        check_name(name)
        if found := self._find_local(name):
            return found
        if repository(name) is None:
            raise self._not_found(name)
        return _info(name, "whisper", "model_dir", self._download_whisper(name, progress=progress))

    def _find_local(self, name: str) -> ModelInfo | None:
        for folder_name in folder_names(name):
            folder = self.model_dir / folder_name
            if is_whisper_folder(folder):
                return _info(name, "whisper", "model_dir", folder)
        return self._place_embedded("whisper", {name, *short_names(repository(name))})

    def _find_cached(self, name: str) -> Path | None:
        repository_id = repository(name)
        return hub.cached_snapshot(repository_id, self.hub_cache) if repository_id else None

    def _find_local_voice(self, voice_id: str) -> ModelInfo | None:
        for voice in find_voices(self.model_dir / PIPER_FOLDER):
            if voice.voice_id == voice_id:
                return _info(voice_id, "piper", "model_dir", voice.model_path)
        return self._place_embedded("piper", {voice_id})

    def _place_embedded(self, kind: ModelKind, names: set[str]) -> ModelInfo | None:
        for model in EMBEDDED_MODELS:
            folder = place(model, self.model_dir) if model.kind == kind and model.name in names else None
            if folder:
                path = folder if kind == "whisper" else folder / model.files[0].name
                return _info(model.name, kind, "embedded", path)
        return None

    def _download_whisper(self, name: str, *, progress: bool) -> Path:
        repository_id = repository(name) or name
        final = self.model_dir / (display_name(repository_id) if "/" in name else name)

        with self._downloading(repository_id, name):
            # Another process may have brought it while this one waited.
            if found := self._find_local(name):
                return found.path
            if final.exists():
                raise ModelLoadError(
                    f"{final} holds no complete model and is in the way of a download: move or delete it."
                )
            staging = hub.download(
                repository_id, partial(whisper.hub_files, repository_id), self._downloads, progress=progress
            )
            final.parent.mkdir(parents=True, exist_ok=True)
            staging.rename(final)
        return final

    def _download_voice(self, voice_id: str, *, progress: bool) -> ModelInfo:
        final = self.model_dir / PIPER_FOLDER / f"{voice_id}.onnx"
        with self._downloading(PIPER_REPOSITORY, voice_id):
            if found := self._find_local_voice(voice_id):
                return found
            staging = hub.download(
                PIPER_REPOSITORY, partial(piper.hub_files, voice_id), self._downloads, progress=progress
            )
            final.parent.mkdir(parents=True, exist_ok=True)
            # The description first: a voice counts from the moment its .onnx is there.
            for suffix in (".json", ""):
                source = next(staging.rglob(f"{final.name}{suffix}"))
                source.replace(final.with_name(f"{final.name}{suffix}"))
        return _info(voice_id, "piper", "model_dir", final)

    @property
    def _downloads(self) -> Path:
        return self.model_dir / _DOWNLOADS_FOLDER

    @contextmanager
    def _downloading(self, repository_id: str, name: str) -> Iterator[None]:
        """Hold the repository's lock; when all went well, drop what downloads of it left behind."""
        if self.offline:
            raise hub.offline_error(name)
        prefix = hub.staging_prefix(repository_id)
        try:
            self._downloads.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self._downloads / f"{prefix}lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                logger.info("Waiting for another process that downloads %s", repository_id)
                lock.acquire()
            try:
                yield
                for entry in self._downloads.iterdir():
                    if entry.name.startswith(prefix) and entry.is_dir():
                        shutil.rmtree(entry, ignore_errors=True)
            finally:
                lock.release()
        except (OSError, NotImplementedError) as error:  # NotImplementedError: a file system without locks
            raise model_dir_unusable(self.model_dir, error) from error

    def _list_model_dir(self) -> Iterator[ModelInfo]:
        for folder in _folders(self.model_dir):
            if folder.name.casefold() in RESERVED_FOLDERS:
                continue
            if is_whisper_folder(folder):
                yield _info(folder.name, "whisper", "model_dir", folder)
                continue
            for inner in _folders(folder):
                if is_whisper_folder(inner):
                    yield _info(f"{folder.name}/{inner.name}", "whisper", "model_dir", inner)
        for voice in find_voices(self.model_dir / PIPER_FOLDER):
            yield _info(voice.voice_id, "piper", "model_dir", voice.model_path)

    def _list_embedded(self) -> Iterator[ModelInfo]:
        for model in EMBEDDED_MODELS:
            if model.in_pieces and is_joined(model, self.model_dir):
                yield _info(model.name, model.kind, "embedded", joined_folder(model, self.model_dir))
                continue
            try:
                found = find_parts(model)
            except VoiceStackError as error:
                logger.warning("%s", error)
                continue
            if found:
                weights = found[model.files[0].parts[0]]
                path = weights if model.kind == "piper" else weights.parent
                yield ModelInfo(model.name, model.kind, "embedded", path, model.size_bytes)

    def _list_hub_cache(self) -> Iterator[ModelInfo]:
        for name, snapshot in hub.cached_models(self.hub_cache):
            yield _info(name, "whisper", "hub_cache", snapshot)

    def _not_found(self, name: str) -> ModelNotFoundError:
        here = ", ".join(model.name for model in self.available() if model.kind == "whisper") or "none"
        if repository(name) is None:
            how = f"Names that can be downloaded: {', '.join(REPOSITORIES)}, or a hub id (owner/name)."
        elif self.offline:
            how = "HF_HUB_OFFLINE is set, so it is not downloaded."
        else:
            how = f"To download it: voice-stack models pull {name}"
        return ModelNotFoundError(
            f"There is no Whisper model {printable(name)} on this machine, which has: {here}. {how} "
            f"A folder of that name in MODEL_DIR counts if it holds {COMPLETE}. "
            f"base and tiny.en come as packages: {INSTALL_COMMAND}",
            param="model",
        )


def _info(name: str, kind: ModelKind, source: ModelSource, path: Path) -> ModelInfo:
    try:
        files = path.iterdir() if path.is_dir() else (path, path.with_name(f"{path.name}.json"))
        size_bytes = sum(file.stat().st_size for file in files if file.is_file())
    except OSError:  # deleted while it was listed
        size_bytes = 0
    return ModelInfo(name, kind, source, path, size_bytes)


def _folders(root: Path) -> list[Path]:
    try:
        return sorted(entry for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    except OSError:
        return []
