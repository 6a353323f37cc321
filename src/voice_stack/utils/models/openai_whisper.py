"""Whisper models in openai-whisper's format: one ``.pt`` file each."""

import importlib
import logging
import shutil
import warnings
from pathlib import Path
from types import ModuleType

from filelock import FileLock

from voice_stack.core.errors import ModelLoadError, ModelNotFoundError
from voice_stack.utils.models.placement import model_dir_unusable
from voice_stack.utils.models.store import ModelStore
from voice_stack.utils.models.whisper import check_name, printable

logger = logging.getLogger(__name__)

# As openai-whisper names the files of models that have two names.
_FILES = {"large": "large-v3", "turbo": "large-v3-turbo"}


def find_checkpoint(name: str, store: ModelStore, *, allow_path: bool = True) -> Path:
    """The file of a model: an existing path, ``MODEL_DIR/<name>.pt``, or downloaded to there by openai-whisper.

    Args:
        name: a model such as ``base``, or a path: it ends in ``.pt`` or begins as paths do.
        allow_path: whether it may be a path. Only for names that the operator gave: a client could look around on
            the disk with it.
        store: says what ``MODEL_DIR`` is and whether a download is allowed.

    Raises:
        ModelNotFoundError: the model is not here, and may not or cannot be downloaded.
        ModelLoadError: its download failed, or ``MODEL_DIR`` cannot be written.
    """
    if allow_path and (name.endswith(".pt") or name.startswith(("/", "./", "../", "~"))):
        return _existing_file(name)
    check_name(name)
    for stem in (name, _FILES.get(name, name)):
        if (checkpoint := store.model_dir / f"{stem}.pt").is_file():
            return checkpoint
    # Imported late: it takes seconds, and brings PyTorch along.
    client = importlib.import_module("whisper")
    if name not in client.available_models() or store.offline:
        raise _not_found(name, store, client.available_models())
    return _download(client, name, store.model_dir)


def _existing_file(name: str) -> Path:
    try:
        path = Path(name).expanduser()
        if path.is_file():
            return path
        what = "is a folder" if path.is_dir() else "does not exist"
    except (OSError, RuntimeError, ValueError) as error:  # too long, no such home, a NUL
        what = f"cannot be a path ({getattr(error, 'strerror', None) or 'no such path'})"
    raise ModelNotFoundError(f"{printable(name)} {what}; openai-whisper needs the path of a .pt file.", param="model")


def _download(client: ModuleType, name: str, model_dir: Path) -> Path:
    file_name = f"{_FILES.get(name, name)}.pt"
    final = model_dir / file_name
    staging = model_dir / ".downloads" / f"openai-whisper-{file_name}"
    try:
        staging.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(staging.with_name(f".{staging.name}.lock")):
            # Another process may have brought it while this one waited.
            if final.is_file():
                return final
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir()
            try:
                logger.info("Downloading %s with openai-whisper to %s", name, final)
                _fetch(client, name, staging)
                (staging / file_name).replace(final)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
    except (OSError, NotImplementedError) as error:  # NotImplementedError: a file system without locks
        raise model_dir_unusable(model_dir, error) from error
    return final


def _fetch(client: ModuleType, name: str, folder: Path) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it leaves a file open
            # Loading is the library's only public way to download; it compares the checksum.
            client.load_model(name, device="cpu", download_root=str(folder))
    except Exception as error:
        raise ModelLoadError(
            f"openai-whisper could not download {name!r}: {error}. Check the network and the proxy settings and try "
            "again, or copy the .pt file into MODEL_DIR."
        ) from error


def _not_found(name: str, store: ModelStore, downloadable: list[str]) -> ModelNotFoundError:
    here = ", ".join(path.stem for path in sorted(store.model_dir.glob("*.pt"))) or "none"
    if name not in downloadable:
        how = f"Names that can be downloaded: {', '.join(downloadable)}."
    else:
        how = "HF_HUB_OFFLINE is set, so it is not downloaded."
    return ModelNotFoundError(
        f"There is no {name}.pt in MODEL_DIR ({store.model_dir}), which has: {here}. {how} openai-whisper reads its "
        "own format only; the models that come as packages are for ASR_ENGINE=faster-whisper.",
        param="model",
    )
