"""What the pages say of settings, commands, messages, routes and files is so."""

import ast
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from itertools import takewhile
from pathlib import Path

import pytest
from scripts.build_configuration import GROUPS, MOST_SET, filled, main, settings_table, values_of

from tests.support.engines import FakeAsrEngine, FakeTtsEngine
from voice_stack.asr.app import create_app as create_asr
from voice_stack.cli import command_parser
from voice_stack.core.errors import ConfigurationError, VoiceStackError
from voice_stack.core.settings import Settings
from voice_stack.tts.app import create_app as create_tts
from voice_stack.utils.language.whisper import LANGUAGE_NAMES

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "voices/README.md")),
    *(ROOT / name for name in ("scripts/SERVICE_INSTALLATION.md", "benchmarks/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / ".clinerules").glob("*.md")),
]
README, CONTRIBUTING = PAGES[:2]

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HATCH_RUN = re.compile(r"hatch run ([\w-]+)")
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
# In code only: in running text "voice-stack" is the project.
_CODE = re.compile(r"^```bash\n(.*?)^```|`([^`\n]+)`", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"(?:^|[\s/])voice-stack ((?:asr|tts|models|transcribe|listen|say|voices)\b.*)", re.MULTILINE)
_SETTING = re.compile(
    r"`(?:\w+=\S* )*((?:ASR|TTS|API|MODEL|MAX|LOG|HEALTH|METRICS|CORS|SHUTDOWN|DEBUGPY)_[A-Z0-9_]+)\b"
)
_FILE = re.compile(r"(?<![\w/.~-])(?:\./)?((?:scripts|docs|deploy|benchmarks|tests|src|\.ci)/[\w./-]+\w)")
_NO_SETTINGS = {"TTS_HOME", "MODEL_CARD"}
_URL = re.compile(r"http://[\w.]+:(500[12])(/[\w/.-]+)")
_FROM_ELSEWHERE = (
    "No Python 3.10 or newer with the venv module was found",  # scripts/bootstrap.sh
    # CTranslate2's:
    "CUDA failed with error CUDA driver version is insufficient for CUDA runtime version",
    "CUDA failed with error out of memory",
    "Library libcublas.so.12 is not found or cannot be loaded",
    "Requested float16 compute type, but the target device or backend do not support efficient float16 computation.",
)


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path, language: str) -> list[str]:
    return [code for name, code in _BLOCK.findall(text_of(page)) if name == language]


def anchors(page: Path) -> set[str]:
    """What a link into a page may end in, as GitLab and GitHub make it of the headings."""
    headings = re.findall(r"^#+ (.*)", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def test_the_pages_and_the_example_say_what_the_settings_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0, capsys.readouterr().out


def test_what_is_made_goes_between_its_marks_and_nowhere_else() -> None:
    page = "before\n<!-- made: a -->\nold\n<!-- end -->\nafter\n<!-- made: b -->\n<!-- end -->\n"
    assert filled(page, {"a": "new"}) == page.replace("old", "new")
    with pytest.raises(ValueError, match="made: c"):
        filled(page, {"c": "new"})


def test_the_readme_shows_ten_settings() -> None:
    assert len(MOST_SET) == 10
    for line in settings_table(MOST_SET):
        assert f"{line}\n" in text_of(README)


def test_values_are_shown_with_their_bounds_and_units() -> None:
    fields = Settings.model_fields
    assert values_of("TTS_MAX_CHARS", fields["tts_max_chars"]) == "characters, 20 to 2000"
    assert values_of("MODEL_TTL_S", fields["model_ttl_s"]) == "seconds, 0 or more"
    assert values_of("LOG_FORMAT", fields["log_format"]) == "`text`, `json`"
    assert values_of("ASR_MODEL", fields["asr_model"]) == ""


def test_every_setting_says_what_it_is() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
    assert len(GROUPS) > 1


def test_each_hatch_command_named_is_a_script() -> None:
    project = text_of(ROOT / "pyproject.toml")
    section = project.split("[tool.hatch.envs.default.scripts]\n")[1].split("\n[")[0]
    scripts = set(re.findall(r"^([\w-]+) = ", section, re.MULTILINE))
    assert set(_HATCH_RUN.findall(text_of(CONTRIBUTING))) - {"secrets"} == scripts


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    missing = []
    for target in _LINK.findall(text_of(page)):
        if "://" not in target:
            file, _, anchor = target.partition("#")
            path = page.parent / file if file else page
            if not path.exists() or (anchor and path.suffix == ".md" and anchor not in anchors(path)):
                missing.append(target)
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_files_named_are_there(page: Path) -> None:
    named = {path for path in _FILE.findall(text_of(page)) if not path.startswith("benchmarks/results")}
    folders = (ROOT, page.parent)
    assert {path for path in named if not any((folder / path).exists() for folder in folders)} == set()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_settings_named_are_settings(page: Path) -> None:
    known = {field.upper() for field in Settings.model_fields}
    assert set(_SETTING.findall(text_of(page))) - known - _NO_SETTINGS == set()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_are_accepted_by_the_parser(page: Path) -> None:
    code = "\n".join(block or inline for block, inline in _CODE.findall(text_of(page)))
    commands = [_words(command) for command in _COMMAND.findall(code)]
    assert commands or page != README
    for command in commands:
        # A name alone, as in `voice-stack say`, is not meant to be typed.
        if len(command) > 1 or command[0] in {"asr", "tts", "voices"}:
            command_parser().parse_args(command)


def _words(command: str) -> list[str]:
    """Those of a command of a shell, up to what it is connected to."""
    return list(takewhile(lambda word: word not in {"|", ">", "&"}, shlex.split(command, comments=True)))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_python_is_python(page: Path) -> None:
    for code in blocks(page, "python"):
        compile(code, str(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_shell_is_shell(page: Path) -> None:
    for code in blocks(page, "bash"):
        parsed = subprocess.run(["bash", "-n"], input=code, capture_output=True, text=True)
        assert (parsed.returncode, parsed.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("node") is None, reason="no Node here")
def test_javascript_is_javascript(tmp_path: Path) -> None:
    codes = [code for page in PAGES for code in blocks(page, "javascript")]
    assert codes
    for number, code in enumerate(codes):
        script = tmp_path / f"{number}.mjs"
        script.write_text(code, encoding="utf-8")
        checked = subprocess.run(["node", "--check", script], capture_output=True, text=True)
        assert (checked.returncode, checked.stderr) == (0, "")


@pytest.fixture(scope="module")
def routes() -> set[tuple[str, str, str]]:
    """The routes of both services: port as in the pages, method and path with ``{names}``."""
    settings = Settings(_env_file=None)
    apps = {"5001": create_asr(settings, engine=FakeAsrEngine()), "5002": create_tts(settings, engine=FakeTtsEngine())}
    return {
        (port, method.upper(), path)
        for port, app in apps.items()
        for path, methods in app.openapi()["paths"].items()
        for method in methods
    }


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_curl_asks_for_what_there_is(page: Path, routes: set[tuple[str, str, str]]) -> None:
    for command in "\n".join(blocks(page, "bash")).replace("\\\n", " ").splitlines():
        for port, path in _URL.findall(command if "curl " in command else ""):
            explicit = re.search(r"-X (\w+)", command)
            has_body = re.search(r" (-d|-F) ", command)
            method = explicit[1] if explicit else "POST" if has_body else "GET"
            found = [known for known in routes if known[:2] == (port, method) and _fits(path, known[2])]
            assert found, f"{page.name}: {method} {path} on {port}"


def _fits(path: str, template: str) -> bool:
    return re.fullmatch(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template)), path) is not None


def test_messages_are_quoted_as_the_source_has_them() -> None:
    fragments = {*_fragments(ROOT / "src"), *_FROM_ELSEWHERE}
    page = text_of(ROOT / "docs" / "TROUBLESHOOTING.md")
    seen = [cell for row in re.findall(r"^\|(.*?)\|", page, re.MULTILINE) for cell in re.findall(r"`([^`]+)`", row)]
    quoted = [message for message in seen if len(message.split()) > 4]
    assert len(quoted) > 20
    assert [message for message in quoted if _share_known(message, fragments) < 0.4] == []


def _share_known(message: str, fragments: Iterable[str]) -> float:
    """How much of a message is text of the source; the rest is what was filled in."""
    known = [False] * len(message)
    for fragment in fragments:
        if message in fragment:
            return 1.0
        if (at := message.find(fragment)) >= 0:
            known[at : at + len(fragment)] = [True] * len(fragment)
    return sum(known) / len(message)


def _fragments(source: Path) -> Iterator[str]:
    """The texts in the source, as far as nothing is filled in."""
    saying = [text for path in source.rglob("*.py") if re.search("Error|_logger|logging", text := text_of(path))]
    for text in saying:
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield from (part.strip() for part in re.split("%[sd]", node.value) if len(part.strip()) > 8)


def test_the_cheat_sheet_lists_whispers_languages() -> None:
    section = text_of(ROOT / "docs" / "WHISPER_CHEAT_SHEET.md").split("\n## Languages\n")[1].split("\n## ")[0]
    assert re.findall(r"`([a-z]{2,3})`", section.split("English name:")[1]) == sorted(LANGUAGE_NAMES)


def test_the_page_of_errors_has_each_of_them_with_its_status() -> None:
    rows = re.findall(r"^\| (\d{3}) \| (.*?) \|", text_of(ROOT / "docs" / "OPERATION.md"), re.MULTILINE)
    listed = {(int(status), code) for status, codes in rows for code in re.findall(r"`(\w+)`", codes)}
    known = {(error.status, error.code) for error in _below(VoiceStackError) if error.code != ConfigurationError.code}
    assert known - listed == set()


def _below(error: type[VoiceStackError]) -> Iterator[type[VoiceStackError]]:
    for below in error.__subclasses__():
        yield below
        yield from _below(below)
