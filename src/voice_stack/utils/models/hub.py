"""The Hugging Face hub: its cache on this machine, read as folders, and downloads through its own client."""

import errno
import importlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import signature
from pathlib import Path
from types import ModuleType
from typing import Any

from voice_stack.core.errors import ModelLoadError, ModelNotFoundError, VoiceStackError
from voice_stack.utils.models.embedded import file_sha256
from voice_stack.utils.models.placement import model_dir_unusable
from voice_stack.utils.models.whisper import display_name, is_whisper_folder

# Seconds without a byte; the client retries a stalled transfer five times.
TIMEOUT_S = 10.0

_SHA256 = re.compile(r"[0-9a-f]{64}")

_DISK_ERRORS = frozenset(
    {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EROFS,
        errno.EACCES,
        errno.EPERM,
        errno.EFBIG,
        errno.ENOTDIR,
        errno.EEXIST,
    }
)


def cache_folder() -> Path:
    """Where the hub's client keeps its cache, by the client's own environment variables."""
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if value := os.environ.get(variable):
            return Path(os.path.expandvars(value)).expanduser()
    if home := os.environ.get("HF_HOME"):
        return Path(os.path.expandvars(home)).expanduser() / "hub"
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "huggingface" / "hub"


def cached_snapshot(repository_id: str, cache: Path) -> Path | None:
    """The folder of a Whisper model in the hub's cache, if all of it is there.

    A file that is still being downloaded has no entry in its snapshot yet, so half a model is never returned.
    """
    root = cache / ("models--" + repository_id.replace("/", "--"))
    snapshots = root / "snapshots"
    try:
        names = [(root / "refs" / "main").read_text(encoding="utf-8").strip()]
    except (OSError, UnicodeDecodeError):
        names = []
    try:
        names += sorted(entry.name for entry in snapshots.iterdir())
    except OSError:
        return None
    return next((snapshots / name for name in names if name and is_whisper_folder(snapshots / name)), None)


def cached_models(cache: Path) -> Iterator[tuple[str, Path]]:
    """Every complete Whisper model in the hub's cache: its shortest name and its folder."""
    try:
        entries = sorted(cache.glob("models--*--*"))
    except OSError:
        return
    for entry in entries:
        repository_id = entry.name.removeprefix("models--").replace("--", "/", 1)
        if snapshot := cached_snapshot(repository_id, cache):
            yield display_name(repository_id), snapshot


def download(repository_id: str, choose: Callable[[set[str]], set[str]], staging_root: Path, *, progress: bool) -> Path:
    """Fetch some files of a repository's newest revision; an interrupted download goes on where it was.

    Args:
        repository_id: ``owner/name`` on the hub.
        choose: from the names of all files there, those to fetch; may raise :class:`ModelNotFoundError`.
        staging_root: the files lie in a folder below it that belongs to this repository and revision alone.
        progress: show a bar for each file on stderr.

    Returns:
        The folder, which holds the chosen files and nothing else, all of them complete.

    Raises:
        ModelNotFoundError: no such repository, or its terms have to be accepted first.
        ModelLoadError: the hub cannot be reached or fails, the disk is full, or the client is not installed.
    """
    client = _client()
    with _translated(repository_id, staging_root):
        info = client.HfApi().model_info(repository_id, timeout=TIMEOUT_S)
        names = choose({sibling.rfilename for sibling in info.siblings or ()})
        staging = staging_root / f"{staging_prefix(repository_id)}{info.sha[:12]}"
        for name in sorted(names):
            target = staging / name
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                url = client.hf_hub_url(repository_id, name, revision=info.sha)
                _fetch(client, url, target, shown=progress)
        return staging


def _fetch(client: ModuleType, url: str, target: Path, *, shown: bool) -> None:
    # hf_hub_download would do, but in recent versions (2.4) it starts an interrupted file from its beginning.
    http_get: Any = importlib.import_module("huggingface_hub.file_download").http_get
    # Older clients take no bar of ours and show their own, on terminals only.
    bar = {"tqdm_class": _progress_bar(shown=shown)} if "tqdm_class" in signature(http_get).parameters else {}
    metadata = client.get_hf_file_metadata(url, timeout=TIMEOUT_S)
    partial = target.with_name(f"{target.name}.partial")
    if partial.exists() and metadata.size is not None and partial.stat().st_size > metadata.size:
        partial.unlink()
    with partial.open("ab") as sink:
        http_get(
            url,
            sink,
            resume_size=sink.tell(),
            headers=client.utils.build_hf_headers(),
            expected_size=metadata.size,
            displayed_filename=target.name,
            **bar,
        )
    # Large files carry their sha256 as ETag; the others are small, and their size was compared.
    if _SHA256.fullmatch(metadata.etag or "") and file_sha256(partial) != metadata.etag:
        partial.unlink()
        raise ModelLoadError(f"{target.name} arrived damaged (sha256 differs). Try again.")
    partial.rename(target)


def staging_prefix(repository_id: str) -> str:
    """What the staging folders of every revision of a repository begin with."""
    return f".{repository_id.replace('/', '--')}@"


def offline_error(name: str) -> ModelNotFoundError:
    """The error for a download that ``HF_HUB_OFFLINE`` forbids."""
    return ModelNotFoundError(
        f"{name!r} is not on this machine, and HF_HUB_OFFLINE is set, so it is not downloaded. "
        "Unset HF_HUB_OFFLINE, or copy the model into MODEL_DIR from a machine that has it.",
        param="model",
    )


def _client() -> ModuleType:
    # Imported late: it takes 0.3 s, and the TTS image has none.
    try:
        return importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise ModelLoadError(
            "Downloads need the package huggingface_hub, which is missing: pip install 'voice-stack[asr]'"
        ) from error


def _progress_bar(*, shown: bool) -> type[object]:
    base: Any = importlib.import_module("huggingface_hub.utils").tqdm

    class Bar(base):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            # The client's own bar hides where stderr is no terminal, as under systemd or Docker.
            kwargs["disable"] = not shown
            kwargs["mininterval"] = 0.1 if sys.stderr.isatty() else 5.0
            super().__init__(*args, **kwargs)

    return Bar


@contextmanager
def _translated(repository_id: str, staging_root: Path) -> Iterator[None]:
    """Turn the client's errors into ours. All of them: its HTTP library differs from version to version."""
    try:
        yield
    except VoiceStackError:
        raise
    except Exception as error:
        raise _translate(error, repository_id, staging_root) from error


def _translate(error: Exception, repository_id: str, staging_root: Path) -> VoiceStackError:
    errors: Any = importlib.import_module("huggingface_hub.errors")
    if isinstance(error, errors.OfflineModeIsEnabled):
        return offline_error(repository_id)
    if isinstance(error, errors.GatedRepoError):
        return ModelNotFoundError(
            f"The hub gives {repository_id!r} only to those who accepted its terms: accept them on its page "
            "and set HF_TOKEN.",
            param="model",
        )
    # Checked before its base EntryNotFoundError: it means that the hub gave no answer.
    unreachable = isinstance(error, errors.LocalEntryNotFoundError)
    missing = (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.EntryNotFoundError)
    if not unreachable and isinstance(error, (*missing, errors.HFValidationError)):
        return ModelNotFoundError(
            f"The hub has no model {repository_id!r}, or it is private: check the spelling, or set HF_TOKEN.",
            param="model",
        )
    if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
        return model_dir_unusable(staging_root.parent, error)
    reason = next(iter(str(error).splitlines()), "") or type(error).__name__
    return ModelLoadError(
        f"The download of {repository_id!r} failed: {reason}. Check the network, HF_ENDPOINT and the proxy "
        "settings and try again (it goes on where it stopped), or copy the model into MODEL_DIR."
    )
