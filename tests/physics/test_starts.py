"""Where reconstructions with deepinv's own operators start, and one method that makes a physics known."""

from __future__ import annotations

import deepinv
import pytest
import torch

from gradprox.errors import InputError
from gradprox.physics import (
    Inpainting,
    ValidBlur,
    gaussian_kernel,
    initial_image,
    motion_kernel,
    squared_norm,
)
from gradprox.solvers import HQS, PGD

SIZE = (14, 17)


def test_a_valid_blur_of_deepinv_is_restored_as_ours(prox, make_image):
    for kernel in (motion_kernel(5, 30).double(), torch.rand(1, 1, 4, 3, dtype=torch.float64) / 12):
        ours, theirs = ValidBlur(kernel, SIZE), deepinv.physics.Blur(kernel, padding="valid")
        y = ours.A(make_image(*SIZE))
        torch.testing.assert_close(theirs.A(make_image(*SIZE)), y)
        assert torch.equal(initial_image(y, theirs), ours.initial(y))
        solver = HQS(sigma=0.05, lambda_reg=0.1, max_iter=4)
        torch.testing.assert_close(solver(y, theirs, prox).x, solver(y, ours, prox).x, rtol=0, atol=1e-5)


def space_varying(mask_first):
    """Return two blurs, mixed from left to right."""
    filters = torch.stack([gaussian_kernel(0.4), gaussian_kernel(0.4).roll(1, -1)], dim=2).double()
    height, width = SIZE if mask_first else (SIZE[0] - filters.shape[-2] + 1, SIZE[1] - filters.shape[-1] + 1)
    ramp = torch.linspace(0, 1, width, dtype=torch.float64).expand(1, 1, height, width)
    multipliers = torch.stack([ramp, 1 - ramp], dim=2)
    return deepinv.physics.SpaceVaryingBlur(filters, multipliers, padding="valid", mask_first=mask_first)


@pytest.mark.parametrize(
    "physics",
    [
        deepinv.physics.Blur(gaussian_kernel(0.8).double(), padding="valid"),
        space_varying(mask_first=True),
        space_varying(mask_first=False),
        *(
            deepinv.physics.Downsampling((1, 16, 20), filter=name, factor=2, padding=padding).double()
            for name, padding in (("bicubic", "circular"), ("gaussian", "valid"), (None, "circular"))
        ),
        deepinv.physics.Demosaicing((16, 20)).double(),
    ],
    ids=["blur", "space-varying", "masked blurs", "bicubic", "valid downsampling", "decimation", "mosaic"],
)
def test_measurements_of_a_flat_image_start_at_this_image(physics):
    channels, size = (3, (16, 20)) if isinstance(physics, deepinv.physics.Demosaicing) else (1, SIZE)
    size = (16, 20) if isinstance(physics, deepinv.physics.Downsampling) else size
    flat = torch.full((2, channels, *size), 0.7, dtype=torch.float64)
    start = initial_image(physics.A(flat), physics)
    torch.testing.assert_close(start, flat, rtol=0, atol=0.05)  # a dark frame is off by 0.3


def test_missing_pixels_of_deepinv_are_filled_as_ours():
    mask = (torch.rand(1, 1, *SIZE) < 0.3).double()
    theirs = deepinv.physics.Inpainting((1, *SIZE), mask=mask)
    y = theirs.A(torch.rand(2, 1, *SIZE, dtype=torch.float64))
    assert torch.equal(initial_image(y, theirs), Inpainting(mask).initial(y))


class Halved(deepinv.physics.LinearPhysics):
    """A physics of a user, with one method of the contract."""

    def A(self, x, **_):
        return x / 2

    def A_adjoint(self, y, **_):
        return y / 2


def test_one_method_is_enough_for_a_proven_norm(prox):
    class Known(Halved):
        def squared_norm(self):
            return 0.25

    y = torch.rand(1, 1, *SIZE, dtype=torch.float64)
    assert squared_norm(Known()) == 0.25
    assert PGD(sigma=0.1, stepsize=3.9, max_iter=2)(y, Known(), prox).objective_increases.tolist() == [0]
    with pytest.raises(InputError, match=r"lipschitz=.*method squared_norm\(\)"):
        squared_norm(Halved())


def test_one_method_is_enough_for_a_start_or_a_closed_form(prox):
    class Starting(Halved):
        def initial(self, y):
            return 2 * y

    class Inverted(Halved):
        def regularized_inverse(self, z, y, weight):
            return (y / 2 + weight * z) / (0.25 + weight)

    y = torch.rand(1, 1, *SIZE, dtype=torch.float64)
    assert torch.equal(initial_image(y, Starting()), 2 * y)
    solver = HQS(sigma=0.1, lambda_reg=0.3, max_iter=2)
    applied = []
    by_formula = solver(y, Inverted(), prox).x
    torch.testing.assert_close(by_formula, solver(y, Halved(), prox).x, rtol=0, atol=1e-5)
    counted = Inverted()
    counted.A = lambda x, **_: applied.append(1) or x / 2
    solver(y, counted, prox)
    assert len(applied) < 8  # conjugate gradients would apply it at every iteration
