"""Imports point one way, read from the code itself; and the settings' example file keeps up with the settings.

    cli -> app, batch, listen -> api -> schemas, subtitles, voices, ... -> engine -> utils -> core.errors

``core`` is open to all and imports ``utils`` at most. ``asr`` and ``tts`` never import each other.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from voice_stack.core.settings import Settings

ROOT = Path(__file__).parents[1]
PACKAGE = "voice_stack"
SERVICES = {"asr", "tts"}

# Within a service a module imports from its own rank and below. Not named here: the middle, rank 1.
RANKS = {"engine": 0, "api": 2, "app": 3, "": 3}
NOT_FOR_ENGINES = {"fastapi", "starlette"}


def module_name(path: Path, source: Path) -> str:
    parts = path.relative_to(source).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_names(tree: ast.AST, modules: set[str]) -> Iterator[str]:
    """Every module imported anywhere in ``tree``: in functions, under TYPE_CHECKING and by ``import_module`` too."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(level=0, module=str(module), names=names):
                for alias in names:
                    submodule = f"{module}.{alias.name}"
                    yield submodule if submodule in modules else module
            case ast.Call(
                func=ast.Name(id=name) | ast.Attribute(attr=name), args=[ast.Constant(value=str(module)), *_]
            ):
                if name in {"import_module", "__import__"}:
                    yield module


def place(module: str) -> tuple[str, str]:
    """Area of a module of ours (asr, tts, core, utils, cli, ...) and the part of it that decides its rank."""
    _, area, part, *_ = [*module.split("."), "", ""]
    return area, part


def allowed(importer: str, imported: str) -> bool:
    """Whether one module of ours may import another."""
    (area, part), (other, other_part) = place(importer), place(imported)
    if area == other:
        return area not in SERVICES or RANKS.get(part, 1) >= RANKS.get(other_part, 1)
    match area:
        case "asr" | "tts":
            return other in {"core", "utils", ""}
        case "core":
            return other in {"utils", ""}
        case "utils":
            return imported == f"{PACKAGE}.core.errors" or other == ""
        case "cli":
            return other in {"core", "utils", ""} or other_part in {"app", "batch", "listen"}
        case "__main__":
            return other == "cli"
    return False


def violations(source: Path) -> list[str]:
    """What in the package under ``source`` imports against the direction, one line each."""
    paths = {module_name(path, source): path for path in sorted((source / PACKAGE).rglob("*.py"))}
    found = []
    for module, path in paths.items():
        tree = ast.parse(path.read_bytes())
        relative = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level]
        found += [f"{module}:{node.lineno} imports relatively" for node in relative]
        area, part = place(module)
        for name in imported_names(tree, set(paths)):
            top = name.partition(".")[0]
            wrong = top == PACKAGE and not allowed(module, name)
            if area in SERVICES and part == "engine" and top in NOT_FOR_ENGINES:
                wrong = True
            if wrong:
                found.append(f"{module} imports {name}")
    return found


def test_imports_point_one_way() -> None:
    assert violations(ROOT / "src") == []


@pytest.mark.parametrize(
    ("module", "code"),
    [
        ("asr.service", "import voice_stack.tts.app"),
        ("tts.service", "from voice_stack.asr.engine.base import Segment"),
        ("tts.service", "from voice_stack import asr"),
        ("core.app", "from voice_stack.asr import engine_factory"),
        ("utils.text", "def late():\n    import voice_stack.tts.engine.base"),
        ("utils.text", "from voice_stack.core.settings import Settings"),
        ("utils.text", "from voice_stack.core import settings"),
        ("core.errors", "from voice_stack import cli"),
        ("asr.engine.base", "from voice_stack.asr.schemas.openai import Transcription"),
        ("asr.engine.base", "from voice_stack.asr import subtitles"),
        ("asr.engine.base", "from voice_stack.asr.engine_factory import create"),
        ("tts.engine.piper", "from voice_stack.tts.voices.library import Voice"),
        ("tts.engine.piper", "if TYPE_CHECKING:\n    from fastapi import Request"),
        ("tts.engine.piper", "import starlette.concurrency"),
        ("asr.subtitles.cues", "from voice_stack.asr.api.api_v1.endpoints import bazarr"),
        ("asr.api.api_v1.endpoints.openai", "from voice_stack.asr.app import create_app"),
        ("asr.api.api_v1.endpoints.openai", "import_module('voice_stack.tts.engine.base')"),
        ("asr.service", "from ..core import errors"),
        ("asr.service", "from . import engine"),
        ("asr.engine.base", "from voice_stack.cli import main"),
        ("cli", "from voice_stack.asr.engine.base import AsrEngine"),
    ],
)
def test_an_import_against_the_direction_is_caught(tmp_path: Path, module: str, code: str) -> None:
    plant(tmp_path, module, code)
    assert len(violations(tmp_path)) == 1


@pytest.mark.parametrize(
    ("module", "code"),
    [
        ("cli", "from voice_stack.asr.app import create_app\nfrom voice_stack.tts import app"),
        ("cli", "def late():\n    from voice_stack.asr.batch.command import transcribe_files"),
        ("__main__", "from voice_stack.cli import main"),
        ("asr.app", "from voice_stack.asr.api.api_v1.endpoints import openai\nfrom voice_stack.core import settings"),
        ("asr.api.api_v1.endpoints.openai", "from voice_stack.asr.subtitles import cues\nimport fastapi"),
        ("asr.api.api_v1.endpoints.openai", "from voice_stack.asr import engine_factory"),
        ("asr.engine_factory", "from voice_stack.asr.engine import base"),
        ("asr.engine.base", "from voice_stack.utils.text import words\nfrom voice_stack.core import errors\nimport av"),
        ("utils.text", "from voice_stack.core.errors import InvalidRequestError"),
        ("utils.text", "from voice_stack.core import errors"),
        ("core.app", "from voice_stack.utils import text"),
    ],
)
def test_an_import_along_the_direction_passes(tmp_path: Path, module: str, code: str) -> None:
    plant(tmp_path, module, code)
    assert violations(tmp_path) == []


def plant(source: Path, module: str, code: str) -> None:
    """Lay out a small package of the same shape, with ``code`` as one of its modules."""
    others = [
        "cli",
        "asr.app",
        "asr.batch.command",
        "asr.engine_factory",
        "asr.engine.base",
        "asr.schemas.openai",
        "asr.subtitles.cues",
    ]
    others += ["asr.api.api_v1.endpoints.bazarr", "tts.app", "tts.engine.base", "tts.voices.library"]
    others += ["core.errors", "core.settings", "utils.text"]
    for name in [*others, module]:
        path = (source / PACKAGE).joinpath(*name.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        for folder in path.parents:
            if source in folder.parents:
                (folder / "__init__.py").touch()
        path.write_text(code if name == module else "", encoding="utf-8")


def example_settings() -> dict[str, str]:
    """The lines of ``.env.example`` that hold a setting, uncommented."""
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    return dict(re.findall(r"^# ([A-Z][A-Z0-9_]+)=(.*)$", text, re.MULTILINE))


def test_the_example_file_names_every_setting_and_no_other() -> None:
    assert example_settings().keys() == {name.upper() for name in Settings.model_fields}


def test_the_example_file_uncommented_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in example_settings():
        monkeypatch.delenv(name, raising=False)
    env_file = tmp_path / ".env"
    env_file.write_text("".join(f"{name}={value}\n" for name, value in example_settings().items()), encoding="utf-8")
    assert Settings(_env_file=env_file) == Settings(_env_file=None)
