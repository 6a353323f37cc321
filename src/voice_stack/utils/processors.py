"""How many processors a process may keep busy."""

import os


def usable_cores(sharers: int = 1) -> int:
    """The processors that this process may run on, or its share of them where ``sharers`` processes do the same."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        cores = os.cpu_count() or 1
    return max(1, cores // sharers)
