"""Memory that is handed back."""

import ctypes
import sys
from pathlib import Path

import pytest

from voice_stack.core.memory import give_back_memory, mapped_files, unmap_code

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def resident_kb(path: str) -> dict[str, int]:
    """What is resident of a file, by the rights of its mappings."""
    found: dict[str, int] = {}
    rights = ""
    for line in Path("/proc/self/smaps").read_text().splitlines():
        fields = line.split()
        if line[0] in "0123456789abcdef":
            rights = fields[1] if fields[-1] == path else ""
        elif rights and fields[0] == "Rss:":
            found[rights] = found.get(rights, 0) + int(fields[1])
    return found


def test_code_that_is_not_needed_is_resident_no_more_and_still_runs() -> None:
    (library,) = {path for path in mapped_files() if Path(path).name.startswith("_multiarray_umath")}
    others = mapped_files() - {library}
    before = resident_kb(library)
    unmap_code(keep={library, *others})
    assert resident_kb(library)["r-xp"] == before["r-xp"] > 0
    unmap_code(keep=others)
    after = resident_kb(library)
    assert after.pop("r-xp") < before.pop("r-xp") / 2
    assert after == before, "what a library has written is not to be touched"

    import numpy as np

    assert float(np.linspace(0, 1, 11).sum()) == pytest.approx(5.5)


def test_freed_memory_is_handed_back() -> None:
    def resident_mb() -> float:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.free.argtypes = [ctypes.c_void_p]
    give_back_memory()
    before = resident_mb()
    # The last one, which stays, keeps the heap from shrinking by itself.
    pieces = [libc.malloc(60_000) for _ in range(1000)]
    for piece in pieces:
        ctypes.memset(piece, 1, 60_000)
    for piece in pieces[:-1]:
        libc.free(piece)
    give_back_memory()
    after = resident_mb()
    libc.free(pieces[-1])
    assert after < before + 20
