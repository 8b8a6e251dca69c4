"""Inversion of a learned prox: against images whose preimage is known, closed forms, and where there is none."""

from __future__ import annotations

import pytest
import torch

from gradprox.networks import (
    Composed,
    ConicSum,
    Dense,
    Identity,
    IdentityPath,
    IdentityPathConfig,
    MGradNetC,
    MGradNetM,
    TanhSum,
)
from gradprox.priors import LearnedProx, invert


def images(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def convolutional():
    torch.manual_seed(0)
    linear = MGradNetM.conv(1, 9, 3, modules=1, activation=Identity)
    return LearnedProx(ConicSum([linear, MGradNetC.conv(1, 6, 3, activation=TanhSum)])).double()


def identity_path():
    torch.manual_seed(0)
    return LearnedProx(IdentityPath(IdentityPathConfig(kernel_size=4))).double()


@pytest.mark.parametrize("build", [convolutional, identity_path])
def test_finds_a_preimage_and_the_value_there(build):
    operator, y = build(), images(2, 1, 12, 10)
    x = operator(y, 0.1).detach()
    found = invert(operator, x, 0.1, tol=1e-9)
    assert found.converged.all(), found.residual
    assert found.steps < 300
    assert torch.linalg.vector_norm(operator(found.y, 0.1) - x) <= 1e-9 * torch.linalg.vector_norm(x)
    # phi at an output is known exactly from the input that gave it.
    torch.testing.assert_close(found.value, operator.value(y, 0.1).detach(), rtol=1e-8, atol=1e-10)


def test_value_where_no_output_is_known():
    # D = W^T W is the prox of x^T ((W^T W)^-1 - I) x / 2, known at every x.
    torch.manual_seed(0)
    network = Composed(Dense(6, 9, bias=False), Identity(9)).double()
    W, x = network.operator.weight.detach(), images(3, 1, 2, 3)
    found = invert(LearnedProx(network).double(), x, 0.0, tol=1e-11)
    flat = x.flatten(1)
    hessian = torch.linalg.inv(W.T @ W) - torch.eye(6, dtype=torch.float64)
    expected = torch.einsum("bi,ij,bj->b", flat, hessian, flat) / 2
    assert found.converged.all()
    torch.testing.assert_close(found.value, expected, rtol=1e-9, atol=1e-12)


def test_an_unconverged_value_is_a_lower_bound():
    operator, y = convolutional(), images(1, 1, 12, 10)
    x = operator(y, 0.1).detach()
    exact = operator.value(y, 0.1)
    for steps in (1, 3, 6):
        found = invert(operator, x, 0.1, tol=1e-12, max_iter=steps)
        assert not found.converged.any()
        assert found.steps == steps
        assert (found.value <= exact + 1e-10).all()


def test_images_of_a_batch_converge_by_themselves():
    operator = convolutional()
    x = operator(images(2, 1, 8, 8), 0.1).detach()
    x[1] *= 10
    together = invert(operator, x, 0.1, tol=1e-8)
    alone = invert(operator, x[:1], 0.1, tol=1e-8)
    torch.testing.assert_close(together.y[:1], alone.y, rtol=0, atol=1e-6)


def test_says_when_there_is_no_inverse():
    torch.manual_seed(0)
    # Tanh is bounded, and so is the range of W^T tanh(W x).
    operator = LearnedProx(MGradNetC.conv(1, 4, 3, layers=1, activation=TanhSum)).double()
    found = invert(operator, 1e3 * images(1, 1, 6, 6), 0.1, max_iter=50)
    assert not found.converged.any()
    assert (found.residual > 0.1).all()


def test_fixed_points_take_no_step_and_inputs_stay():
    operator = LearnedProx(Composed(Dense(4, 4, bias=False), Identity(4))).double()
    with torch.no_grad():
        operator.network.operator.weight.copy_(torch.eye(4))
    x = images(1, 1, 2, 2)
    before = x.clone()
    found = invert(operator, x, 0.0)
    assert found.steps == 0
    assert torch.equal(found.y, before)
    assert torch.equal(x, before)


@pytest.mark.parametrize("settings", [{"tol": 0.0}, {"max_iter": 0}, {"tol": float("nan")}])
def test_illegal_settings_are_refused(settings):
    with pytest.raises(ValueError, match="must be positive"):
        invert(convolutional(), images(1, 1, 4, 4), 0.1, **settings)
