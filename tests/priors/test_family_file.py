"""Networks of the general family in model files: they come back bit for bit, and what does not fit is refused."""

from __future__ import annotations

import json
from functools import partial

import pytest
import torch
from safetensors.torch import save_file

from gradprox import InputError, load_model
from gradprox.networks import (
    Composed,
    ConstantOuterDerivative,
    Cubic,
    Dense,
    GradNetC,
    GradNetM,
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
    TanhOuterDerivative,
    TanhSum,
)
from gradprox.priors import GradientStepDenoiser, load_network, save_network
from gradprox.priors.model_file import FORMAT

SIGNED_SPLINE = partial(LinearSpline, cells=5, reach=2.0, monotone=False)
SIGNED_RADIAL = partial(RadialStretch, groups=2, wells=3, monotone=False)
DENSE = {
    "tanh": partial(GradNetC.dense, 3, 4, layers=3, activation=partial(TanhSum, terms=3)),
    "spline": partial(GradNetC.dense, 3, 4, activation=SIGNED_SPLINE),
    "softplus": partial(MGradNetC.dense, 3, 4, activation=Softplus, layers=1),
    "cubic": partial(MGradNetC.dense, 3, 4, activation=Cubic),
    "radial": partial(GradNetM.dense, 3, 8, activation=SIGNED_RADIAL),
    "tanh-rho": partial(
        GradNetM.dense, 3, 4, modules=3, activation=SmoothedNorm, outer_derivative=TanhOuterDerivative
    ),
    "sigmoid": partial(MGradNetM.dense, 3, 4, activation=Sigmoid, outer_derivative=SigmoidOuterDerivative),
    "energy": partial(MGradNetM.dense, 3, 4, activation=partial(RationalGating, sharp=True)),
    "centered": partial(MGradNetM.dense, 3, 4, activation=Softplus, centered=True),
    "softmax": partial(MGradNetM.dense, 3, 4, activation=partial(Softmax, groups=2), nonexpansive=True),
}
CONV = {
    "conv-c": partial(MGradNetC.conv, 3, 4, 5, boundary="symmetric"),
    "conv-m": partial(MGradNetM.conv, 1, 4, 3, nonexpansive=True),
}


@pytest.mark.parametrize("name", DENSE | CONV)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_network_comes_back_bit_for_bit(tmp_path, name, dtype):
    network = (DENSE | CONV)[name]().to(dtype)
    save_network(network, tmp_path / "m.safetensors")
    again = load_network(tmp_path / "m.safetensors")
    assert type(again) is type(network)
    for key, value in network.state_dict().items():
        assert torch.equal(again.state_dict()[key], value)
    shape = (2, network.channels, 6, 7) if network.channels else (2, 3)
    x = torch.randn(shape, dtype=dtype)
    # Eigenvalues, in bounds and in what is divided by them, round as their matrices lie in memory.
    torch.testing.assert_close(again(x), network(x))
    torch.testing.assert_close(again.potential(x), network.potential(x))
    assert again.monotone == network.monotone
    assert again.lipschitz_bound() == pytest.approx(network.lipschitz_bound(), rel=1e-5)


def test_a_monotone_network_of_images_is_a_model(tmp_path):
    network = CONV["conv-c"]()
    save_network(network, tmp_path / "m.safetensors")
    y = torch.rand(1, 3, 6, 7)
    assert torch.equal(load_model(tmp_path / "m.safetensors")(y, 0.1), network(y))


def test_a_network_of_images_that_is_not_monotone_is_a_gradient_step_denoiser(tmp_path):
    torch.manual_seed(0)
    network = GradNetM.conv(3, 6, 3)
    save_network(network, tmp_path / "m.safetensors")
    prior = load_model(tmp_path / "m.safetensors")
    assert isinstance(prior, GradientStepDenoiser)
    y = torch.rand(1, 3, 6, 7)
    torch.testing.assert_close(prior(y, 0.1), network(y))


@pytest.mark.parametrize("name", ["radial", "cubic"])
def test_a_network_that_takes_no_images_is_no_model(tmp_path, name):
    save_network(DENSE[name](), tmp_path / "m.safetensors")
    with pytest.raises(InputError, match="takes no images"):
        load_model(tmp_path / "m.safetensors")


class Doubled(Softplus):
    """An activation that only this file knows."""


def test_what_a_file_cannot_describe_is_not_written(tmp_path):
    other_parts = MGradNetC(Dense(3, 4), activation=Softplus)  # with a bias that its constructors do not make
    for network in (MGradNetC.dense(3, 4, activation=Doubled), other_parts):
        with pytest.raises(ValueError, match=r"not an activation of gradprox|do not make"):
            save_network(network, tmp_path / "m.safetensors")
    mixed = iter((ConstantOuterDerivative, TanhOuterDerivative))
    with pytest.raises(ValueError, match="do not make"):
        save_network(GradNetM.dense(3, 4, outer_derivative=lambda: next(mixed)()), tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match="cannot describe a network of class"):
        save_network(Composed(Dense(3, 4), Softmax(4)), tmp_path / "m.safetensors")
    assert not list(tmp_path.iterdir())


GOOD = {
    "network": "MGradNetM",
    "operator": {"form": "dense", "dim": 3},
    "hidden": 8,
    "modules": 2,
    "activation": {"kind": "Softmax", "groups": 2},
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"network": "os.system"}, "network"),
        ({"hidden": 2**24, "operator": {"form": "dense", "dim": 2**24}}, "do not fit"),
        ({"hidden": 10**12}, "hidden"),
        ({"hidden": 9}, "describes no network"),
        ({"modules": 4096, "hidden": 2**13, "activation": {"kind": "Softmax", "groups": 1}}, "do not fit"),
        ({"activation": {"kind": "Softmax", "groups": 3}}, "describes no network"),
        ({"activation": {"kind": "Softmax", "groups": 2, "width": 3}}, "width"),
        ({"activation": {"kind": "Bomb"}}, "activation"),
        ({"activation": {"kind": "TanhSum", "terms": 2, "monotone": False}}, "describes no network"),
        (
            {"activation": {"kind": "LinearSpline", "cells": 2, "reach": "NaN", "monotone": True}},
            "describes no",
        ),
        ({"outer_derivative": "TanhOuterDerivative"}, "describes no network"),
        (
            {"operator": {"form": "conv", "channels": 1, "kernel_size": 2, "boundary": "circular"}},
            "describes no",
        ),
        ({"nonexpansive": True}, "do not fit"),
    ],
)
def test_hostile_descriptions_are_refused(tmp_path, change, message):
    metadata = {"format": FORMAT, "family": json.dumps(GOOD | change)}
    save_file({"w": torch.zeros(3)}, tmp_path / "x.safetensors", metadata=metadata)
    with pytest.raises(InputError, match=message) as caught:
        load_network(tmp_path / "x.safetensors")
    assert "\n" not in str(caught.value)
