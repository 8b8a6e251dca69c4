"""The conformance suite over every class, form, activation and outer derivative of the family."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from gradprox.networks import (
    Composed,
    ConicSum,
    ConstantOuterDerivative,
    Conv2d,
    Cubic,
    Dense,
    GradNetC,
    GradNetM,
    Identity,
    LinearSpline,
    MGradNetC,
    MGradNetM,
    RadialStretch,
    RationalGating,
    Sigmoid,
    SigmoidOuterDerivative,
    SmoothedNorm,
    Softmax,
    Softplus,
    SquareplusOuterDerivative,
    Sum,
    TanhOuterDerivative,
    TanhSum,
)
from tests.networks.conformance import Case, ConformanceSuite

ELEMENTWISE = {
    "identity": Identity,
    "sigmoid": Sigmoid,
    "softplus": Softplus,
    "tanh": TanhSum,
    "spline": LinearSpline,
    "cubic": Cubic,
}
SIGNED = {
    "signed-tanh": partial(TanhSum, monotone=False),
    "signed-spline": partial(LinearSpline, monotone=False),
    "signed-cubic": partial(Cubic, monotone=False),
}
GROUP = {
    "softmax": Softmax,
    "two-softmaxes": partial(Softmax, groups=2),
    "norm": SmoothedNorm,
    "radial": RadialStretch,
    "energy": RationalGating,
    "sharp-energy": partial(RationalGating, sharp=True),
}
OUTER_DERIVATIVES = {
    "constant": ConstantOuterDerivative,
    "sigmoid-outer": SigmoidOuterDerivative,
    "squareplus": SquareplusOuterDerivative,
}


def _forms(name, cls, **options):
    return [
        Case(f"{name}-dense", partial(cls.dense, 5, 6, **options), (5,)),
        Case(f"{name}-circular", partial(cls.conv, 2, 4, 3, **options), (2, 4, 5)),
        Case(f"{name}-symmetric", partial(cls.conv, 1, 4, 3, boundary="symmetric", **options), (1, 3, 5)),
    ]


def _cases():
    for name, activation in (ELEMENTWISE | SIGNED).items():
        yield from _forms(f"GradNetC-{name}", GradNetC, activation=activation)
    for name, activation in ELEMENTWISE.items():
        yield from _forms(f"MGradNetC-{name}", MGradNetC, activation=activation)
    for name, activation in (ELEMENTWISE | SIGNED | GROUP).items():
        yield from _forms(f"GradNetM-{name}", GradNetM, activation=activation)
    for name, activation in (ELEMENTWISE | GROUP).items():
        for outer_name, outer in OUTER_DERIVATIVES.items():
            options = {"activation": activation, "outer_derivative": outer}
            forms = _forms(f"MGradNetM-{name}-{outer_name}", MGradNetM, **options)
            yield from forms if outer is ConstantOuterDerivative else forms[::2]
    signed = partial(RadialStretch, groups=2, wells=3, monotone=False)
    yield from _forms("GradNetM-signed-radial", GradNetM, activation=signed)
    yield from _forms(
        "GradNetM-softmax-tanh-outer", GradNetM, activation=Softmax, outer_derivative=TanhOuterDerivative
    )
    yield from _forms("MGradNetC-three-layers", MGradNetC, layers=3)
    yield from _forms("MGradNetC-one-layer", MGradNetC, layers=1)
    for cls in (GradNetC, MGradNetC, GradNetM, MGradNetM):
        yield from _forms(f"{cls.__name__}-nonexpansive", cls, nonexpansive=True)
        yield from _forms(f"{cls.__name__}-centered", cls, centered=True)
    yield Case("Sum", lambda: Sum([MGradNetM.dense(5, 6), GradNetC.dense(5, 6)]), (5,))
    yield Case("ConicSum", lambda: ConicSum([MGradNetM.dense(5, 6), MGradNetC.dense(5, 6)]), (5,))
    yield Case("Composed", lambda: Composed(Dense(5, 7), MGradNetM.dense(7, 6)), (5,))
    yield Case(
        "Composed-conv", lambda: Composed(Conv2d(1, 3, 3), GradNetM.conv(3, 4, 3, modules=1)), (1, 4, 5)
    )


@pytest.fixture(params=list(_cases()), ids=lambda case: case.name)
def case(request):
    return request.param


class TestFamily(ConformanceSuite):
    """Every network of the family."""

    def test_noise_level_is_ignored(self, case):
        network, x = case.network(), case.inputs()
        assert torch.equal(network(x, torch.tensor([0.1])), network(x))
        assert torch.equal(network.potential(x, torch.tensor([0.1])), network.potential(x))
