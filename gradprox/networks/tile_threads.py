"""Tiles of an image in several threads, each of which computes whole tiles.

Two threads that share every operation of a tile wait for each other after each of them, and an operation that is not
divided runs on one. Threads that have tiles of their own need no more than a processor each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor

from gradprox.networks.strips import is_plain
from gradprox.networks.tiling import Tile

Result = TypeVar("Result")


def computed(
    compute: Callable[[Tile], Result], tiles: Iterable[Tile], inputs: Iterable[Tensor]
) -> Iterator[tuple[Tile, Result]]:
    """Yield tiles and their results, in order, from as many threads as torch uses, if `is_plain` allows it.

    Args:
        compute: from a tile to its result.
        tiles: the tiles.
        inputs: the tensors that ``compute`` uses.
    """
    places = list(tiles)
    threads = min(torch.get_num_threads(), len(places))
    if threads < 2 or not is_plain(*inputs):
        for place in places:
            yield place, compute(place)
        return
    # Modes of torch belong to a thread.
    graph, inference = torch.is_grad_enabled(), torch.is_inference_mode_enabled()

    def in_thread(place: Tile) -> Result:
        with torch.inference_mode(inference), torch.set_grad_enabled(graph):
            return compute(place)

    before = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads, initializer=_use_one_thread) as pool:
            # An interrupt here cancels the tiles that wait.
            yield from zip(places, pool.map(in_thread, places), strict=True)
    finally:
        torch.set_num_threads(before)


def _use_one_thread() -> None:
    """Let this thread compute alone; the number is a thread's own, but new threads begin with the last one set."""
    torch.get_num_threads()  # a thread takes over the common number when it first asks, and would do so later
    torch.set_num_threads(1)
