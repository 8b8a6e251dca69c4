"""Problems built on deepinv: the same operator, the same least squares, and the noise that was asked for."""

from __future__ import annotations

import deepinv
import pytest
import torch

from gradprox import InputError
from gradprox.physics import (
    Denoising,
    Inpainting,
    SingleCoilMRI,
    SuperResolution,
    initial_image,
    poisson_level,
    poisson_noise,
    squared_norm,
)
from tests.physics.cases import kernels

PAIRS = {
    "mri": (
        lambda mask: SingleCoilMRI(mask[0, 0]),
        lambda mask: deepinv.physics.MRI(mask=mask[0, 0]),
        2,
    ),
    "inpainting": (
        lambda mask: Inpainting(mask),
        lambda mask: deepinv.physics.Inpainting((1, *mask.shape[-2:]), mask=mask),
        1,
    ),
    "denoising": (lambda _: Denoising(), lambda _: deepinv.physics.Denoising(), 1),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_builders_are_deepinvs_operators(pair):
    ours, theirs, channels = PAIRS[pair]
    mask = (torch.rand(1, 1, 8, 9) > 0.4).double()
    ours, theirs = ours(mask).double(), theirs(mask).double()
    x = torch.randn(2, channels, 8, 9, dtype=torch.float64)
    y = ours.A(x)
    torch.testing.assert_close(ours(x), y)  # no noise unless asked for
    torch.testing.assert_close(y, theirs.A(x))
    torch.testing.assert_close(ours.A_adjoint(y), theirs.A_adjoint(y))
    torch.testing.assert_close(ours.regularized_inverse(x, y, 0.3), theirs.prox_l2(x, y, 1 / 0.3))
    assert squared_norm(ours) == pytest.approx(squared_norm(theirs))


@pytest.mark.parametrize("kernel", [kernels(1, 1, 5, 3), kernels(1, 1, 4, 8)])
def test_super_resolution_is_deepinvs(kernel):
    ours = SuperResolution((12, 8), 4, kernel)
    theirs = deepinv.physics.Downsampling((1, 12, 8), filter=kernel, factor=4, padding="circular")
    x = torch.randn(2, 1, 12, 8, dtype=torch.float64)
    y = ours.A(x)
    torch.testing.assert_close(y, theirs.A(x))
    torch.testing.assert_close(ours.A_adjoint(y), theirs.A_adjoint(y))
    torch.testing.assert_close(ours.regularized_inverse(x, y, 0.3), theirs.prox_l2(x, y, 1 / 0.3))


def test_super_resolution_starts_from_a_image_as_bright():
    physics = SuperResolution((16, 12), 2, channels=3)
    y = physics.A(torch.full((1, 3, 16, 12), 0.7))
    torch.testing.assert_close(initial_image(y, physics).mean(), torch.tensor(0.7))


@pytest.mark.parametrize("size", [(9, 14), (1, 7), (16, 16)])
def test_missing_pixels_start_between_known_ones(size):
    mask = (torch.rand(1, 1, *size) > 0.7).double()
    mask[..., 0, 0] = 1
    physics = Inpainting(mask)
    x = torch.rand(1, 2, *size, dtype=torch.float64)
    start = initial_image(physics.A(x), physics)
    torch.testing.assert_close(start * mask, x * mask)
    assert start.min() >= x[(mask > 0).expand_as(x)].min() - 1e-12
    flat = initial_image(physics.A(torch.full_like(x, 0.4)), physics)
    torch.testing.assert_close(flat, torch.full_like(x, 0.4))
    nothing = Inpainting(torch.zeros(1, 1, *size).double())
    assert initial_image(nothing.A(x), nothing).abs().max() == 0


def test_poisson_noise_is_deepinvs_and_of_the_stated_level():
    clean = torch.rand(1, 1, 200, 200, dtype=torch.float64)
    gain = 0.01
    noisy = poisson_noise(clean, gain, torch.Generator().manual_seed(3))
    theirs = deepinv.physics.PoissonNoise(gain=gain, rng=torch.Generator().manual_seed(3))
    torch.testing.assert_close(noisy, theirs(clean), rtol=1e-6, atol=0)
    error = noisy - clean
    assert float(error.mean()) == pytest.approx(0, abs=0.002)
    assert float(error.square().mean().sqrt()) == pytest.approx(float(poisson_level(noisy, gain)), rel=0.03)
    bright = clean > 0.5
    assert error[bright].square().mean() > 2 * error[~bright].square().mean()
    # The fidelity that the module names is this noise's likelihood, up to a constant.
    likelihood, photons = deepinv.optim.PoissonLikelihood(gain=gain), noisy / gain
    levels = [torch.full_like(noisy, level) for level in (0.3, 0.6)]
    ours = [torch.distributions.Poisson(level / gain).log_prob(photons.round()).sum() for level in levels]
    theirs = [likelihood.d(level, noisy).squeeze() for level in levels]
    torch.testing.assert_close(theirs[1] - theirs[0], ours[0] - ours[1])
    with pytest.raises(InputError, match="gain"):
        poisson_noise(clean, 0.0, torch.Generator())
