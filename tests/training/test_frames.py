"""Fresh filters, fewer than the cosine basis has, respond to all frequencies that they can respond to."""

from __future__ import annotations

import pytest
import torch

from gradprox.networks.filters import MirrorFilterBank
from gradprox.training.frames import tighten


def least_response(bank):
    """Return the response that a hundredth of the frequencies stay below, those near zero left out."""
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
