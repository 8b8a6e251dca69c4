"""The lines that a photo does not show, in graphs: the preconditioner is that of `gradprox.physics`."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gradprox.export.graph.fourier_blur import FourierBlur, Spectrum
from gradprox.export.graph.hidden_lines import Pair, first_predictor, inverses, next_predictor
from gradprox.networks.linear_systems import first_iterate, next_iterate, small_energy
from gradprox.physics import ValidBlur, disk_kernel, gaussian_kernel, motion_kernel
from gradprox.physics.convolution_fit import Hidden, System
from gradprox.physics.starts import margins

KERNELS = {
    "motion": motion_kernel(7, 30.0).double(),
    "disk": disk_kernel(3.0).double(),
    "rows alone": torch.full((1, 1, 5, 1), 0.2, dtype=torch.float64),
    "columns alone": torch.full((1, 1, 1, 4), 0.25, dtype=torch.float64),
    "one pixel": torch.ones(1, 1, 1, 1, dtype=torch.float64),
}
WEIGHTS = torch.tensor([1e-6, 1e-3, 0.1], dtype=torch.float64)


def blur_of(kernel: Tensor, size: tuple[int, int]) -> FourierBlur:
    return FourierBlur(kernel, "valid", Spectrum.of(kernel, *size))


def numbers_of(kernel: Tensor, most: int = 100) -> tuple[Tensor, Tensor]:
    rows, columns = (torch.arange(min(size - 1, most)) for size in kernel.shape[-2:])
    return rows, columns


def inverse_of(couplings: Pair) -> Tensor:
    predictor = first_predictor(couplings)
    for number in range(couplings.real.shape[-1]):
        predictor = next_predictor(predictor, couplings, torch.tensor(number))
    return inverses(predictor)


def borders_of(blur: FourierBlur, weights: Tensor, most: int = 100) -> tuple[Tensor, ...]:
    numbers = numbers_of(blur.kernel, most)
    return (*numbers, *(inverse_of(couplings) for couplings in blur.couplings(weights, *numbers)))


@pytest.mark.parametrize("name", KERNELS)
def test_inverses_of_the_matrices_of_hidden_lines(name: str) -> None:
    kernel = KERNELS[name]
    for couplings in blur_of(kernel, (24, 25)).couplings(WEIGHTS, *numbers_of(kernel)):
        column = torch.complex(*couplings)
        count = column.shape[-1]
        places = torch.arange(count)
        distance = places[:, None] - places
        matrices = column[..., distance.abs()]
        matrices = torch.where(distance >= 0, matrices, matrices.conj())
        found = inverse_of(couplings)
        products = torch.complex(found[..., :count, :count], found[..., count:, :count]) @ matrices
        expected = torch.eye(count, dtype=products.dtype).expand_as(products)
        torch.testing.assert_close(products, expected, rtol=0, atol=1e-8)
        torch.testing.assert_close(
            found, found.mT, rtol=1e-12, atol=0
        )  # symmetric: these matrices are Hermitian
        torch.testing.assert_close(found[..., :count, :count], found[..., count:, count:], rtol=0, atol=0)


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("size", [(24, 25), (23, 30)])
def test_the_preconditioner_is_that_of_the_library(name: str, size: tuple[int, int]) -> None:
    kernel = KERNELS[name]
    blur = blur_of(kernel, size)
    x = torch.randn(3, 2, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    coordinates = blur.coordinates(x)
    found = blur.images(
        blur.precondition(coordinates, WEIGHTS.view(3, 1, 1, 1, 1), borders_of(blur, WEIGHTS))
    )
    frame = [
        slice(before, length - after)
        for (before, after), length in zip(map(margins, kernel.shape[-2:]), size, strict=True)
    ]
    centered = torch.zeros(1, 1, *size, dtype=torch.float64)
    centered[..., : kernel.shape[-2], : kernel.shape[-1]] = kernel
    centered = centered.roll([-(length // 2) for length in kernel.shape[-2:]], (-2, -1))
    for image, weight, expected in zip(x, WEIGHTS, found, strict=True):
        system = System(torch.fft.rfft2(centered), size, (frame[0], frame[1]), float(weight))
        near = torch.fft.rfft2(image[:, None]) * system.inverse
        hidden = torch.fft.irfft2(near * system.response, s=size)
        hidden[..., frame[0], frame[1]] = 0
        back = torch.fft.rfft2(system.precondition(hidden, Hidden())) * system.response.conj()
        solved = torch.fft.irfft2(near + back * system.inverse, s=size)
        torch.testing.assert_close(solved[:, 0], expected, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("most", [2, 100])
@pytest.mark.parametrize("weight", [1e-8, 1e-3, 1.0])
def test_the_preconditioner_is_symmetric_and_positive(weight: float, most: int) -> None:
    """With some of the hidden lines, too: there are files for kernels with more lines than it takes."""
    blur, size = blur_of(KERNELS["motion"], (12, 11)), 132
    weights = torch.full((1,), weight, dtype=torch.float64)
    units = blur.coordinates(torch.eye(size, dtype=torch.float64).view(size, 1, 12, 11))
    found = blur.precondition(units, weights.view(1, 1, 1, 1, 1), borders_of(blur, weights, most))
    matrix = units.flatten(1) @ found.flatten(1).T
    torch.testing.assert_close(matrix, matrix.T, rtol=1e-8, atol=1e-8 * float(matrix.abs().max()))
    assert torch.linalg.eigvalsh((matrix + matrix.T) / 2).min() > 0


@pytest.mark.parametrize(
    ("kernel", "most"),
    [(disk_kernel(3.0), 7), (gaussian_kernel(1.6), 5), (KERNELS["rows alone"], 1)],
    ids=["disk", "gaussian", "rows alone"],
)
def test_fits_take_few_iterations(kernel: Tensor, most: int) -> None:
    kernel = kernel.double()
    physics, blur = ValidBlur(kernel, (90, 84)), blur_of(kernel, (90, 84))
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(1, 1, 90, 84, dtype=torch.float64, generator=generator)
    weights = torch.full((1,), 1e-3, dtype=torch.float64)
    weight = weights.view(1, 1, 1, 1, 1)
    right = blur.coordinates(physics.A_adjoint(physics.A(x)) + 1e-3 * x)
    borders = borders_of(blur, weights)

    def operator(v: Tensor) -> Tensor:
        return blur.normal_operator(v, weight)

    def precondition(v: Tensor) -> Tensor:
        return blur.precondition(v, weight, borders)

    state, enough = first_iterate(operator, right, None, precondition), small_energy(right, 1e-6)
    for _ in range(most):
        state = next_iterate(operator, state, enough, precondition)
    assert not bool(state.solvable(enough))
    residual = blur.normal_operator(state.x, weight) - right
    assert residual.norm() <= 1.1e-6 * right.norm()
