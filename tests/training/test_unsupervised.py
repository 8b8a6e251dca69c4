"""Losses of noisy images alone, in double precision."""

from __future__ import annotations

import math

import pytest
import torch
from deepinv.loss import Neighbor2Neighbor
from scipy.linalg import hadamard

from gradprox.priors.probing import random_signs
from gradprox.training.unsupervised import neighbor2neighbor, sure
from tests.conftest import random_identity_path, smooth_image

SIGMA = 0.1
LEVEL = torch.tensor([SIGMA], dtype=torch.float64)


def signs_of(like, seed=0):
    return random_signs(like, torch.Generator().manual_seed(seed))


def standard_error(values):
    return float(values.std()) / math.sqrt(len(values))


def test_the_risk_estimate_is_unbiased():
    network, clean, draws = random_identity_path(), smooth_image(8, 8), 1200
    noise = torch.randn(draws, 1, 8, 8, dtype=torch.float64)
    noisy, levels = clean + SIGMA * noise, LEVEL.expand(draws)
    estimated = sure(lambda y: network(y, levels), noisy, levels, signs_of(noisy), differentiable=False)
    true = (network(noisy, levels) - clean).square().flatten(1).mean(dim=1)
    difference = estimated - true
    error = standard_error(difference)
    assert abs(float(difference.mean())) < 4 * error
    # The error is small enough to see a divergence that is missing a tenth.
    residual = (network(noisy, levels) - noisy).square().flatten(1).mean(dim=1)
    divergence = float((estimated - residual + SIGMA**2).mean())
    assert 0.1 * divergence > 4 * error


def test_the_divergence_by_probing_is_the_trace_of_the_exact_jacobian():
    network, noisy = random_identity_path(), smooth_image(4, 4) + SIGMA * torch.randn(1, 1, 4, 4).double()
    jacobian = torch.func.jacrev(lambda y: network(y.view(1, 1, 4, 4), LEVEL).flatten())(noisy.flatten())
    # The rows of a Hadamard matrix are signs with H^T H = 16 I, so their mean is the trace, not only on average.
    rows = torch.from_numpy(hadamard(16)).double().view(16, 1, 4, 4)
    many = noisy.expand(16, -1, -1, -1)
    estimated = sure(lambda y: network(y, LEVEL), many, LEVEL.expand(16), rows, differentiable=False)
    residual = (network(noisy, LEVEL) - noisy).square().mean()
    divergence = (estimated - residual + SIGMA**2) * 16 / (2 * SIGMA**2)
    products = (rows.flatten(1) @ jacobian * rows.flatten(1)).sum(dim=1)
    torch.testing.assert_close(divergence, products, rtol=1e-10, atol=1e-10)
    assert float(divergence.mean()) == pytest.approx(float(jacobian.trace()), rel=1e-10)


def test_the_risk_estimate_is_differentiated_through_the_divergence():
    network = random_identity_path().requires_grad_()
    noisy = smooth_image(8, 8) + SIGMA * torch.randn(1, 1, 8, 8).double()

    def risk(differentiable):
        return sure(lambda y: network(y, LEVEL), noisy, LEVEL, signs_of(noisy), differentiable=differentiable)

    risk(True).sum().backward()
    for parameter in network.parameters():
        direction = torch.randn_like(parameter)
        step = 1e-5 * direction
        with torch.no_grad():
            parameter += step
            above = risk(False)
            parameter -= 2 * step
            below = risk(False)
            parameter += step
        slope = float((above - below).sum()) / 2e-5
        assert slope == pytest.approx(float((parameter.grad * direction).sum()), rel=1e-5, abs=1e-10)


def test_neighbors_are_different_adjacent_pixels_of_each_cell():
    rows, columns = torch.meshgrid(torch.arange(8.0), torch.arange(12.0), indexing="ij")
    images = [place.expand(2, 1, 8, 12).contiguous() for place in (rows, columns)]
    masks = Neighbor2Neighbor.generate_mask_pair(images[0])
    first, second = (
        torch.stack([Neighbor2Neighbor.generate_subimages(place, mask) for place in images]) for mask in masks
    )
    assert torch.equal((first - second).abs().sum(dim=0), torch.ones(2, 1, 4, 6))
    cells = torch.stack([rows[::2, ::2], columns[::2, ::2]]).div(2).floor()
    for place in (first, second):
        assert torch.equal(place.div(2).floor(), cells[:, None, None].expand_as(place))


def test_the_prediction_of_neighbors_measures_the_error_for_noise_of_any_distribution():
    # On a constant image the neighbors have the same mean: the error of prediction is that of denoising plus the
    # variance of the noise. Squared noise is not Gaussian, and its mean is made zero.
    network, clean, draws = random_identity_path(), 0.5, 2000
    noise = SIGMA * (torch.randn(draws, 1, 8, 8, dtype=torch.float64).square() - 1)
    seen = []

    def denoise(y):
        denoised = network(y, LEVEL)
        seen.append(denoised)
        return denoised

    predicted = neighbor2neighbor(denoise, clean + noise, seed=3, consistency=0)
    true = (seen[0] - clean).square().flatten(1).mean(dim=1)
    difference = predicted - true - noise.square().mean()
    assert abs(float(difference.mean())) < 4 * standard_error(difference)


def test_neighbors_follow_from_the_seed_and_leave_the_global_state():
    network, noisy = random_identity_path(), torch.rand(2, 1, 8, 8, dtype=torch.float64)
    state = torch.random.get_rng_state()
    one, same, other = (neighbor2neighbor(lambda y: network(y, LEVEL), noisy, seed) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(torch.random.get_rng_state(), state)
