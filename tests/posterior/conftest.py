"""A prior whose posterior is Gaussian, and the same posterior as dense matrices."""

from __future__ import annotations

import pytest
import torch

from gradprox.batch import image_sum
from gradprox.physics import CircularBlur, HadamardSensing

SIZE = (4, 6)


class LinearPrior:
    """``D(x) = K x`` with a symmetric matrix ``K``, so ``R(x) = <x, (I - K) x>/2``."""

    name, is_prox = "linear", False

    def __init__(self, matrix):
        self.matrix = matrix

    def __call__(self, y, sigma):
        return (y.flatten(1) @ self.matrix).view_as(y)

    def denoise_with_energy(self, y, sigma):
        denoised = self(y, sigma)
        return denoised, image_sum(y * (y - denoised)) / 2

    def regularizer(self, x, sigma):
        return self.denoise_with_energy(x, sigma)[1]

    def regularizer_grad(self, x, sigma):
        return x - self(x, sigma)

    def lipschitz_bound(self):
        return float(torch.linalg.eigvalsh(self.matrix).abs().max())

    def curvature_bound(self):
        return 1 + self.lipschitz_bound()


@pytest.fixture
def covariance():
    """Of an image of SIZE: neighbors are correlated, exp(-distance / 2), and vary more the further right they are."""
    rows, columns = torch.meshgrid(*map(torch.arange, SIZE), indexing="ij")
    places = torch.stack([rows.flatten(), columns.flatten()], dim=1).double()
    amplitude = 0.2 + 0.1 * places[:, 1]
    return torch.exp(-torch.cdist(places, places) / 2) * amplitude * amplitude[:, None]


@pytest.fixture
def gaussian_prior(covariance):
    """Return the posterior mean of images with that covariance and with noise of a level."""

    def build(sigma):
        noisy = covariance + sigma**2 * torch.eye(len(covariance), dtype=torch.float64)
        return LinearPrior(torch.linalg.solve(noisy, covariance))

    return build


@pytest.fixture
def linear_prior():
    return LinearPrior


def blur():
    kernel = torch.tensor([[0.0, 1, 0], [1, 3, 1], [0, 1, 2]], dtype=torch.float64)
    return CircularBlur(kernel[None, None] / kernel.sum(), SIZE)


def sensing():
    return HadamardSensing(SIZE, 8)


@pytest.fixture(params=[blur, sensing], ids=["blur", "sensing"])
def physics(request):
    return request.param()


@pytest.fixture
def matrix_of():
    """Return the matrix of a physics on images of SIZE."""

    def build(physics):
        pixels = SIZE[0] * SIZE[1]
        images = torch.eye(pixels, dtype=torch.float64).view(pixels, 1, *SIZE)
        return torch.cat([physics.A(image[None]).flatten(1) for image in images]).T

    return build
