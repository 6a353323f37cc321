"""Makes an embedded model usable: joined into MODEL_DIR where it comes in pieces, else in place."""

import hashlib
import logging
import os
import shutil
from pathlib import Path

from filelock import FileLock

from voice_stack.core.errors import ModelLoadError
from voice_stack.utils.models.embedded import EmbeddedModel, ModelFile, Part, broken, check_parts, find_parts

logger = logging.getLogger(__name__)

EMBEDDED_FOLDER = "embedded"


def joined_folder(model: EmbeddedModel, model_dir: Path) -> Path:
    """Where the joined model lies. The fingerprint in its name keeps versions apart."""
    return model_dir / EMBEDDED_FOLDER / f"{model.name}-{model.fingerprint}"


def is_joined(model: EmbeddedModel, model_dir: Path) -> bool:
    """Whether the joined model is there, by the sizes of its files.

    Sizes are enough: the folder gets its name only after the checksums were verified and the files synced.
    """
    folder = joined_folder(model, model_dir)
    try:
        return all((folder / file.name).stat().st_size == file.size_bytes for file in model.files)
    except OSError:
        return False


def place(model: EmbeddedModel, model_dir: Path) -> Path | None:
    """The folder that holds the whole model, joined first if need be; None where a package is missing.

    Raises:
        ModelLoadError: a package is corrupt or has another version, or MODEL_DIR cannot be written.
    """
    if model.in_pieces:
        return _join(model, model_dir)
    found = find_parts(model)
    if found is None:
        return None
    check_parts(model, found)
    return next(iter(found.values())).parent


def _join(model: EmbeddedModel, model_dir: Path) -> Path | None:
    final = joined_folder(model, model_dir)
    # Before the packages are looked for: what was joined once outlives them.
    if is_joined(model, model_dir):
        return final
    found = find_parts(model)
    if found is None:
        return None
    staging = final.with_name(f".{final.name}.staging")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        # The system drops the lock of a process that dies, so whatever is staged when we hold it is stale.
        with FileLock(final.with_name(f".{final.name}.lock")):
            if is_joined(model, model_dir):
                return final
            _remove(staging)
            _remove(final)
            logger.info("Putting the embedded model %s together in %s", model.name, final)
            staging.mkdir()
            try:
                for file in model.files:
                    _write(model, file, found, staging / file.name)
                staging.rename(final)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
    except (OSError, NotImplementedError) as error:  # NotImplementedError: a file system without locks
        raise model_dir_unusable(model_dir, error) from error
    return final


def _write(model: EmbeddedModel, file: ModelFile, found: dict[Part, Path], target: Path) -> None:
    digest = hashlib.sha256()
    with target.open("wb") as sink:
        for part in file.parts:
            with found[part].open("rb") as source:
                while block := source.read(1 << 20):
                    digest.update(block)
                    sink.write(block)
        # Without this a power cut can leave files of the right size that hold zeros.
        sink.flush()
        os.fsync(sink.fileno())
    if digest.hexdigest() != file.sha256:
        check_parts(model, found)
        raise broken(model, f"{file.name} is corrupt (sha256 differs)")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def model_dir_unusable(model_dir: Path, error: Exception) -> ModelLoadError:
    """The error for a MODEL_DIR that is full, read-only or not a folder."""
    return ModelLoadError(
        f"MODEL_DIR ({model_dir}) cannot be written: {error}. Free space there, make it writable, "
        "or set MODEL_DIR to another folder."
    )
