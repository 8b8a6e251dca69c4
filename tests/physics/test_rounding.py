"""A blur of a nonnegative image with a nonnegative kernel is not negative, and stays a linear map."""

from __future__ import annotations

import deepinv
import pytest
import torch

from gradprox.physics import (
    CircularBlur,
    SuperResolution,
    SymmetricBlur,
    ValidBlur,
    disk_kernel,
    motion_kernel,
)

SIZE = (24, 27)
BLURS = {
    "circular": lambda kernel: CircularBlur(kernel, SIZE),
    "valid": lambda kernel: ValidBlur(kernel, SIZE),
    "symmetric": lambda kernel: SymmetricBlur(kernel, SIZE),
    "super-resolution": lambda kernel: SuperResolution(SIZE, 3, kernel),
}


def stars():
    """Return an image that is black but for some points."""
    torch.manual_seed(0)
    return (torch.rand(2, 1, *SIZE) > 0.98).float()


@pytest.mark.parametrize("blur", BLURS)
@pytest.mark.parametrize("kernel", [disk_kernel(2.5), motion_kernel(7, 30)], ids=["disk", "motion"])
def test_poisson_noise_of_deepinv_accepts_every_blur_of_a_nonnegative_image(blur, kernel):
    physics, x = BLURS[blur](kernel), stars()
    assert float(physics.A(x).min()) >= 0
    noise = deepinv.physics.PoissonNoise(gain=0.01)
    assert noise(physics.A(x)).isfinite().all()
    physics.noise_model = noise
    assert physics(x).isfinite().all()


@pytest.mark.parametrize("blur", BLURS)
def test_only_rounding_is_removed(blur):
    single, double = BLURS[blur](disk_kernel(2.5)), BLURS[blur](disk_kernel(2.5).double())
    for x in (stars(), -stars(), stars() - 0.5):
        exact = double.A(x.double())
        torch.testing.assert_close(single.A(x).double(), exact, rtol=0, atol=1e-6)
    signed = torch.tensor([[1.0, -2.0, 1.0]])[None, None].double()
    x = stars().double()
    assert float(BLURS[blur](signed).A(x).min()) < -0.5


@pytest.mark.filterwarnings(
    "ignore:.torch.jit.script:FutureWarning"
)  # torch.func.jvp loads scripts of its own
@pytest.mark.parametrize("blur", BLURS)
def test_the_map_stays_linear_and_its_derivative_is_the_adjoint(blur):
    physics, x = BLURS[blur](disk_kernel(2.5).double()), stars().double()
    other = torch.randn_like(x)
    torch.testing.assert_close(physics.A(x) + physics.A(other), physics.A(x + other), rtol=0, atol=1e-13)
    y, pullback = torch.func.vjp(physics.A, x)
    cotangent = torch.randn_like(y)
    torch.testing.assert_close(pullback(cotangent)[0], physics.A_adjoint(cotangent), rtol=0, atol=1e-13)
    _, tangent = torch.func.jvp(physics.A, (x,), (other,))
    torch.testing.assert_close(tangent, physics.A(other), rtol=0, atol=1e-13)
