"""How long a pass of a model takes: what the ``bench`` commands share."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.table import Table

# The noise level, and the numbers of threads.
SIGMA = 25 / 255
THREADS = (1, 2)


def fastest(run: Callable[[NDArray[np.float32]], object], image: NDArray[np.float32], repeats: int) -> float:
    """Return the seconds of the fastest of some passes."""
    run(image)  # the first pass fills caches
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        run(image)
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def timing_record(model: str, backend: str, threads: int, seconds: float, size: int) -> dict[str, Any]:
    """Return the record of a pass over ``size`` by ``size`` pixels, for a report."""
    return {
        "model": model,
        "backend": backend,
        "threads": threads,
        "seconds": seconds,
        "ms_per_megapixel": 1e9 * seconds / size**2,
    }


def timing_table(rows: list[dict[str, Any]], size: int) -> Table:
    """Return such records as a table for people."""
    from rich.table import Table

    table = Table(title=f"one pass over {size}x{size} pixels", title_justify="left")
    table.add_column("model")
    table.add_column("backend")
    for heading in ("threads", "ms", "ms per megapixel"):
        table.add_column(heading, justify="right")
    for row in rows:
        figures = (f"{1e3 * row['seconds']:.1f}", f"{row['ms_per_megapixel']:.0f}")
        table.add_row(row["model"], row["backend"], str(row["threads"]), *figures)
    return table
