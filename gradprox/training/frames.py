"""Filters to start from where there are fewer than a basis has: as nearly a tight frame as they can be."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gradprox.networks.denoisers.filters import MirrorFilterBank

STEPS = 300
# Of a filter's norm, shared by its side: how much a tap may change in the first steps.
RATE = 0.1
# Filters without mean cannot respond to what varies less than this share of a period over their side.
LOWEST_FREQUENCY = 0.6


def tighten(bank: MirrorFilterBank) -> None:
    r"""Change filters until they respond to all frequencies alike: ``sum_i |w_i^|^2`` is nearly 1.

    A network leaves what its filters do not respond to as it was, noise included. Some filters of the cosine basis
    leave whole bands; these fill them. The squared deviation is minimized (Adam, half a cosine).
    """
    k, grid = bank.kernel_size, 4 * bank.kernel_size
    vertical, horizontal = torch.fft.fftfreq(grid), torch.fft.rfftfreq(grid)
    seen = vertical[:, None].square() + horizontal.square() > (LOWEST_FREQUENCY / k) ** 2
    rate = RATE / k * float(bank.weight.detach().flatten(1).norm(dim=1).median())
    optimizer = torch.optim.Adam(bank.parameters(), lr=rate)
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = rate * (1 + math.cos(math.pi * step / STEPS)) / 2
        spectrum = torch.fft.rfft2(bank.filters()[:, 0], s=(grid, grid))
        response = (spectrum.real.square() + spectrum.imag.square()).sum(dim=0)
        optimizer.zero_grad(set_to_none=True)
        (response - 1)[seen].square().mean().backward()
        optimizer.step()
    bank.zero_grad(set_to_none=True)


def most_distinct(bank: MirrorFilterBank, pairs: int) -> Tensor:
    """Choose filters: each the one that those before it, and their mirror images, explain least.

    Args:
        bank: what to choose from.
        pairs: how many of its pairs; half of either parity, one more even if odd.

    Returns:
        ``(pairs, k, k)``, even ones first, in the order of the bank.
    """
    stored = bank.filters().detach()[: bank.pairs, 0]
    rows = torch.nn.functional.normalize(stored.flatten(1))
    images = torch.nn.functional.normalize(stored.flip(-1).flatten(1))
    even = bank.parities.flatten() > 0
    left = {True: (pairs + 1) // 2, False: pairs // 2}
    chosen: list[int] = []
    unexplained = rows
    for _ in range(pairs):
        allowed = torch.where(even, left[True] > 0, left[False] > 0)
        allowed[chosen] = False
        best = int(unexplained.norm(dim=1).masked_fill(~allowed, -1).argmax())
        chosen.append(best)
        left[bool(even[best])] -= 1
        known = torch.cat([rows[chosen], images[chosen]])
        unexplained = rows - rows @ torch.linalg.pinv(known) @ known
    return stored[sorted(chosen)]
