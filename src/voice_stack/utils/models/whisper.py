"""Whisper models in CTranslate2's format: the names they go by, and the files that make one."""

import re
import unicodedata
from pathlib import Path

from voice_stack.core.errors import ModelNotFoundError

# CTranslate2 conversions on the Hugging Face hub. Where two names share one, the first is the one shown.
REPOSITORIES = {
    "tiny": "Systran/faster-whisper-tiny",
    "tiny.en": "Systran/faster-whisper-tiny.en",
    "base": "Systran/faster-whisper-base",
    "base.en": "Systran/faster-whisper-base.en",
    "small": "Systran/faster-whisper-small",
    "small.en": "Systran/faster-whisper-small.en",
    "medium": "Systran/faster-whisper-medium",
    "medium.en": "Systran/faster-whisper-medium.en",
    "large-v1": "Systran/faster-whisper-large-v1",
    "large-v2": "Systran/faster-whisper-large-v2",
    "large-v3": "Systran/faster-whisper-large-v3",
    "large": "Systran/faster-whisper-large-v3",
    "turbo": "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
    "large-v3-turbo": "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
    "distil-small.en": "Systran/faster-distil-whisper-small.en",
    "distil-medium.en": "Systran/faster-distil-whisper-medium.en",
    "distil-large-v2": "Systran/faster-distil-whisper-large-v2",
    "distil-large-v3": "Systran/faster-distil-whisper-large-v3",
    "distil-large-v3.5": "distil-whisper/distil-large-v3.5-ct2",
}

COMPLETE = "model.bin, config.json and vocabulary.txt or .json"

# Of a repository: what the engine reads. The rest (readme, other formats) stays there.
_FILES = frozenset(
    {
        "model.bin",
        "config.json",
        "preprocessor_config.json",
        "tokenizer.json",
        "vocabulary.txt",
        "vocabulary.json",
    }
)

# Folders of MODEL_DIR that hold something else.
RESERVED_FOLDERS = frozenset({"embedded", "piper"})

_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?")


def check_name(name: str) -> None:
    """Accept ``name`` and ``owner/name`` as the hub spells them, which can never lead out of a folder.

    Raises:
        ModelNotFoundError: anything else.
    """
    parts = name.split("/")
    if (
        len(parts) > 2
        or not all(_NAME.fullmatch(part) and ".." not in part for part in parts)
        or parts[0].casefold() in RESERVED_FOLDERS
    ):
        raise ModelNotFoundError(
            f"{printable(name)} is no model name. Use a name such as 'base', or a hub id such as "
            "'Systran/faster-whisper-base'.",
            param="model",
        )


def repository(name: str) -> str | None:
    """The hub repository that ``name`` stands for; None where it stands for none."""
    return name if "/" in name else REPOSITORIES.get(name)


def short_names(repository_id: str | None) -> list[str]:
    """Every short name of a repository, the preferred one first."""
    return [name for name, known in REPOSITORIES.items() if known == repository_id]


def display_name(repository_id: str) -> str:
    """The short name of a repository, or its id where it has none."""
    return next(iter(short_names(repository_id)), repository_id)


def folder_names(name: str) -> list[str]:
    """The folders of MODEL_DIR that may hold the model ``name``, best first."""
    repository_id = repository(name)
    bases = short_names(repository_id)
    last = name.rpartition("/")[2]
    # "someone/base" must not be answered with OpenAI's base.
    if last not in REPOSITORIES:
        bases.append(last)
    prefixed = [f"faster-whisper-{base}" for base in bases]
    return list(dict.fromkeys([name, *bases, *prefixed, *([repository_id] if repository_id else [])]))


def is_whisper_folder(folder: Path) -> bool:
    """Whether the folder holds all that CTranslate2 needs to load a Whisper model."""
    try:
        return _is_complete({entry.name for entry in folder.iterdir() if entry.is_file()})
    except OSError:
        return False


def hub_files(repository_id: str, present: set[str]) -> set[str]:
    """The files to fetch from a repository whose files are ``present``.

    Raises:
        ModelNotFoundError: they make no model that faster-whisper can load.
    """
    if not _is_complete(present):
        raise ModelNotFoundError(
            f"{repository_id!r} on the hub is no Whisper model in CTranslate2's format ({COMPLETE}). "
            f"Names that are: {', '.join(REPOSITORIES)}.",
            param="model",
        )
    return present & _FILES


def existing_path(name: str) -> Path | None:
    """``name`` as a path to a file or to a folder with a ``model.bin``; None where it must be a model's name.

    Raises:
        ModelNotFoundError: it can only be a path, and no model is there.
    """
    try:
        path = Path(name).expanduser()
        if name in REPOSITORIES:
            # A folder that happens to be called "base" does not hide the model of that name.
            return path if (path / "model.bin").is_file() else None
        if path.is_file() or (path / "model.bin").is_file():
            return path
        folder = path.is_dir()
    except (OSError, RuntimeError, ValueError) as error:  # too long, no such home, a NUL
        reason = getattr(error, "strerror", None) or "no such path"
        raise ModelNotFoundError(f"{printable(name)} cannot be a model: {reason}.", param="model") from error
    if folder:
        raise ModelNotFoundError(f"The folder {printable(name)} holds no model.bin.", param="model")
    if name.startswith(("/", "./", "../", "~")):
        raise ModelNotFoundError(f"There is no file or folder {printable(name)}.", param="model")
    return None


def _is_complete(names: set[str]) -> bool:
    return {"model.bin", "config.json"} <= names and bool({"vocabulary.txt", "vocabulary.json"} & names)


def printable(name: str) -> str:
    """A name from outside, safe to show in a message and a log."""
    shown = "".join("?" if unicodedata.category(char)[0] == "C" else char for char in name)
    return repr(shown if len(shown) <= 80 else f"{shown[:80]}...")
