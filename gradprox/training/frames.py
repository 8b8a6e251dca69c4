"""Initial filters of a bank with fewer filters than a basis: nearly a tight frame.

A filter bank is a tight frame if ``sum_i |w_i^|^2`` is the same at all frequencies. A bank with fewer filters than a
basis can come close to that.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gradprox.networks.denoisers.filters import MirrorFilterBank

STEPS = 300
# Initial learning rate, as a share of the norm of a filter divided by its side.
RATE = 0.1
# Filters of zero mean cannot respond to lower frequencies than this one, in periods per side of a filter.
LOWEST_FREQUENCY = 0.6


def tighten(bank: MirrorFilterBank) -> None:
    r"""Change filters so that ``sum_i |w_i^|^2`` is nearly 1 at all frequencies.

    A network removes no noise at frequencies that its filters do not respond to. A part of the cosine basis leaves out
    whole frequency bands. Adam with a cosine learning-rate schedule minimizes the squared deviation from 1, which fills
    these bands.

    Args:
        bank: the filters, changed in place.
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
    """Choose filters that differ most from each other.

    The choice is greedy. Each step takes the filter with the largest distance from the span of the filters chosen
    before and their mirror images.

    Args:
        bank: the filters to choose from.
        pairs: number of pairs to choose, half of them even and half odd; an odd number gives one more even filter.

    Returns:
        ``(pairs, k, k)``, even filters first, in the order of the bank.
    """
    stored = bank.filters().detach()[: bank.pairs, 0]
    rows = torch.nn.functional.normalize(stored.flatten(1))
    images = torch.nn.functional.normalize(stored.flip(-1).flatten(1))
    even = bank.parities.flatten() > 0
    left = {True: (pairs + 1) // 2, False: pairs // 2}
    chosen: list[int] = []
    remainder = rows
    for _ in range(pairs):
        allowed = torch.where(even, left[True] > 0, left[False] > 0)
        allowed[chosen] = False
        best = int(remainder.norm(dim=1).masked_fill(~allowed, -1).argmax())
        chosen.append(best)
        left[bool(even[best])] -= 1
        spanning = torch.cat([rows[chosen], images[chosen]])
        remainder = rows - rows @ torch.linalg.pinv(spanning) @ spanning
    return stored[sorted(chosen)]
