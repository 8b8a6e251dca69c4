"""Networks of the general family as learned proxes."""

from __future__ import annotations

import pytest
import torch

from gradprox.networks import GradNetM, IdentityPath, IdentityPathConfig, MGradNetC, MGradNetM
from gradprox.priors import LearnedProx

Y = torch.rand(2, 3, 6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_a_network_of_three_channels_sees_them_together():
    torch.manual_seed(0)
    network = MGradNetM.conv(3, 6, 3).double()
    operator = LearnedProx(network).double()
    assert torch.equal(operator(Y, 0.1), network(Y))
    assert torch.equal(operator.potential(Y, 0.1), network.potential(Y))
    with pytest.raises(ValueError, match="3 channels, got 1"):
        operator(Y[:, :1], 0.1)


def test_a_network_of_one_channel_sees_each_alone():
    torch.manual_seed(0)
    network = MGradNetC.conv(1, 6, 3).double()
    operator = LearnedProx(network).double()
    alone = torch.cat([network(Y[:, c : c + 1]) for c in range(3)], dim=1)
    torch.testing.assert_close(operator(Y, 0.1), alone, rtol=1e-12, atol=1e-12)


def test_value_and_regularizer_follow_from_the_potential():
    torch.manual_seed(0)
    operator = LearnedProx(MGradNetM.dense(90, 20)).double()
    x = operator(Y, 0.1)
    envelope = Y.square().flatten(1).sum(1) / 2 - operator.potential(Y, 0.1)
    torch.testing.assert_close(operator.regularizer(Y, 0.1), envelope)
    distance = (Y - x).square().flatten(1).sum(1) / 2
    torch.testing.assert_close(operator.value(Y, 0.1), envelope - distance)


def test_a_network_that_is_not_monotone_is_no_prox():
    with pytest.raises(ValueError, match="is not monotone"):
        LearnedProx(GradNetM.conv(1, 4, 3))


def test_identity_path_still_conditions_on_the_noise_level():
    torch.manual_seed(0)
    operator = LearnedProx(IdentityPath(IdentityPathConfig(kernel_size=4))).double()
    levels = torch.tensor([0.05, 0.2], dtype=torch.float64)
    alone = torch.cat([operator(Y[i : i + 1], float(levels[i])) for i in range(2)])
    torch.testing.assert_close(operator(Y, levels), alone, rtol=1e-10, atol=1e-12)
