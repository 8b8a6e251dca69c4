"""Blur with mirrored borders in graphs: the operators and fits of `gradprox.physics.SymmetricBlur`."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gradprox.export.graph.fit_steps import FirstBound, NextBound
from gradprox.export.graph.mirrored_blur import Cosines, MirroredBlur, is_mirror_image
from gradprox.export.graph.problem import Deblurring
from gradprox.physics import SymmetricBlur, disk_kernel, gaussian_kernel, motion_kernel
from gradprox.physics.symmetric_blur import BOUNDS

SIZES = [((12, 13), (4, 5)), ((31, 16), (3, 6)), ((1, 1), (1, 1)), ((7, 2), (7, 1)), ((40, 37), (9, 20))]


def case(size: tuple[int, int], kernel: Tensor) -> tuple[Tensor, MirroredBlur, SymmetricBlur]:
    x = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return x, MirroredBlur(kernel, Cosines.of(kernel, *size)), SymmetricBlur(kernel, size)


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("size", "kernel_size"), SIZES)
def test_a_blur_and_its_adjoint(size: tuple[int, int], kernel_size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(1)
    kernel = torch.rand(1, 1, *kernel_size, generator=generator, dtype=torch.float64) - 0.2
    kernel /= kernel.abs().sum()
    x, blur, physics = case(size, kernel)
    y = physics.A(x)
    close(blur.A(x), y)
    close(blur.A_adjoint(y), physics.A_adjoint(y))
    close(blur.normal_operator(x, torch.tensor(0.1, dtype=torch.float64)), physics.A_adjoint(y) + 0.1 * x)


@pytest.mark.parametrize("kernel", [gaussian_kernel(1.3), disk_kernel(2.5)], ids=["gaussian", "disk"])
def test_a_fit_in_closed_form(kernel: Tensor) -> None:
    x, blur, physics = case((23, 18), kernel.double())
    z, weight = x.flip(0), torch.full((1, 1, 1, 1), 0.03, dtype=torch.float64)
    y = physics.A(x)
    expected = physics.regularized_inverse(z, y, 0.03)
    assert expected is not None
    close(blur.closed_fit(z, y, blur.back(y), weight), expected)


@pytest.mark.parametrize(
    "kernel",
    [
        gaussian_kernel(1.0),
        disk_kernel(3),
        motion_kernel(9, 0),
        motion_kernel(9, 45),
        torch.ones(1, 1, 2, 3) / 6,
    ],
)
def test_kernels_with_a_closed_form_are_known(kernel: Tensor) -> None:
    physics = SymmetricBlur(kernel, (30, 30))
    assert bool(is_mirror_image(kernel)) == (physics.eigenvalues is not None)


def test_the_bound_of_the_norm() -> None:
    kernel = torch.rand(1, 1, 3, 4, generator=torch.Generator().manual_seed(0)) - 0.2
    problem = Deblurring("symmetric")
    known = (kernel, *problem.transform(torch.zeros(1, 1, 9, 11), kernel))
    bound, weights, needed = FirstBound(problem)(torch.zeros(1, 1, 9, 11), is_mirror_image(kernel), known)
    assert needed
    for _ in range(BOUNDS):
        bound, weights = NextBound(problem)(bound, weights, known)
    assert float(bound) == pytest.approx(SymmetricBlur(kernel, (9, 11)).squared_norm(), rel=1e-12)
    mirrored = (
        kernel[..., :3] + kernel[..., :3].flip(-1) + kernel[..., :3].flip(-2) + kernel[..., :3].flip(-1, -2)
    )
    known = (mirrored, *problem.transform(torch.zeros(1, 1, 9, 11), mirrored))
    exact, _, needed = FirstBound(problem)(torch.zeros(1, 1, 9, 11), is_mirror_image(mirrored), known)
    assert not needed
    assert float(exact) == pytest.approx(SymmetricBlur(mirrored, (9, 11)).squared_norm(), rel=1e-12)
