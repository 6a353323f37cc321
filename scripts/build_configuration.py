"""Write what the settings and the commands' own parser say into the pages: ``docs/CONFIGURATION.md``, the README and
``.env.example``.

In the pages only what stands between ``<!-- made: NAME -->`` and ``<!-- end -->`` is written; ``.env.example`` is
written whole. With ``--check`` nothing is: the exit code is 1 where a file differs from what would be written.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, get_args, get_origin

from annotated_types import Ge, Le
from pydantic.fields import FieldInfo

from voice_stack.cli import command_parser
from voice_stack.core.settings import Settings

ROOT = Path(__file__).resolve().parents[1]

GROUPS: dict[str, tuple[str, ...]] = {
    "Both services": (),
    "Limits": ("MAX_", "SHUTDOWN_"),
    "Models": ("MODEL_", "HF_"),
    "Speech to text": ("ASR_",),
    "Text to speech": ("TTS_", "COQUI_"),
    "Logging and debugging": ("LOG_", "DEBUGPY_"),
}
"""Headings, and how the names below them begin; the first has all that begin otherwise."""

UNITS = {"_S": "seconds", "_MB": "MiB", "_CHARS": "characters", "_RATE": "Hz"}
"""Units by how a name ends."""

MOST_SET = (
    "ASR_MODEL",
    "ASR_DEVICE",
    "ASR_LANGUAGE",
    "TTS_ENGINE",
    "TTS_VOICE_DIR",
    "TTS_DEFAULT_VOICE",
    "API_KEYS",
    "MODEL_DIR",
    "MODEL_TTL_S",
    "LOG_FORMAT",
)
"""What the README shows."""

EXAMPLE_HEAD = (
    "# Copy to .env and uncomment what should differ; the values are the defaults. An empty value means the default."
)


def grouped() -> dict[str, list[str]]:
    """The settings' names by heading, in the order of the class."""
    groups: dict[str, list[str]] = {heading: [] for heading in GROUPS}
    other = next(iter(GROUPS))
    for name in map(str.upper, Settings.model_fields):
        groups[next((heading for heading, begins in GROUPS.items() if name.startswith(begins)), other)].append(name)
    return groups


def default_of(field: FieldInfo) -> str:
    """The default as an environment variable would hold it; empty where it depends on the machine or is nothing."""
    if field.default_factory is not None or field.default is None or field.default == ():
        return ""
    return str(field.default).lower() if isinstance(field.default, bool) else str(field.default)


def values_of(name: str, field: FieldInfo) -> str:
    """The allowed values, or bounds, with the unit; empty for text, where the description says it."""
    if get_origin(field.annotation) is Literal:
        values = ", ".join(f"`{value}`" for value in get_args(field.annotation))
    elif field.annotation is bool:
        values = "`true`, `false`"
    else:
        values = _bounds(field)
    unit = next((unit for end, unit in UNITS.items() if name.endswith(end)), "")
    return ", ".join(filter(None, (unit, values)))


def _bounds(field: FieldInfo) -> str:
    least = next((item.ge for item in field.metadata if isinstance(item, Ge)), None)
    most = next((item.le for item in field.metadata if isinstance(item, Le)), None)
    if least is None:
        return "" if most is None else f"{most} at most"
    return f"{least} or more" if most is None else f"{least} to {most}"


def settings_table(names: Sequence[str]) -> Iterator[str]:
    """A table of settings in Markdown, line by line."""
    yield from ("| name | default | values | meaning |", "|---|---|---|---|")
    for name in names:
        field = Settings.model_fields[name.lower()]
        default = default_of(field)
        cells = (f"`{name}`", f"`{default}`" if default else "", values_of(name, field), field.description or "")
        yield _row(*cells)


def _row(*cells: str) -> str:
    return "|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|"


def all_settings() -> Iterator[str]:
    """Every setting, in a table below each heading."""
    for heading, names in grouped().items():
        yield from (f"### {heading}", "", *settings_table(names), "")


def commands() -> Iterator[str]:
    """Every command with its switches."""
    for words, parser in _parsers("voice-stack", command_parser()):
        actions = [action for action in parser._actions if action.dest not in {"help", "version"}]  # noqa: SLF001
        switches = [action for action in actions if not isinstance(action, argparse._SubParsersAction)]  # noqa: SLF001
        if not switches:
            continue
        yield from (f"### {words}", "")
        yield from (parser.description, "") if parser.description else ()
        yield from ("| argument | meaning |", "|---|---|")
        for action in switches:
            yield _row(_spelled(action), action.help or "")
        yield ""


def _parsers(words: str, parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    yield words, parser
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to ask for what it takes
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for name, below in action.choices.items():
                yield from _parsers(f"{words} {name}", below)


def _spelled(action: argparse.Action) -> str:
    value = str(action.metavar or action.dest.upper())
    if action.choices is not None:
        value = "{" + ",".join(map(str, action.choices)) + "}"
    if not action.option_strings:
        return f"`{value}`"
    names = ", ".join(f"`{option}`" for option in action.option_strings)
    return names if action.nargs == 0 else f"{names} `{value}`"


def example_file() -> str:
    """The text of ``.env.example``."""
    lines = [EXAMPLE_HEAD]
    for heading, names in grouped().items():
        lines += ["", f"# --- {heading} ---"]
        for name in names:
            field = Settings.model_fields[name.lower()]
            values = values_of(name, field).replace("`", "")
            lines += [f"# {field.description}" + (f" ({values})" if values else ""), f"# {name}={default_of(field)}"]
    return "\n".join(lines) + "\n"


def filled(page: str, blocks: dict[str, str]) -> str:
    """``page`` with what is made put between its marks.

    Raises:
        ValueError: a mark is missing, or names no block.
    """
    for name, text in blocks.items():
        start, end = f"<!-- made: {name} -->\n", "<!-- end -->"
        before, found, after = page.partition(start)
        _, closed, after = after.partition(end)
        if not found or not closed:
            raise ValueError(f"the page has no <!-- made: {name} --> that is ended by <!-- end -->")
        page = f"{before}{start}{text.rstrip()}\n{end}{after}"
    return page


def made(root: Path) -> dict[Path, str]:
    """What each file should hold."""
    settings, readme = root / "docs" / "CONFIGURATION.md", root / "README.md"
    every = {"settings": "\n".join(all_settings()), "commands": "\n".join(commands())}
    most = {"settings that people set most": "\n".join(settings_table(MOST_SET))}
    return {
        settings: filled(settings.read_text(encoding="utf-8"), every),
        readme: filled(readme.read_text(encoding="utf-8"), most),
        root / ".env.example": example_file(),
    }


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say which files differ")
    check = parser.parse_args(arguments).check
    differing = [path for path, text in made(ROOT).items() if _text(path) != text]
    for path in differing:
        if check:
            print(f"{path.relative_to(ROOT)} is not what the settings say: run python scripts/build_configuration.py")
        else:
            path.write_text(made(ROOT)[path], encoding="utf-8")
            print(f"wrote {path.relative_to(ROOT)}")
    return 1 if check and differing else 0


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


if __name__ == "__main__":
    sys.exit(main())
