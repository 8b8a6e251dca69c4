"""A setting of the C library that makes repeated passes of a network faster.

It is opt-in, because it changes the whole process: a program calls `keep_freed_memory` once, at its start. The command
line does; importing gradprox or building a network does not.
"""

from __future__ import annotations

import ctypes
import os
import sys

# Names from malloc.h. In all shipped models but the deep ones, a map of one tile takes less than 32 MB, which is the
# largest value that glibc accepts, and all maps of a tile together take less than 256 MB.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
LARGEST_BLOCK, KEPT = 2**25, 2**28


def keep_freed_memory() -> None:
    """Make glibc keep freed memory for reuse, in the whole process; networks on a CPU then run faster.

    By default glibc returns large blocks to the system, and the system hands them out again page by page. That takes
    two fifths of the time of a network's pass. After this call the process keeps up to `KEPT` bytes that it does not
    use (mallopt(3)), for all threads together: a pool for each thread would not keep large blocks. Nothing happens on
    other systems, or if the environment sets ``MALLOC_TRIM_THRESHOLD_``, ``MALLOC_MMAP_THRESHOLD_``,
    ``MALLOC_ARENA_MAX`` or ``GLIBC_TUNABLES``.
    """
    chosen = {"MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_ARENA_MAX"} & os.environ.keys()
    if sys.platform != "linux" or chosen or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGEST_BLOCK)
        mallopt(M_TRIM_THRESHOLD, KEPT)
        mallopt(M_ARENA_MAX, 1)
