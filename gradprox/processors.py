"""The processor cores of this machine."""

from __future__ import annotations

import os


def usable_threads() -> int:
    """Return the number of threads that this process may use: that of OMP_NUM_THREADS, or of its cores."""
    chosen = os.environ.get("OMP_NUM_THREADS", "")
    if chosen.isdecimal() and int(chosen) > 0:
        return int(chosen)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
