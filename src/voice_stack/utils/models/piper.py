"""Piper voices on disk: pairs of ``<voice>.onnx`` and ``<voice>.onnx.json``."""

import difflib
import json
import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voice_stack.core.errors import ModelNotFoundError

logger = logging.getLogger(__name__)

PIPER_FOLDER = "piper"
PIPER_REPOSITORY = "rhasspy/piper-voices"

# Names are not all ASCII: pt_PT-tugão-medium.
_HUB_VOICE = re.compile(r"(?P<region>(?P<language>[a-z]{2,3})_[A-Z0-9]{2,3})-(?P<name>\w+)-(?P<quality>\w+)")


@dataclass(frozen=True)
class PiperVoiceFiles:
    """The two files of a voice. ``voice_id`` is the file name without ``.onnx``."""

    voice_id: str
    model_path: Path
    config_path: Path


def find_voices(folder: Path) -> Iterator[PiperVoiceFiles]:
    """The usable voices directly in ``folder``, by name; a broken one is skipped, with a logged warning."""
    try:
        models = sorted(path for path in folder.glob("*.onnx") if not path.name.startswith("."))
    except OSError as error:
        logger.warning("The Piper voices in %s cannot be read: %s", folder, error)
        return
    for model_path in models:
        config_path = model_path.with_name(f"{model_path.name}.json")
        if problem := _problem(model_path, config_path):
            logger.warning("Piper voice %s skipped: %s", model_path, problem)
        else:
            yield PiperVoiceFiles(model_path.name.removesuffix(".onnx"), model_path, config_path)


def list_files(*folders: Path) -> frozenset[tuple[str, int, int]]:
    """What Piper voices the folders may hold: path, size and time of change (ns) of each file; quick to make.

    A folder that cannot be read holds nothing.
    """
    found: set[tuple[str, int, int]] = set()
    for folder in folders:
        with suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith((".onnx", ".onnx.json")):
                    with suppress(OSError):
                        status = entry.stat()
                        found.add((entry.path, status.st_size, status.st_mtime_ns))
    return frozenset(found)


def find_speakers(config: Mapping[str, Any]) -> dict[str, int]:
    """The speakers of a voice's description, by name, with their numbers; empty where there is only one.

    Speakers without names are called by their numbers. In the order of the numbers.
    """
    count, named = config.get("num_speakers"), config.get("speaker_id_map")
    if not isinstance(count, int) or count < 2:
        return {}
    numbers: dict[str, int] = {}
    if isinstance(named, dict):
        numbers = {name: number for name, number in named.items() if number in range(count)}
    if not numbers:
        numbers = {str(number): number for number in range(count)}
    return dict(sorted(numbers.items(), key=lambda item: item[1]))


def _problem(model_path: Path, config_path: Path) -> str | None:
    try:
        if not model_path.is_file() or model_path.stat().st_size == 0:
            return "the file is empty. Download it again"
        config = json.loads(config_path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return f"{config_path.name} is missing. Put it beside the .onnx file; every Piper voice comes with one"
    except (OSError, ValueError) as error:
        return f"{config_path.name} cannot be read ({error}). Download it again"
    if not isinstance(config, dict) or not isinstance(config.get("audio"), dict):
        return f"{config_path.name} is not the description of a Piper voice. Download it again"
    return None


def is_hub_voice(name: str) -> bool:
    """Whether ``name`` is built like a voice of the public collection: ``en_US-lessac-medium``."""
    return _HUB_VOICE.fullmatch(name) is not None


def hub_files(voice_id: str, present: set[str]) -> set[str]:
    """The paths of a voice's two files in the collection, whose files are ``present``.

    Raises:
        ModelNotFoundError: the collection has no such voice; the message names the nearest.
    """
    match = _HUB_VOICE.fullmatch(voice_id)
    if match:
        folder = "/".join(match.group("language", "region", "name", "quality"))
        files = {f"{folder}/{voice_id}.onnx", f"{folder}/{voice_id}.onnx.json"}
        if files <= present:
            return files
    voices = [Path(path).name.removesuffix(".onnx") for path in present if path.endswith(".onnx")]
    near = difflib.get_close_matches(voice_id, sorted(voices), n=5, cutoff=0.5)
    hint = f" Like it: {', '.join(near)}." if near else ""
    raise ModelNotFoundError(f"{PIPER_REPOSITORY} has no voice {voice_id!r}.{hint}", param="model")
