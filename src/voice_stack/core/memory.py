"""Makes glibc hand freed memory back to the system, where glibc is what allocates."""

import ctypes
import logging
import os
import platform

_logger = logging.getLogger(__name__)

# Numbers of malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8

_LARGE_BYTES = 2**20
_ARENAS = 2


def return_freed_memory() -> None:
    """Call once, before threads start. An operator's own ``MALLOC_`` settings are left alone.

    Each thread would get an arena of its own and keep what it freed: tensors of some megabytes that come and go on
    several threads then add up to 100 MB that nobody uses.
    """
    if platform.libc_ver()[0] != "glibc" or any(name.startswith("MALLOC_") for name in os.environ):
        return
    mallopt = ctypes.CDLL(None).mallopt
    for option, value in (
        (_M_ARENA_MAX, _ARENAS),
        (_M_MMAP_THRESHOLD, _LARGE_BYTES),
        (_M_TRIM_THRESHOLD, _LARGE_BYTES),
    ):
        if not mallopt(option, value):
            _logger.debug("mallopt refused option %d", option)
