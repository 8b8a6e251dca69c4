"""Least-squares fits of blurs by their hidden measurements."""

import pytest
import torch

from gradprox.images import EXAMPLE_IMAGE, read_gray
from gradprox.networks import linear_systems
from gradprox.physics import ValidBlur, convolution_fit, disk_kernel, gaussian_kernel, motion_kernel
from gradprox.physics.convolution_fit import Hidden, System
from tests.physics.cases import CASES

SIZE = (12, 10)
RESPONSE = torch.fft.rfft2(motion_kernel(5, 30.0).double(), s=SIZE)
FRAME = (slice(4, 11), slice(4, 10))
WEIGHTS = torch.rand(1, 1, 7, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
MASKS = {"all seen": None, "inequalities": WEIGHTS > 0.4, "weights": WEIGHTS * (WEIGHTS > 0.2)}


def matrix_of(linear):
    """Return the matrix of a map of images ``SIZE``."""
    units = torch.eye(SIZE[0] * SIZE[1], dtype=torch.float64).view(-1, 1, *SIZE)
    return linear(units).flatten(1).T


def measured(mask):
    """Return ``W``, as images ``SIZE``."""
    values = torch.zeros(1, 1, *SIZE, dtype=torch.float64)
    values[..., FRAME[0], FRAME[1]] = 1 if mask is None else mask.double()
    return values


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", [name for name in CASES if name.startswith(("valid", "circular"))])
def test_fits_solve_their_equations(name, weighted):
    build, shape, _ = CASES[name]
    physics = build().double()
    right, start = torch.randn(2, 2, *shape, dtype=torch.float64)
    seen = physics.A(start)
    weights = 4 * torch.rand_like(seen) * (torch.rand_like(seen) > 0.2) if weighted else None
    x = physics.solve_fit(right, 0.01, start, weights, 1e-12)
    back = physics.A_adjoint(physics.A(x) if weights is None else weights * physics.A(x)) + 0.01 * x
    assert (back - right).norm() <= 1e-11 * right.norm()


def test_one_weight_for_all_measurements():
    physics = ValidBlur(motion_kernel(5, 30.0).double(), (12, 10))
    right, start = torch.randn(2, 2, 3, 12, 10, dtype=torch.float64)
    weighted = physics.solve_fit(2 * right, 0.02, start, torch.tensor(2.0).double(), 1e-12)
    torch.testing.assert_close(weighted, physics.solve_fit(right, 0.01, start, None, 1e-12))


def test_images_of_a_batch_do_not_see_the_weights_of_each_other():
    physics = ValidBlur(motion_kernel(5, 30.0).double(), (12, 10))
    right, start = torch.randn(2, 2, 3, 12, 10, dtype=torch.float64)
    # A loose tolerance: converged images agree anyway, and few steps amplify rounding little.
    weights = torch.rand_like(physics.A(start)) * torch.tensor([1.0, 50.0]).double()[:, None, None, None]
    together = physics.solve_fit(right, 0.5, start, weights, 1e-2)
    for image in range(2):
        one = slice(image, image + 1)
        alone = physics.solve_fit(right[one], 0.5, start[one], weights[one], 1e-2)
        torch.testing.assert_close(together[one], alone, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("nothing", [torch.zeros_like(WEIGHTS), torch.zeros_like(WEIGHTS, dtype=torch.bool)])
def test_without_a_measurement_the_fit_is_the_image_of_the_prior(nothing):
    z = torch.randn(1, 1, *SIZE, dtype=torch.float64)
    found = System(RESPONSE, SIZE, FRAME, 0.1).solve(0.1 * z, torch.zeros_like(z), Hidden.of(nothing), 1e-12)
    torch.testing.assert_close(found, z)


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_the_operator_of_hidden_measurements_is_that_of_its_formula(mask):
    weight = 0.05
    system = System(RESPONSE, SIZE, FRAME, weight)
    values = measured(mask).flatten()
    root = (1 - values).sqrt()
    blur = matrix_of(lambda x: torch.fft.irfft2(torch.fft.rfft2(x) * RESPONSE, s=SIZE))
    spread = weight * torch.linalg.inv(blur @ blur.T + weight * torch.eye(len(blur)).double())
    expected = values.diag() + root.diag() @ spread @ root.diag()
    # The iterations know hidden measurements only: all others are 0.
    hidden = (root > 0).double().diag()
    found = matrix_of(lambda u: system.operator(u * (root > 0).view(SIZE), Hidden.of(mask)))
    torch.testing.assert_close(hidden @ found, hidden @ expected @ hidden)


@pytest.mark.parametrize("steps", [0, 1, 3])
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_a_fit_lowers_its_function_after_any_number_of_steps(mask, steps, monkeypatch):
    monkeypatch.setattr(convolution_fit, "MOST_ITERATIONS", steps)
    weight = 1e-3
    physics = ValidBlur(motion_kernel(5, 30.0).double(), (12, 10))
    y, (z, start) = physics.A(torch.rand(1, 1, 12, 10).double()), torch.rand(2, 1, 1, 12, 10).double()
    weights = torch.rand_like(y) if mask is not None else torch.ones_like(y)
    weights = weights > 0.4 if mask is not None and mask.dtype == torch.bool else weights
    given = None if mask is None else weights

    def value(x):
        return float((weights * (physics.A(x) - y).square()).sum() + weight * (x - z).square().sum())

    # From a start that is almost the solution, too: there is little left to gain.
    right = physics.A_adjoint(weights * y) + weight * z
    solution = physics.solve_fit(right, weight, start, given, 1e-14)
    for first in (start, solution + 1e-3 * torch.randn_like(start)):
        assert value(physics.solve_fit(right, weight, first, given, 0.0)) < value(first)


@pytest.mark.parametrize(
    ("kernel", "size", "most"),
    [
        # The period of the first side is 108: seven rows of zeros follow the image.
        (disk_kernel(3.0), (101, 96), 8),
        (gaussian_kernel(1.6), (96, 90), 6),
        # Hidden rows alone, or hidden columns alone: the preconditioner is the inverse.
        (disk_kernel(3.0).sum(dim=-1, keepdim=True), (100, 96), 1),
        (disk_kernel(3.0).sum(dim=-2, keepdim=True), (100, 96), 1),
    ],
)
def test_fits_take_few_iterations(kernel, size, most, monkeypatch):
    weight = 1e-3
    physics = ValidBlur(kernel.double(), size)
    x = read_gray(EXAMPLE_IMAGE)[..., : size[0], : size[1]].double()
    right = physics.A_adjoint(physics.A(x)) + weight * x
    start, steps = x + 0.1 * torch.randn_like(x), []
    next_iterate = linear_systems.next_iterate

    def counted(*arguments):
        steps.append(arguments)
        return next_iterate(*arguments)

    monkeypatch.setattr(linear_systems, "next_iterate", counted)
    torch.testing.assert_close(physics.solve_fit(right, weight, start, None, 1e-6), x, rtol=0, atol=1e-3)
    assert len(steps) <= most


def test_a_kernel_with_many_hidden_lines_is_fitted_without_their_inverse():
    physics = ValidBlur(torch.ones(1, 1, 131, 131, dtype=torch.float64) / 131**2, (150, 150))
    right, start = torch.randn(2, 1, 1, 150, 150, dtype=torch.float64)
    x = physics.solve_fit(right, 0.1, start, None, 1e-10)
    assert (physics.A_adjoint(physics.A(x)) + 0.1 * x - right).norm() <= 1e-9 * right.norm()


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("weight", [1e-8, 1e-3, 1.0])
def test_the_preconditioner_is_symmetric_and_positive(weight, mask):
    system = System(RESPONSE, SIZE, FRAME, weight)
    matrix = matrix_of(lambda r: system.precondition(r, Hidden.of(mask)))
    torch.testing.assert_close(matrix, matrix.T, rtol=1e-8, atol=1e-8 * float(matrix.abs().max()))
    assert torch.linalg.eigvalsh((matrix + matrix.T) / 2).min() > 0
