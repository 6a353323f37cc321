"""Installs small packages of model files, as real distributions that Python's metadata finds."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from voice_stack.utils.models.embedded import EmbeddedModel, ModelFile, Package, Part

# Anything that imports a planted package fails loudly.
BOOBY_TRAP = "raise RuntimeError('the code of a model package was executed')\n"


@dataclass(frozen=True)
class Planted:
    """A model in two pieces, and where its pieces lie."""

    model: EmbeddedModel
    first_piece: Path
    second_piece: Path


def plant_package(site: Path, name: str, version: str, files: dict[str, bytes]) -> Package:
    """Install a distribution into the folder ``site``, which must be on ``sys.path``."""
    module = site / name.replace("-", "_")
    module.mkdir(parents=True)
    (module / "__init__.py").write_text(BOOBY_TRAP)
    for file_name, content in files.items():
        (module / file_name).write_bytes(content)
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return Package(name, version)


def plant_model(site: Path) -> Planted:
    """A tiny model whose ``model.bin`` comes in two packages."""
    pieces = (b"first half, ", b"second half")
    config = b"{}"
    one = plant_package(site, "planted-part1", "1.0.0", {"piece1": pieces[0], "config.json": config})
    two = plant_package(site, "planted-part2", "1.0.0", {"piece2": pieces[1]})
    weights = ModelFile(
        "model.bin",
        (
            Part(one, "planted_part1/piece1", len(pieces[0]), _sha256(pieces[0])),
            Part(two, "planted_part2/piece2", len(pieces[1]), _sha256(pieces[1])),
        ),
        _sha256(b"".join(pieces)),
    )
    config_part = Part(one, "planted_part1/config.json", len(config), _sha256(config))
    model = EmbeddedModel("planted", "whisper", (weights, ModelFile("config.json", (config_part,), config_part.sha256)))
    return Planted(model, site / "planted_part1" / "piece1", site / "planted_part2" / "piece2")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
