"""Processes of the system."""

from pathlib import Path


def lives(pid: int) -> bool:
    """Whether a process runs: who adopts an orphan may be late to bury it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
