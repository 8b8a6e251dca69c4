"""Radial stretches: the bounds of their slopes are reached, and few wells approximate a power of a distance."""

from __future__ import annotations

import pytest
import torch

from gradprox.certificates import dense_jacobian, eigenvalue_range
from gradprox.networks import RadialStretch
from gradprox.networks.family.elementwise import softplus


@pytest.mark.parametrize("monotone", [False, True])
def test_the_bounds_of_one_well_are_reached(monotone):
    torch.manual_seed(0)
    stretch = RadialStretch(3, wells=1, monotone=monotone).double()
    with torch.no_grad():
        stretch.raw_linear.normal_()
    lo, hi = (float(side[0].detach()) for side in stretch.slope_range())
    scale = stretch._table()[2].detach()
    direction = torch.nn.functional.normalize(torch.randn(1, 3, dtype=torch.float64))
    dip = direction * (3 / (2 * scale)).sqrt()
    assert eigenvalue_range(dense_jacobian(stretch, dip))[0] == pytest.approx(lo, rel=1e-12)
    assert eigenvalue_range(dense_jacobian(stretch, 0 * dip))[1] == pytest.approx(hi, rel=1e-12)
    if monotone:
        assert lo == pytest.approx(float(softplus(stretch.raw_linear.detach())), rel=1e-12)


def test_four_wells_approximate_the_force_of_an_inverse_distance():
    z = torch.zeros(200, 2, dtype=torch.float64)
    z[:, 0] = torch.linspace(0.8, 1.6, 200, dtype=torch.float64)
    scales = torch.tensor([0.5, 1.6, 2.0, 6.0], dtype=torch.float64)
    wells = (-scales * z[:, :1].square()).exp()
    weights = torch.linalg.lstsq(wells, z[:, :1] ** -3).solution
    stretch = RadialStretch(2, wells=4, monotone=False).double()
    with torch.no_grad():
        stretch.raw_linear.zero_()
        stretch.raw_weights.copy_(weights)
        stretch.raw_scales.copy_(torch.log(torch.expm1(scales - 1e-3))[:, None])
    pull = z / torch.linalg.vector_norm(z, dim=1, keepdim=True) ** 3
    assert float((stretch(z).detach() - pull).abs().max()) <= 1e-3 * float(pull.abs().max())


def test_a_stretch_without_wells_is_refused():
    with pytest.raises(ValueError, match="at least one well"):
        RadialStretch(4, wells=0)
