"""Hands memory that is not needed back to the system."""

import ctypes
import gc
import logging
import mmap
import os
import platform
import re
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

_logger = logging.getLogger(__name__)

# Numbers of malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8

_MAPS, _SMAPS = Path("/proc/self/maps"), Path("/proc/self/smaps")
_MAPPING = re.compile(r"(?P<start>[0-9a-f]+)-(?P<end>[0-9a-f]+) (?P<rights>\S+) \S+ \S+ [1-9]\d*\s+(?P<path>/.*)")
_HEX_DIGITS = frozenset("0123456789abcdef")

_LARGE_BYTES = 32 * 2**20
"""glibc's largest. With 1 MiB each tensor was mapped anew, and a batch of eight clips took 1.6 times as long."""
_ARENAS = 2


def return_freed_memory() -> None:
    """Call once, before threads start. An operator's own ``MALLOC_`` settings are left alone.

    Each thread would get an arena of its own and keep what it freed: tensors of some megabytes that come and go on
    several threads then add up to 100 MB that nobody uses.
    """
    if not _is_glibc() or any(name.startswith("MALLOC_") for name in os.environ):
        return
    mallopt = ctypes.CDLL(None).mallopt
    for option, value in (
        (_M_ARENA_MAX, _ARENAS),
        (_M_MMAP_THRESHOLD, _LARGE_BYTES),
        (_M_TRIM_THRESHOLD, _LARGE_BYTES),
    ):
        if not mallopt(option, value):
            _logger.debug("mallopt refused option %d", option)


def give_back_memory() -> None:
    """Free what only cycles of references still hold, and hand what is free back to the system. Blocks for a moment."""
    gc.collect()
    if _is_glibc():
        ctypes.CDLL(None).malloc_trim(0)


def mapped_files() -> frozenset[str]:
    """The files, libraries above all, that this process has mapped; none where the system does not tell."""
    try:
        with _MAPS.open(encoding="utf-8", errors="surrogateescape") as lines:
            return frozenset(mapping["path"] for mapping in map(_MAPPING.match, lines) if mapping)
    except OSError:
        return frozenset()


def unmap_code(keep: Collection[str]) -> None:
    """Let the code of libraries, except that of the files ``keep``, be read again from its file when it next runs.

    40 MB of a process that once loaded a model are code that runs for that model only. The system may take such pages
    back whenever it likes, but nothing tells it that they have had their time. Threads that run them are not disturbed.
    """
    if sys.platform != "linux":
        return
    madvise = ctypes.CDLL(None, use_errno=True).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for start, end in _unchanged_code(keep):
        if madvise(start, end - start, mmap.MADV_DONTNEED):
            _logger.debug("madvise: %s", os.strerror(ctypes.get_errno()))


def _unchanged_code(keep: Collection[str]) -> Iterator[tuple[int, int]]:
    """Addresses of mapped code that is as it is in its file: a page that was written to would lose that."""
    mapping: re.Match[str] | None = None
    wanted = False
    with _SMAPS.open(encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            if line[0] in _HEX_DIGITS:
                mapping = _MAPPING.match(line)
                wanted = mapping is not None and mapping["rights"] == "r-xp" and mapping["path"] not in keep
            elif wanted and mapping and line.split() == ["Anonymous:", "0", "kB"]:
                yield int(mapping["start"], 16), int(mapping["end"], 16)


def _is_glibc() -> bool:
    return platform.libc_ver()[0] == "glibc"
