"""Which gradients of a photo a kernel is fitted to."""

from __future__ import annotations

import pytest
import torch

from gradprox.blind import free_kernel as module
from gradprox.blind.useful_edges import FLOOR, most_useful, usefulness
from tests.blind.photos import photo_of, shake


def test_structures_narrower_than_the_window_are_not_useful():
    """The gradients of an edge add up; those of stripes of one pixel cancel, all but one of a window."""
    edge, stripes = torch.zeros(2, 1, 1, 20, 20, dtype=torch.float64)
    edge[..., 10:] = 0.8
    stripes[..., ::2] = 0.8
    mean = 0.8 / 5  # one of the columns of the window has a gradient
    torch.testing.assert_close(
        usefulness(edge, 5)[0, 0, :, 9], torch.full((20,), mean / (mean + FLOOR)).double()
    )
    expected = torch.full_like(stripes, 0.8 / 5 / (0.8 + FLOOR))
    torch.testing.assert_close(usefulness(stripes, 5), expected)
    assert usefulness(torch.ones_like(edge), 5).eq(0).all()  # no gradients


def test_the_most_useful_gradients_are_selected():
    useful = torch.rand(1, 1, 10, 10, generator=torch.Generator().manual_seed(0))
    selected = most_useful(useful, 0.3) > 0
    assert int(selected.sum()) == 30
    assert float(useful[selected].min()) > float(useful[~selected].max())
    assert most_useful(useful, 1.0).eq(1).all()


@pytest.mark.parametrize("selects", [True, False])
def test_the_kernel_fit_uses_the_most_useful_gradients_first_and_all_in_the_end(monkeypatch, selects):
    """If useful gradients are not selected, they are weighted."""
    used, fit = [], module.fitted_kernel
    window = module.SELECTION_WINDOW if selects else module.WEIGHT_WINDOW

    def watched(x, y, side, damping, inside, useful):
        used.append((useful, usefulness(y, window)))
        return fit(x, y, side, damping, inside, useful)

    monkeypatch.setattr(module, "fitted_kernel", watched)
    module.free_kernel(photo_of(shake(), side=120), 11, (1, 2), selects, lambda _: None)
    if selects:
        shares = [float(weights.mean()) for weights, _ in used]
        assert shares == sorted(shares)
        assert shares[0] == pytest.approx(module.FIRST_SHARE, abs=0.01)
        assert shares[-1] == 1
        assert all(weights.equal(most_useful(useful, float(weights.mean()))) for weights, useful in used)
    else:
        assert all(weights.equal(useful) for weights, useful in used)
