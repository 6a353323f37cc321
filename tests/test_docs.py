"""What the pages say of settings, commands and files is so."""

import os
import re
import shlex
from pathlib import Path

import pytest

from voice_stack.cli import _parser
from voice_stack.core.settings import Settings

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "voices/README.md", *sorted((ROOT / "docs").glob("*.md"))]

README = PAGES[0].read_text(encoding="utf-8")
_SETTING_ROW = re.compile(r"^\| `([A-Z][A-Z0-9_]+)` \|(.*?)\|", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HATCH_RUN = re.compile(r"hatch run ([\w-]+)")
# In code only: in running text "voice-stack" is the project.
_CODE = re.compile(r"^```bash\n(.*?)^```|`([^`\n]+)`", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"(?:^|[\s/])voice-stack ((?:asr|tts|models|transcribe|say|voices)\b.*)", re.MULTILINE)


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-")


def as_written(setting: str) -> str:
    """A setting's default as the table shows it."""
    field = Settings.model_fields[setting]
    if field.default_factory is not None:
        return "platform cache folder"
    default = field.default
    if default is None or default == ():
        return ""
    text = str(default).lower() if isinstance(default, bool) else str(default)
    return f"`{text}`"


def test_the_table_of_settings_has_each_name_with_its_default() -> None:
    table = README[README.index("\n## Settings") : README.index("\n## Health")]
    rows = {setting: default.strip() for setting, default in _SETTING_ROW.findall(table)}
    assert rows == {setting.upper(): as_written(setting) for setting in Settings.model_fields}


def test_each_hatch_command_named_is_a_script() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section = project.split("[tool.hatch.envs.default.scripts]\n")[1].split("\n[")[0]
    scripts = set(re.findall(r"^([\w-]+) = ", section, re.MULTILINE))
    named = set(_HATCH_RUN.findall(README))
    assert named == scripts


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    headings = {_anchor(heading) for heading in re.findall(r"^#+ (.*)", text, re.MULTILINE)}
    local = [target for target in _LINK.findall(text) if "://" not in target]
    missing = [
        target
        for target in local
        if not (target[1:] in headings if target.startswith("#") else (page.parent / target.split("#")[0]).exists())
    ]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_are_accepted_by_the_parser(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    code = "\n".join(block or inline for block, inline in _CODE.findall(text))
    commands = [shlex.split(command.removesuffix("&"), comments=True) for command in _COMMAND.findall(code)]
    assert commands or page != PAGES[0]
    for command in commands:
        _parser().parse_args(command)


def test_scripts_named_are_there() -> None:
    named = set(re.findall(r"scripts/\w+\.(?:sh|py)", README))
    assert {script for script in named if not os.access(ROOT / script, os.R_OK)} == set()
