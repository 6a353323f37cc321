"""Report the size of each file: bytes, lines and about how many tokens a language model reads in it."""

import argparse
import json
import os
import re
import subprocess
from dataclasses import asdict, astuple, dataclass
from pathlib import Path

SKIPPED = {"__pycache__", "build", "dist", "node_modules", "htmlcov"}

# A byte-pair encoder makes about one token of a run of up to this many letters or digits, and one of each mark.
LETTERS_PER_TOKEN = 5
_PIECE = re.compile(r"[^\W_]+|[^\w\s]|_|\n+")


@dataclass(frozen=True)
class FileSize:
    """The size of one file."""

    path: str  # relative to the repository, with slashes
    bytes: int
    lines: int
    tokens: int  # estimated; 0 for a binary file


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


def estimate_tokens(text: str) -> int:
    """About how many tokens ``text`` is; encoders differ, so this compares files rather than counts exactly."""
    return sum(-(-len(piece) // LETTERS_PER_TOKEN) for piece in _PIECE.findall(text))


def measure(path: Path, root: Path) -> FileSize:
    """The size of one file."""
    data = path.read_bytes()
    name = path.relative_to(root).as_posix()
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return FileSize(name, len(data), 0, 0)
    return FileSize(name, len(data), len(text.splitlines()), estimate_tokens(text))


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", nargs="?", type=Path, default=Path(__file__).resolve().parents[1])
    parser.add_argument("--top", type=int, metavar="N", help="only the N largest; the totals stay those of all")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    root = options.root.resolve()
    sizes = [measure(path, root) for path in repository_files(root)]
    sizes.sort(key=lambda size: (-size.tokens, -size.bytes, size.path))
    total = FileSize(
        f"{len(sizes)} files", *(sum(getattr(size, unit) for size in sizes) for unit in ("bytes", "lines", "tokens"))
    )
    shown = sizes[: options.top]
    if options.json:
        totals = {"files": len(sizes), "bytes": total.bytes, "lines": total.lines, "tokens": total.tokens}
        print(json.dumps({"total": totals, "files": [asdict(size) for size in shown]}, indent=1, ensure_ascii=False))
        return
    print(f"{'tokens':>9} {'lines':>7} {'bytes':>10}  file")
    for path, size, lines, tokens in map(astuple, [*shown, total]):
        print(f"{tokens:>9} {lines:>7} {size:>10}  {path}")


if __name__ == "__main__":
    main()
