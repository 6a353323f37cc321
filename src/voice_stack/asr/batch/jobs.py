"""Which files to transcribe, and where what is heard in them goes."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from voice_stack.core.errors import ConfigurationError

# fmt: off
MEDIA_SUFFIXES = frozenset([
    ".3g2", ".3gp", ".aac", ".ac3", ".aif", ".aifc", ".aiff", ".amr", ".ape", ".asf", ".au", ".avi",
    ".awb", ".caf", ".dts", ".eac3", ".f4v", ".flac", ".flv", ".gsm", ".m2ts", ".m4a", ".m4b", ".m4v",
    ".mka", ".mkv", ".mov", ".mp2", ".mp3", ".mp4", ".mpeg", ".mpg", ".mpga", ".mts", ".mxf", ".oga",
    ".ogg", ".ogv", ".opus", ".ra", ".rm", ".rmvb", ".snd", ".spx", ".tak", ".ts", ".tta", ".vob",
    ".w64", ".wav", ".weba", ".webm", ".wma", ".wmv", ".wv",
])
# fmt: on
"""Names of files in a folder that are taken for media end with one of these, in any case."""


@dataclass(frozen=True)
class Source:
    """A media file, and the folder for what is heard in it."""

    path: Path
    folder: Path


@dataclass(frozen=True)
class Job:
    """A media file and a target for each format."""

    source: Path
    targets: dict[str, Path]


@dataclass(frozen=True)
class Problem:
    """Why something that was named cannot be transcribed."""

    path: Path
    reason: str


def find_sources(paths: Iterable[Path], output_dir: Path | None) -> Iterator[Source | Problem]:
    """The media files that are meant, each once, those of a folder in the order of their names.

    Folders are walked with all below them, but for what is hidden and for links to folders. Below ``output_dir`` they
    keep their structure; without it every target is next to its file.
    """
    seen = set()
    for found in _found(paths, output_dir):
        if isinstance(found, Source):
            real = found.path.resolve()
            if real in seen:
                continue
            seen.add(real)
        yield found


def plan_jobs(sources: Sequence[Source], formats: Iterable[str]) -> list[Job]:
    """Name the targets: ``talk.srt`` for ``talk.mp3``.

    Where that would be the target of two files, or is one of the files, all of them keep their whole name:
    ``talk.mp3.srt`` and ``talk.wav.srt``.

    Raises:
        ConfigurationError: two files have one target even so.
    """
    formats = list(formats)
    taken = Counter(_key(source.path) for source in sources)
    short = [_targets(source, source.path.stem, formats) for source in sources]
    taken.update(_key(target) for targets in short for target in targets.values())
    jobs: list[Job] = []
    owners = {_key(source.path): source.path for source in sources}
    for source, wanted in zip(sources, short, strict=True):
        clear = all(taken[_key(target)] == 1 for target in wanted.values())
        targets = wanted if clear else _targets(source, source.path.name, formats)
        for target in targets.values():
            if (owner := owners.setdefault(_key(target), source.path)) is not source.path:
                raise ConfigurationError(
                    f"{owner} and {source.path} would both be written to {target}: transcribe them one after the "
                    "other, each with an --output-dir of its own"
                )
        jobs.append(Job(source.path, targets))
    return jobs


def _found(paths: Iterable[Path], output_dir: Path | None) -> Iterator[Source | Problem]:
    for path in paths:
        try:
            if path.is_dir():
                yield from _walk(path, output_dir)
            elif path.is_file():
                yield Source(path, output_dir or path.parent)
            elif path.exists():
                yield Problem(path, "is not a regular file")
            else:
                yield Problem(path, "no such file or folder")
        except OSError as error:
            yield Problem(path, f"cannot be read: {error.strerror}")


def _walk(top: Path, output_dir: Path | None) -> Iterator[Source | Problem]:
    errors: list[OSError] = []
    empty = True
    for name, folders, files in os.walk(top, onerror=errors.append):
        folder = Path(name)
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        for file in sorted(files):
            path = folder / file
            if not file.startswith(".") and path.suffix.lower() in MEDIA_SUFFIXES:
                empty = False
                yield Source(path, output_dir / folder.relative_to(top) if output_dir else folder)
    for error in errors:
        yield Problem(Path(error.filename), f"cannot be read: {error.strerror}")
    if empty and not errors:
        yield Problem(top, "holds no file whose name ends as those of audio and video do, such as .mp3 or .mkv")


def _targets(source: Source, name: str, formats: Iterable[str]) -> dict[str, Path]:
    return {format_: source.folder / f"{name}.{format_}" for format_ in formats}


def _key(path: Path) -> str:
    # On some file systems A.srt and a.srt are the same file.
    return str(path.absolute()).casefold()
