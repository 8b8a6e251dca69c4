"""Blur by Fourier transforms in graphs: the operators of `gradprox.physics`, in double precision."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gradprox.export.graph.fourier_blur import FourierBlur, Spectrum, valid_squared_norm
from gradprox.physics import CircularBlur, ValidBlur

SIZES = [((12, 13), (4, 5)), ((31, 16), (3, 6)), ((1, 1), (1, 1)), ((7, 1), (2, 1)), ((20, 21), (9, 11))]


def case(size: tuple[int, int], kernel_size: tuple[int, int]) -> tuple[Tensor, Tensor, Spectrum]:
    generator = torch.Generator().manual_seed(0)
    kernel = torch.rand(1, 1, *kernel_size, generator=generator, dtype=torch.float64) - 0.2
    x = torch.rand(2, 3, *size, generator=generator, dtype=torch.float64)
    return kernel, x, Spectrum.of(kernel, *size)


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("size", "kernel_size"), SIZES)
def test_a_blur_and_its_adjoint(size: tuple[int, int], kernel_size: tuple[int, int]) -> None:
    kernel, x, spectrum = case(size, kernel_size)
    for boundary, physics in (
        ("circular", CircularBlur(kernel, size, 3)),
        ("valid", ValidBlur(kernel, size)),
    ):
        blur, y = FourierBlur(kernel, boundary, spectrum), physics.A(x)
        close(blur.A(x), y)
        close(blur.A_adjoint(y), physics.A_adjoint(y))
        normal = spectrum.inverse(blur.normal_operator(spectrum.transform(x), 0.1))
        close(normal, physics.A_adjoint(physics.A(x)) + 0.1 * x)
        near = spectrum.inverse(
            blur.precondition(spectrum.transform(x), torch.tensor(0.1, dtype=torch.float64))
        )
        inverse = CircularBlur(kernel, size, 3).regularized_inverse(x / 0.1, torch.zeros_like(x), 0.1)
        close(near, inverse)


@pytest.mark.parametrize(("size", "kernel_size"), SIZES)
def test_coordinates_are_orthonormal(size: tuple[int, int], kernel_size: tuple[int, int]) -> None:
    _, x, spectrum = case(size, kernel_size)
    coordinates = spectrum.transform(x)
    close(spectrum.inverse(coordinates), x)
    close(coordinates.square().flatten(1).sum(1), x.square().flatten(1).sum(1))
    other = torch.flip(x, (0,))
    close((coordinates * spectrum.transform(other)).sum(), (x * other).sum())


@pytest.mark.parametrize("size", [(5, 4), (23, 29), (47, 101), (96, 97)])
def test_the_norm_of_a_valid_blur(size: tuple[int, int]) -> None:
    """Its period is not the size of the image, and the largest response of this kernel is between its frequencies."""
    kernel = torch.randn(1, 1, 4, 3, generator=torch.Generator().manual_seed(size[0]))
    expected = ValidBlur(kernel.double(), size).squared_norm()
    assert float(valid_squared_norm(kernel, *size)) == pytest.approx(expected, rel=1e-12)
