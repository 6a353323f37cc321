"""Write a map of the repository: ``.docs/README.md`` to read, ``.docs/repo_map.json`` for tools.

Each file with its size; each Python file also with what it says about itself, its classes and its functions.
"""

import argparse
import ast
import json
import os
import subprocess
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

SKIPPED = {"__pycache__", "build", "dist", "node_modules", "htmlcov"}


@dataclass(frozen=True)
class Definition:
    """A class or function at the top of a module, or a public method of a class there."""

    name: str
    kind: str  # class, function or method
    line: int
    summary: str  # first line of its docstring


@dataclass(frozen=True)
class FileEntry:
    """A file of the repository."""

    path: str  # relative to the repository, with slashes
    lines: int
    summary: str
    definitions: tuple[Definition, ...]


def repository_files(root: Path) -> list[Path]:
    """Files that git tracks or would add; where ``root`` is no git checkout, all that are not in hidden folders."""
    command = ["git", "-C", os.fspath(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, capture_output=True, check=True).stdout.decode().split("\0")
        found = [root / name for name in set(listed) if name]
    except (OSError, subprocess.CalledProcessError):
        found = []
        for folder, folders, names in os.walk(root):
            folders[:] = [name for name in folders if name not in SKIPPED and not name.startswith(".")]
            found += [Path(folder) / name for name in names]
    return sorted(path for path in found if path.is_file())


def describe(path: Path, root: Path) -> FileEntry:
    """The entry of one file; a Python file that does not parse has no definitions."""
    data = path.read_bytes()
    name = path.relative_to(root).as_posix()
    lines = len(data.splitlines())
    if path.suffix == ".py":
        try:
            tree = ast.parse(data)
        except (SyntaxError, ValueError) as error:
            return FileEntry(name, lines, f"does not parse: {error}", ())
        return FileEntry(name, lines, _first_line(tree), tuple(_definitions(tree)))
    return FileEntry(name, lines, "", ())


def _first_line(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    return (ast.get_docstring(node) or "").partition("\n")[0]


def _definitions(tree: ast.Module) -> list[Definition]:
    found = []
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            found.append(Definition(node.name, "class", node.lineno, _first_line(node)))
            for method in node.body:
                if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef) and not method.name.startswith("_"):
                    name = f"{node.name}.{method.name}"
                    found.append(Definition(name, "method", method.lineno, _first_line(method)))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.append(Definition(node.name, "function", node.lineno, _first_line(node)))
    return found


def render(entries: list[FileEntry]) -> str:
    """The map as Markdown: a heading for each folder, a line for each file and definition."""
    text = [f"# Repository map\n\n{len(entries)} files, {sum(entry.lines for entry in entries)} lines.\n"]
    ordered = sorted(entries, key=lambda entry: (_folder(entry), entry.path))
    for folder, group in groupby(ordered, key=_folder):
        text.append(f"\n## {folder}\n")
        for entry in group:
            text.append(_item(f"[`{Path(entry.path).name}`](../{entry.path})", f"{entry.lines} lines", entry.summary))
            for item in entry.definitions:
                indent = "    " if item.kind == "method" else "  "
                text.append(indent + _item(f"`{item.name}`", f"{item.kind}, line {item.line}", item.summary))
    return "\n".join(text) + "\n"


def _folder(entry: FileEntry) -> str:
    return Path(entry.path).parent.as_posix()


def _item(name: str, detail: str, summary: str) -> str:
    return f"- {name} ({detail})" + (f": {summary}" if summary else "")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", nargs="?", type=Path, default=Path(__file__).resolve().parents[1])
    root = parser.parse_args().root.resolve()
    out = root / ".docs"
    entries = [describe(path, root) for path in repository_files(root) if out not in path.parents]
    out.mkdir(exist_ok=True)
    (out / "README.md").write_text(render(entries), encoding="utf-8")
    files = json.dumps({"files": [asdict(entry) for entry in entries]}, indent=1, ensure_ascii=False)
    (out / "repo_map.json").write_text(files + "\n", encoding="utf-8")
    print(f"{len(entries)} files mapped in {out}")


if __name__ == "__main__":
    main()
