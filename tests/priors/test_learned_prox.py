"""`LearnedProx`: it is the prox it claims to be, its values are exact, its input is checked."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gradprox import InputError
from gradprox.batch import image_sum
from gradprox.networks import GradientNetwork
from gradprox.priors import LearnedProx, value_at_prox

SIGMAS = [2 / 255, 15 / 255, 50 / 255]


def beaten_by(prox, y, others, sigma):
    """Say by how much competitors ``x' = D(v)`` beat ``D(y)`` in ``phi(x) + |x - y|^2/2``; at most 0 for a prox."""
    x = prox(y, sigma)
    own = prox.value(y, sigma) + image_sum((x - y).square()) / 2
    rivals = prox(others, sigma)
    theirs = prox.value(others, sigma) + image_sum((rivals - y).square()) / 2
    return float((own - theirs).max() / own.abs())


@pytest.mark.parametrize("sigma", SIGMAS)
def test_no_competitor_beats_the_prox(prox, sigma):
    y = torch.rand(1, 1, 9, 11, dtype=torch.float64)
    near = y + 10.0 ** -torch.randint(0, 5, (500, 1, 1, 1)) * torch.randn(500, 1, 9, 11, dtype=torch.float64)
    assert (
        beaten_by(prox, y, torch.cat([near, torch.rand(500, 1, 9, 11, dtype=torch.float64)]), sigma) <= 1e-12
    )


def test_a_gradient_search_does_not_beat_the_prox(prox):
    y, sigma = torch.rand(1, 1, 9, 11, dtype=torch.float64), 0.1
    v = torch.rand(1, 1, 9, 11, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([v], max_iter=50, line_search_fn="strong_wolfe")

    def objective():
        optimizer.zero_grad()
        total = (prox.value(v, sigma) + image_sum((prox(v, sigma) - y).square()) / 2).sum()
        total.backward()
        return total

    optimizer.step(objective)
    assert beaten_by(prox, y, v.detach(), sigma) <= 1e-12


def test_an_operator_that_is_no_prox_is_beaten(prox):
    # The planted fault: an amplified residual, y - 3 (y - D(y)), is the gradient of a potential but not monotone.
    class Amplified(LearnedProx):
        def denoise_with_energy(self, y, sigma):
            x, envelope = super().denoise_with_energy(y, sigma)
            return y - 3 * (y - x), 3 * envelope

        def forward(self, y, sigma, **_):
            return self.denoise_with_energy(y, sigma)[0]

    amplified = Amplified(prox.network)
    y = 0.5 + 0.02 * torch.randn(1, 1, 9, 11, dtype=torch.float64)
    others = y + 0.3 * torch.randn(1000, 1, 9, 11, dtype=torch.float64)
    assert beaten_by(amplified, y, others, 0.2) > 1e-6


def test_value_is_the_formula_of_gribonval_and_nikolova(prox):
    y, sigma = torch.rand(2, 1, 9, 11, dtype=torch.float64), 0.1
    x = prox(y, sigma)
    formula = image_sum(y * x) - image_sum(x * x) / 2 - prox.potential(y, sigma)
    torch.testing.assert_close(prox.value(y, sigma), formula)
    torch.testing.assert_close(value_at_prox(y, x, prox.regularizer(y, sigma)), formula)


def test_regularizer_has_its_gradient(prox):
    x = torch.rand(2, 1, 9, 11, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(prox.regularizer(x, 0.1).sum(), x)
    torch.testing.assert_close(gradient, prox.regularizer_grad(x, 0.1))


def test_phi_plus_weak_convexity_is_convex_along_segments(prox):
    # phi + m|.|^2/2 at outputs of D: the tangent at x = D(v), slope v - x + m x, lies below.
    m, sigma = prox.weak_convexity(), 0.15
    v = torch.rand(40, 1, 7, 8, dtype=torch.float64)
    x, values = prox(v, sigma), prox.value(v, sigma)
    convex = values + m * image_sum(x * x) / 2
    slope = v - x + m * x
    for i in range(40):
        tangent = convex[i] + image_sum(slope[i : i + 1] * (x - x[i : i + 1]))
        assert (tangent <= convex + 1e-10).all()


def test_colors_are_channels_one_by_one(prox):
    y = torch.rand(2, 3, 9, 11, dtype=torch.float64)
    sigma = torch.tensor([0.05, 0.2], dtype=torch.float64)
    together = prox(y, sigma)
    for b in range(2):
        for c in range(3):
            torch.testing.assert_close(together[b, c], prox(y[b : b + 1, c : c + 1], sigma[b])[0, 0])
    one_by_one = sum(prox.potential(y[:, c : c + 1], sigma) for c in range(3))
    torch.testing.assert_close(prox.potential(y, sigma), one_by_one)


@pytest.mark.parametrize(
    ("y", "sigma", "message"),
    [
        (torch.zeros(3, 4), 0.1, r"expected a tensor \(B, C, H, W\) of float32 or float64"),
        (
            torch.zeros(1, 1, 4, 4, dtype=torch.uint8),
            0.1,
            r"expected a tensor \(B, C, H, W\) of float32 or float64",
        ),
        (torch.zeros(1, 1, 4, 4, dtype=torch.float16), 0.1, "of float32 or float64, got torch.float16"),
        (torch.zeros(1, 1, 4, 4, dtype=torch.bfloat16), 0.1, "of float32 or float64, got torch.bfloat16"),
        (torch.zeros(1, 1, 4, 4, dtype=torch.complex64), 0.1, "of float32 or float64, got torch.complex64"),
        (torch.zeros(1, 1, 0, 4), 0.1, r"expected a tensor \(B, C, H, W\) of float32 or float64"),
        (torch.zeros(1, 1, 4, 4), -0.1, "not negative"),
        (torch.zeros(1, 1, 4, 4), float("nan"), "finite"),
        (torch.zeros(2, 1, 4, 4), torch.tensor([0.1, 0.1, 0.1]), "3 noise levels for 2 images"),
        (torch.zeros(1, 1, 4, 4), None, "expected a number, for example 25/255, .* got None"),
        (torch.zeros(1, 1, 4, 4), "auto", "expected a number, for example 25/255, .* got 'auto'"),
    ],
)
def test_wrong_input_is_refused(make_network, y, sigma, message):
    with pytest.raises(ValueError, match=message):
        LearnedProx(make_network().float())(y, sigma)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_a_prior_in_half_precision_says_what_it_computes_in(make_network, kind):
    # Once a bare NotImplementedError of the Fourier transform.
    prior = LearnedProx(make_network().float()).to(kind)
    with pytest.raises(InputError, match=r"of float32 or float64, got torch.*16"):
        prior(torch.zeros(1, 1, 8, 8, dtype=kind), 0.1)
    with pytest.raises(InputError, match=r"has type torch.*16 on cpu, the image torch.float32"):
        prior(torch.zeros(1, 1, 8, 8), 0.1)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.zeros((1, 1, 4, 4)), "expected a tensor .* got ndarray"),
        (
            torch.zeros(1, 1, 4, 4, dtype=torch.float64),
            r"float32 on cpu, the image torch.float64.*model.to\(y\)",
        ),
        (torch.zeros(1, 1, 4, 4, device="meta"), "on cpu, the image torch.float32 on meta"),
    ],
)
def test_images_the_weights_do_not_fit_are_refused(make_network, y, message):
    with pytest.raises(ValueError, match=message):
        LearnedProx(make_network().float())(y, 0.1)


def test_a_network_that_is_not_monotone_is_no_prox():
    class Nonconvex(GradientNetwork):
        monotone = False

        def forward(self, x, sigma):
            return -x

        def potential(self, x, sigma):
            return -image_sum(x * x) / 2

        def lipschitz_bound(self):
            return 1.0

    with pytest.raises(ValueError, match="not monotone"):
        LearnedProx(Nonconvex())
