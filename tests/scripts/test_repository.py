"""The map and the sizes of a repository, made by the real scripts on a small one."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
MODULE = '''"""Greets people.

More about it.
"""

class Greeter:
    """Says hello."""

    async def greet(self) -> None:
        """Greet once."""

    def _secret(self) -> None: ...

def main() -> None: ...
'''


def run(script: str, *arguments: str | Path) -> str:
    command = [sys.executable, str(SCRIPTS / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a module, a broken module, a binary file, an ignored file and one in a hidden folder."""
    files = {
        "src/hello.py": MODULE.encode(),
        "src/broken.py": b"def (:\n",
        "data.bin": b"\xff\xfe\x00" * 100,
        "dist/ignored.py": b"x = 1\n",
        ".venv/hidden.py": b"x = 1\n",
        ".gitignore": b".venv/\ndist/\n.docs/\n",
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    return tmp_path


@pytest.fixture(params=["git", "no git"])
def repository(request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(folder.parent))
    if request.param == "git":
        subprocess.run(["git", "init", "--quiet", folder], check=True)
        subprocess.run(["git", "-C", folder, "add", "src"], check=True)
    return folder


def entries(repository: Path) -> dict[str, Any]:
    listing = json.loads((repository / ".docs/repo_map.json").read_text(encoding="utf-8"))
    return {entry["path"]: entry for entry in listing["files"]}


def test_the_map_lists_what_git_would_commit_and_nothing_else(repository: Path) -> None:
    run("build_repo_map.py", repository)
    assert entries(repository).keys() == {".gitignore", "data.bin", "src/broken.py", "src/hello.py"}


def test_the_map_tells_summaries_definitions_and_lines(repository: Path) -> None:
    run("build_repo_map.py", repository)
    entry = entries(repository)["src/hello.py"]
    assert (entry["summary"], entry["lines"]) == ("Greets people.", len(MODULE.splitlines()))
    assert [(item["name"], item["kind"], item["line"], item["summary"]) for item in entry["definitions"]] == [
        ("Greeter", "class", 6, "Says hello."),
        ("Greeter.greet", "method", 9, "Greet once."),
        ("main", "function", 14, ""),
    ]
    page = (repository / ".docs/README.md").read_text(encoding="utf-8")
    assert "## src" in page
    assert "- [`hello.py`](../src/hello.py) (14 lines): Greets people." in page
    assert "    - `Greeter.greet` (method, line 9): Greet once." in page


def test_a_file_that_does_not_parse_is_mapped_all_the_same(repository: Path) -> None:
    run("build_repo_map.py", repository)
    assert entries(repository)["src/broken.py"]["summary"].startswith("does not parse")


def test_making_the_map_again_changes_nothing(repository: Path) -> None:
    run("build_repo_map.py", repository)
    first = (repository / ".docs/repo_map.json").read_bytes()
    run("build_repo_map.py", repository)
    assert (repository / ".docs/repo_map.json").read_bytes() == first


def test_sizes_are_sorted_and_the_totals_are_their_sums(repository: Path) -> None:
    report = json.loads(run("repo_tokens.py", repository, "--json"))
    tokens = [file["tokens"] for file in report["files"]]
    assert report["files"][0]["path"] == "src/hello.py"
    assert tokens == sorted(tokens, reverse=True)
    for unit in ("bytes", "lines", "tokens"):
        assert report["total"][unit] == sum(file[unit] for file in report["files"])
    assert report["total"]["files"] == len(report["files"]) == 4


def test_a_binary_file_has_bytes_but_no_lines_and_tokens(repository: Path) -> None:
    report = json.loads(run("repo_tokens.py", repository, "--json"))
    binary = next(file for file in report["files"] if file["path"] == "data.bin")
    assert binary == {"path": "data.bin", "bytes": 300, "lines": 0, "tokens": 0}


def test_top_shows_the_largest_and_keeps_the_totals_of_all(repository: Path) -> None:
    lines = run("repo_tokens.py", repository, "--top", "1").splitlines()
    assert [line.split()[-1] for line in lines] == ["file", "src/hello.py", "files"]
    assert lines[-1].endswith("4 files")
