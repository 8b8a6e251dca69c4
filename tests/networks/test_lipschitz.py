"""Proven Lipschitz bounds: never below the measured constant, tight for convolutions, at most 1 if nonexpansive."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from gradprox.certificates import dense_jacobian
from gradprox.networks import (
    Composed,
    Conv2d,
    Dense,
    GradNetC,
    GradNetM,
    Identity,
    LinearSpline,
    MGradNetC,
    MGradNetM,
    RadialStretch,
    RationalGating,
    SigmoidOuterDerivative,
    SmoothedNorm,
    Softmax,
    Softplus,
    SquareplusOuterDerivative,
    TanhSum,
)
from tests.networks.conformance import with_random_weights

DENSE = [
    partial(GradNetC.dense, 3, 4, activation=partial(TanhSum, monotone=False)),
    partial(MGradNetC.dense, 3, 4, activation=Softplus),
    partial(MGradNetC.dense, 3, 4, activation=LinearSpline, layers=3),
    partial(GradNetM.dense, 3, 4, activation=SmoothedNorm, outer_derivative=SigmoidOuterDerivative),
    partial(GradNetM.dense, 3, 4, activation=partial(LinearSpline, monotone=False)),
    partial(MGradNetM.dense, 3, 4, activation=Softmax, outer_derivative=SigmoidOuterDerivative),
    partial(MGradNetM.dense, 3, 4, activation=TanhSum, outer_derivative=SigmoidOuterDerivative),
    partial(MGradNetM.dense, 3, 4, activation=RationalGating),
    partial(MGradNetM.dense, 3, 4, activation=RadialStretch),
    partial(GradNetM.dense, 3, 4, activation=partial(RadialStretch, groups=2, monotone=False)),
    partial(MGradNetM.dense, 3, 4, activation=partial(RationalGating, sharp=True)),
    partial(MGradNetM.dense, 3, 4, activation=Identity),
]


@pytest.mark.parametrize("seeds", [range(200), pytest.param(range(200, 1000), marks=pytest.mark.slow)])
def test_bound_is_never_below_the_measured_constant(seeds):
    for seed in seeds:
        torch.manual_seed(seed)
        network = DENSE[seed % len(DENSE)]().double()
        network = with_random_weights(network, 10 ** (seed % 4 - 1), seed)
        x = torch.randn(1, 3, dtype=torch.float64) * 10 ** -(seed % 3)
        measured = float(torch.linalg.matrix_norm(dense_jacobian(network, x), 2))
        assert measured <= network.lipschitz_bound() * (1 + 1e-12), seed


@pytest.mark.parametrize("boundary", ["circular", "symmetric"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
def test_convolution_norm(boundary, channels, kernel_size):
    for seed in range(5):
        torch.manual_seed(seed)
        operator = Conv2d(channels, 4, kernel_size, boundary=boundary, bias=False).double()
        weights = torch.rand(4, dtype=torch.float64)
        x = torch.zeros(1, channels, 6, 5, dtype=torch.float64)

        def weighted_gram(x, operator=operator, weights=weights):
            return operator.synthesize(weights[:, None, None] * operator.analyze(x), x)

        measured = float(torch.linalg.matrix_norm(dense_jacobian(weighted_gram, x), 2))
        bound = float(operator.gram_bound(weights).detach())
        assert measured <= bound * (1 + 1e-12)


# A small torus has few frequencies, so its maximum is further below that over all frequencies.
@pytest.mark.parametrize(("channels", "size", "slack"), [(1, 24, 1.03), (3, 12, 1.2)])
def test_circular_norm_is_tight(channels, size, slack):
    torch.manual_seed(0)
    operator = Conv2d(channels, 6, 5, bias=False).double()
    x = torch.zeros(1, channels, size, size, dtype=torch.float64)
    gram = dense_jacobian(lambda x: operator.synthesize(operator.analyze(x), x), x)
    measured = float(torch.linalg.matrix_norm(gram, 2))
    bound = float(operator.gram_bound(torch.ones(6, dtype=torch.float64)).detach())
    assert measured <= bound <= slack * measured


@pytest.mark.parametrize("operator", [Dense(12, 5), Conv2d(1, 3, 5, boundary="symmetric"), Conv2d(1, 3, 5)])
@pytest.mark.parametrize("size", [(3, 4), (1, 12), (12, 1)])
def test_synthesis_is_the_adjoint(operator, size):
    operator = operator.double()
    operator.bias = None
    x = torch.randn(1, 1, *size, dtype=torch.float64)
    z = torch.randn_like(operator.analyze(x))
    left, right = (operator.analyze(x) * z).sum(), (x * operator.synthesize(z, x)).sum()
    torch.testing.assert_close(left, right, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_nonexpansive_networks_have_constant_at_most_one(seed):
    torch.manual_seed(seed)
    network = MGradNetM.dense(4, 6, activation=TanhSum, nonexpansive=True).double()
    network = with_random_weights(network, 10.0, seed)
    assert network.lipschitz_bound() <= 1
    jacobian = dense_jacobian(network, 0.1 * torch.randn(1, 4, dtype=torch.float64))
    assert float(torch.linalg.matrix_norm(jacobian, 2)) <= 1 + 1e-12


def test_unbounded_slopes_give_an_infinite_bound():
    network = MGradNetM.dense(3, 4, activation=Softplus, outer_derivative=SquareplusOuterDerivative)
    assert network.lipschitz_bound() == float("inf")
    with pytest.raises(ValueError, match="nonexpansive needs a proven Lipschitz constant"):
        MGradNetM.dense(
            3, 4, activation=Softplus, outer_derivative=SquareplusOuterDerivative, nonexpansive=True
        )


@pytest.mark.parametrize("cls", [MGradNetC, MGradNetM, GradNetC, GradNetM])
def test_nan_weights_give_an_infinite_bound(cls):
    network = cls.dense(3, 4, activation=TanhSum)
    with torch.no_grad():
        for parameter in network.inner.parameters():
            parameter.fill_(float("nan"))
    assert network.lipschitz_bound() == float("inf")


def test_composition_multiplies_bounds():
    torch.manual_seed(0)
    network = Composed(Dense(3, 4), MGradNetM.dense(4, 6)).double()
    norm = float(torch.linalg.matrix_norm(network.operator.weight.detach(), 2))
    expected = norm**2 * network.inner.lipschitz_bound()
    assert network.lipschitz_bound() == pytest.approx(expected, rel=1e-10)
