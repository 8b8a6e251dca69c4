"""Posterior deviations: exact for a Gaussian whose posterior is known, near the true diagonal for the network."""

from __future__ import annotations

import pytest
import torch

from gradprox.certificates import dense_jacobian
from gradprox.priors import posterior_deviation, uncertainty


def gaussian_denoiser(covariance):
    """Return the posterior mean of a zero-mean Gaussian image: ``C (C + sigma^2)^{-1} y``."""

    def denoise(y, sigma):
        noise = sigma.item() ** 2 * torch.eye(len(covariance), dtype=y.dtype)
        return (y.flatten(1) @ torch.linalg.solve(covariance + noise, covariance)).view_as(y)

    return denoise


def test_deviations_of_a_gaussian_are_those_of_its_posterior():
    # Neighboring pixels are correlated, exp(-distance / 2), and vary the more the further right they are.
    height, width, sigma = 6, 8, 0.3
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    places = torch.stack([rows.flatten(), columns.flatten()], dim=1).double()
    amplitude = 0.2 + 0.1 * places[:, 1]
    covariance = torch.exp(-torch.cdist(places, places) / 2) * amplitude * amplitude[:, None]
    precision = torch.linalg.inv(covariance) + torch.eye(len(places), dtype=torch.float64) / sigma**2
    expected = torch.linalg.inv(precision).diagonal().sqrt().view(1, 1, height, width)
    y = torch.rand(1, 1, height, width, dtype=torch.float64)
    # Probes of one pixel each are exact.
    exact = posterior_deviation(gaussian_denoiser(covariance), y, sigma, spacing=8)
    torch.testing.assert_close(exact.deviation, expected, rtol=1e-12, atol=0)
    assert exact.error.max() < 1e-12
    # Probes of several pixels are off by about what they say.
    rough = posterior_deviation(gaussian_denoiser(covariance), y, sigma, spacing=2, repeats=40)
    off = (rough.deviation - expected).abs()
    assert rough.error.max() > 1e-3
    assert (off <= 4 * rough.error + 1e-12).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_deviations_are_the_diagonal_of_the_jacobian(make_network, channels):
    network, sigma = make_network(channels=channels), torch.tensor([0.1], dtype=torch.float64)
    y = torch.rand(1, channels, 7, 9, dtype=torch.float64)
    J = dense_jacobian(lambda v: network(v, sigma), y)
    expected = 0.1 * J.diagonal().sqrt().view_as(y)
    found = posterior_deviation(network, y, sigma, spacing=9)
    torch.testing.assert_close(found.deviation, expected, rtol=1e-10, atol=0)


def test_windows_change_nothing(make_network, monkeypatch):
    network = make_network(kernel_size=2)
    sigma = torch.tensor([0.1], dtype=torch.float64)
    y = torch.rand(1, 1, 10, 15, dtype=torch.float64)
    whole = posterior_deviation(network, y, sigma, spacing=15)
    monkeypatch.setattr(uncertainty, "WINDOW", 6)
    shares = []
    tiled = posterior_deviation(network, y, sigma, spacing=15, halo=network.radius, report=shares.append)
    torch.testing.assert_close(tiled.deviation, whole.deviation, rtol=1e-10, atol=0)
    assert len(shares) == 6
    assert shares[-1] == 1
    # The planted fault: a halo that is too small.
    short = posterior_deviation(network, y, sigma, spacing=15, halo=network.radius - 2)
    assert (short.deviation - whole.deviation).abs().max() > 1e-6


def test_one_repeat_has_no_error_and_is_refused(make_network):
    with pytest.raises(ValueError, match="at least 2 repeats"):
        posterior_deviation(make_network(), torch.rand(1, 1, 5, 5, dtype=torch.float64), 0.1, repeats=1)
