"""XTTS checkpoints on disk: found by coqui's model name or as a folder, or fetched once the licence was accepted."""

import logging
import os
import re
import shutil
import sys
from pathlib import Path

from filelock import FileLock

from voice_stack.core.errors import ModelLoadError, ModelNotFoundError
from voice_stack.utils.models import hub
from voice_stack.utils.models.placement import model_dir_unusable
from voice_stack.utils.models.store import ModelStore
from voice_stack.utils.models.whisper import printable

logger = logging.getLogger(__name__)

XTTS_V2 = "tts_models/multilingual/multi-dataset/xtts_v2"
LICENCE_URL = "https://coqui.ai/cpml"

NEEDED = ("config.json", "model.pth", "vocab.json")
"""The files of a checkpoint; ``speakers_xtts.pth``, with the built-in speakers, may lack."""

_REPOSITORIES = {XTTS_V2: ("coqui/XTTS-v2", "tts-hub/XTTS-v2")}
"""Where coqui's model names are on the hub: the weights' own home, and that of the people who keep coqui-tts going."""

_COQUI_NAME = re.compile(r"tts_models/[\w-]+/[\w-]+/[\w.-]+")
_ACCEPTED = "tos_agreed.txt"
"""What coqui leaves beside weights whose licence was accepted."""
_WANTED = {*NEEDED, "speakers_xtts.pth", "LICENSE.txt"}


def find_xtts(name: str, store: ModelStore, *, licence_accepted: bool) -> Path:
    """The folder of an XTTS checkpoint.

    A coqui model name is looked for in ``MODEL_DIR``, in coqui's own folder (``TTS_HOME``) and in the hub's cache, then
    fetched into ``MODEL_DIR``. A folder that the operator names is taken as it is.

    Args:
        name: coqui's model name, or the path of a folder.
        licence_accepted: whether the operator has accepted the weights' licence (``COQUI_TOS_AGREED``).

    Raises:
        ModelNotFoundError: the model is not here, and may not or cannot be downloaded.
        ModelLoadError: the licence was not accepted, the download failed, or ``MODEL_DIR`` cannot be written.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        if lacking := _lacking(folder):
            raise ModelNotFoundError(
                f"TTS_MODEL is {name}, which lacks {', '.join(lacking)}: it is no XTTS checkpoint."
            )
        return folder
    if not _COQUI_NAME.fullmatch(name):
        raise ModelNotFoundError(
            f"TTS_MODEL is {printable(name)}: there is no such folder, and coqui's model names look like {XTTS_V2}."
        )
    if name not in _REPOSITORIES:
        raise ModelNotFoundError(
            f"TTS_MODEL is {name}, which is no XTTS-v2; use {XTTS_V2} or the folder of an XTTS checkpoint."
        )
    found = next((place for place in _places(name, store) if not _lacking(place)), None)
    if not licence_accepted and not (found and (found / _ACCEPTED).is_file()):
        raise ModelLoadError(
            f"The XTTS-v2 weights are under the Coqui Public Model License, which forbids commercial use. Read it "
            f"({LICENCE_URL}) and, if you agree, set COQUI_TOS_AGREED=1."
        )
    return found or _download(name, store)


def _lacking(folder: Path) -> list[str]:
    return [file for file in NEEDED if not (folder / file).is_file()]


def _folder_name(name: str) -> str:
    return name.replace("/", "--")


def _places(name: str, store: ModelStore) -> list[Path]:
    places = [store.model_dir / _folder_name(name), _coqui_home() / _folder_name(name)]
    for repository in _REPOSITORIES[name]:
        snapshots = store.hub_cache / ("models--" + repository.replace("/", "--")) / "snapshots"
        places += sorted(snapshots.iterdir()) if snapshots.is_dir() else []
    return places


def _coqui_home() -> Path:
    """Where coqui-tts keeps its models, by its own environment variables."""
    default = "~/Library/Application Support" if sys.platform == "darwin" else "~/.local/share"
    home = os.environ.get("TTS_HOME") or os.environ.get("XDG_DATA_HOME") or default
    return Path(home).expanduser() / "tts"


def _download(name: str, store: ModelStore) -> Path:
    if store.offline:
        raise hub.offline_error(name)
    final = store.model_dir / _folder_name(name)
    repository = _REPOSITORIES[name][0]
    downloads = store.model_dir / ".downloads"
    try:
        downloads.mkdir(parents=True, exist_ok=True)
        with FileLock(downloads / f"{hub.staging_prefix(repository)}lock"):
            # Another process may have brought it while this one waited.
            if not _lacking(final):
                return final
            logger.info("Downloading %s (1.9 GB) to %s", name, final)
            staging = hub.download(repository, lambda files: files & _WANTED, downloads, progress=True)
            (staging / _ACCEPTED).write_text("Accepted by COQUI_TOS_AGREED.\n", encoding="utf-8")
            shutil.rmtree(final, ignore_errors=True)
            staging.rename(final)
    except (OSError, NotImplementedError) as error:  # NotImplementedError: a file system without locks
        raise model_dir_unusable(store.model_dir, error) from error
    return final
