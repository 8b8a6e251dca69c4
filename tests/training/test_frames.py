"""First filters, fewer than a basis, respond to all frequencies and are no copies of each other."""

from __future__ import annotations

import pytest
import torch

from gradprox.networks.denoisers.filters import MirrorFilterBank
from gradprox.training.frames import most_distinct, tighten


def least_response(bank):
    """Return the percentile 1 of the response over the frequencies, without those near zero."""
    grid = 64
    spectrum = torch.fft.fft2(bank.filters().detach()[:, 0], s=(grid, grid)).abs().square().sum(dim=0)
    frequencies = torch.fft.fftfreq(grid)
    far = (frequencies[:, None] ** 2 + frequencies**2).sqrt() > 1 / bank.kernel_size
    return float(spectrum[far].quantile(0.01))


@pytest.mark.parametrize(("kernel_size", "pairs"), [(4, 5), (6, 14), (8, 24)])
def test_tightened_filters_respond_to_all_frequencies(kernel_size, pairs):
    bank = MirrorFilterBank(kernel_size, pairs=pairs)
    assert least_response(bank) < 0.5
    tighten(bank)
    assert least_response(bank) > 0.9
    assert bank.weight.grad is None


def test_the_most_distinct_filters_are_neither_copies_nor_mirror_images():
    bank, generator = MirrorFilterBank(8, pairs=6), torch.Generator().manual_seed(0)
    with torch.no_grad():
        bank.weight.copy_(torch.randn(6, 8, 8, generator=generator))
        # Among the even filters, and among the odd ones, the second is nearly the mirror image of the first. The third
        # contains the first. A choice that ignores mirror images would take the second.
        for first in (0, 3):
            near = bank.weight[first].flip(-1) + 0.01 * torch.randn(8, 8, generator=generator)
            bank.weight[first + 1].copy_(2 * near)
            bank.weight[first + 2].add_(bank.weight[first])
    stored = bank.filters().detach()[:6, 0]
    kept = most_distinct(bank, 4)
    numbers = [int((stored - one).abs().sum(dim=(1, 2)).argmin()) for one in kept]
    assert numbers == sorted(numbers)
    assert {2, 5} <= set(numbers)
    assert len({0, 1} & set(numbers)) == len({3, 4} & set(numbers)) == 1
