"""The model of a photo's power spectrum, against naive formulas and derivatives by autograd."""

from __future__ import annotations

import pytest
import torch

from gradprox.blind.photo_spectrum import (
    BLOCK,
    PhotoSpectrum,
    _basis,
    _means,
    _used,
    _window,
    smeared_response,
)
from gradprox.errors import InputError
from gradprox.physics import disk_kernel, gaussian_kernel, motion_kernel


def test_the_smeared_response_is_the_expected_power_of_a_block():
    kernel = torch.rand(1, 1, 3, 4, dtype=torch.float64)
    expected = torch.zeros(BLOCK, BLOCK, dtype=torch.float64)
    # White noise: the powers of single bright pixels add, each blurred and cut out by the window.
    for row in range(-2, BLOCK):
        for column in range(-3, BLOCK):
            wide = torch.zeros(BLOCK + 8, BLOCK + 8, dtype=torch.float64)
            wide[row + 4 : row + 7, column + 4 : column + 8] = kernel[0, 0]
            expected += torch.fft.fft2(wide[4:-4, 4:-4] * _window()).abs().square()
    torch.testing.assert_close(smeared_response(kernel), expected[_used()], rtol=1e-10, atol=1e-12)


def example(kernel):
    """Return a spectrum without chance: its power is the expected one, with weights a little off the means."""
    weights = _means() + 0.3 * torch.sin(torch.arange(len(_means()), dtype=torch.float64))
    response = smeared_response(kernel)
    power = response * torch.exp(_basis() @ weights) + 1e-4
    return PhotoSpectrum(power, 16.0, 1e-4), weights[None], response[None]


def test_derivatives_are_those_of_the_density():
    spectrum, weights, response = example(disk_kernel(3))
    away = (weights + 0.1).requires_grad_()
    (expected,) = torch.autograd.grad(spectrum.log_density(away, response).sum(), away)
    gradient, _ = spectrum._derivatives(away.detach(), response)
    torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-9)
    # Where the power equals the variance, the Fisher information is the curvature itself.
    _, information = spectrum._derivatives(weights, response)
    curvature = torch.autograd.functional.hessian(
        lambda w: -spectrum.log_density(w[None], response).sum(), weights[0]
    )
    torch.testing.assert_close(information[0], curvature, rtol=1e-8, atol=1e-8)


def test_the_fitted_weights_are_a_maximum():
    spectrum, _, response = example(motion_kernel(9, 20))
    fitted = spectrum.fitted_weights(response, steps=40).requires_grad_()
    (slope,) = torch.autograd.grad(spectrum.log_density(fitted, response).sum(), fitted)
    assert float(slope.abs().max()) < 1e-3


@pytest.mark.parametrize("true", [disk_kernel(3), gaussian_kernel(1.5), motion_kernel(9, 20)])
def test_the_true_kernel_has_the_largest_evidence(true):
    spectrum, _, _ = example(true)
    others = [
        disk_kernel(3),
        gaussian_kernel(1.5),
        motion_kernel(9, 20),
        motion_kernel(9, 40),
        disk_kernel(3.4),
    ]
    evidence = spectrum.evidence([true, *others])
    # It is among the others too, where rounding may differ.
    assert float(evidence[0]) == pytest.approx(float(evidence.max()), rel=1e-12)


def test_small_photos_and_large_kernels_are_refused():
    with pytest.raises(InputError, match="at least 64x64"):
        PhotoSpectrum.of(torch.zeros(1, 1, 63, 80), 0.01)
    with pytest.raises(InputError, match="more than 64 pixels"):
        smeared_response(torch.ones(1, 1, 65, 1))
