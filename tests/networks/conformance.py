"""What every gradient network must do: one suite, run over every class, form and activation."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from gradprox.certificates import dense_jacobian, eigenvalue_range, symmetry_defect
from gradprox.networks import BlindGradientNetwork

# The proofs are exact; this is what float64 rounding may leave of them, relative to |J|.
JACOBIAN_TOLERANCE = 1e-10


@dataclass(frozen=True)
class Case:
    """A network to test.

    Attributes:
        name: what the test is called.
        build: makes a new network with random weights.
        shape: of one input, without the batch.
    """

    name: str
    build: Callable[[], BlindGradientNetwork]
    shape: tuple[int, ...]

    def network(self, seed: int = 0) -> BlindGradientNetwork:
        torch.manual_seed(seed)
        return self.build().double()

    def inputs(self, batch: int = 1, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
        generator = torch.Generator().manual_seed(1000 + seed)
        return torch.randn(batch, *self.shape, generator=generator, dtype=torch.float64).to(dtype)


def with_random_weights(network: BlindGradientNetwork, scale: float, seed: int) -> BlindGradientNetwork:
    """Return a copy whose every parameter is Gaussian of this size; odd seeds make vectors positive.

    Gains are softplus of a parameter: with both signs many vanish, with positive ones all are large.
    """
    generator = torch.Generator().manual_seed(seed)
    changed = copy.deepcopy(network)
    with torch.no_grad():
        for parameter in changed.parameters():
            drawn = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.copy_(scale * (drawn.abs() if seed % 2 and parameter.ndim < 3 else drawn))
    return changed


def assert_certified(network: BlindGradientNetwork, x: Tensor) -> None:
    """The Jacobian is symmetric, positive semidefinite where monotone, and within the proven bound."""
    jacobian = dense_jacobian(network, x)
    assert torch.isfinite(jacobian).all()
    norm = float(torch.linalg.matrix_norm(jacobian, 2))
    assert symmetry_defect(jacobian) <= JACOBIAN_TOLERANCE
    smallest, largest = eigenvalue_range(jacobian)
    if network.monotone:
        assert smallest >= -JACOBIAN_TOLERANCE * norm
    assert max(largest, -smallest) <= network.lipschitz_bound() * (1 + JACOBIAN_TOLERANCE)


class ConformanceSuite:
    """Inherit, and parametrize ``case``."""

    def test_jacobian(self, case: Case) -> None:
        assert_certified(case.network(), case.inputs())

    def test_jacobian_with_large_weights(self, case: Case) -> None:
        for seed, scale in enumerate((1e3, 1e5)):
            network = with_random_weights(case.network(), scale, seed)
            assert_certified(network, case.inputs(seed=seed))

    @pytest.mark.slow
    @pytest.mark.parametrize("scale", [1.0, 30.0, 1e3, 1e6])
    def test_jacobian_with_weights_of_any_size(self, case: Case, scale: float) -> None:
        for seed in range(4):
            network = with_random_weights(case.network(), scale, seed)
            # Close to the origin large weights do not saturate everything.
            for size in (1.0, 1 / scale):
                assert_certified(network, size * case.inputs(seed=seed))

    @pytest.mark.parametrize("scale", [1.0, pytest.param(1e3, marks=pytest.mark.slow)])
    def test_forward_is_the_gradient_of_the_potential(self, case: Case, scale: float) -> None:
        network = with_random_weights(case.network(), scale, seed=3)
        x = case.inputs(batch=2).requires_grad_()
        (gradient,) = torch.autograd.grad(network.potential(x).sum(), x)
        torch.testing.assert_close(gradient, network(x), rtol=1e-9, atol=1e-9 * scale)

    def test_potential_agrees_with_finite_differences(self, case: Case) -> None:
        network, x = case.network(), case.inputs(batch=2)
        direction, step = case.inputs(batch=2, seed=1), 1e-5
        with torch.no_grad():
            difference = network.potential(x + step * direction) - network.potential(x - step * direction)
            slope = (network(x) * direction).flatten(1).sum(dim=1)
        torch.testing.assert_close(difference / (2 * step), slope, rtol=1e-5, atol=1e-7)

    def test_images_of_a_batch_do_not_see_each_other(self, case: Case) -> None:
        network, x = case.network(), case.inputs(batch=3)
        alone = torch.cat([network(image[None]) for image in x])
        torch.testing.assert_close(network(x), alone, rtol=1e-12, atol=1e-12)
        alone = torch.cat([network.potential(image[None]) for image in x])
        torch.testing.assert_close(network.potential(x), alone, rtol=1e-11, atol=1e-11)

    def test_dtype_and_shape(self, case: Case) -> None:
        network, x = case.network(), case.inputs(batch=2)
        single = copy.deepcopy(network).float()(x.float())
        assert single.dtype == torch.float32
        assert single.shape == x.shape
        assert network(x).dtype == torch.float64
        assert network.potential(x).shape == (2,)
        torch.testing.assert_close(single.double(), network(x), rtol=1e-4, atol=1e-4)

    def test_noise_level_is_ignored(self, case: Case) -> None:
        network, x = case.network(), case.inputs()
        assert torch.equal(network(x, torch.tensor([0.1])), network(x))
        assert torch.equal(network.potential(x, torch.tensor([0.1])), network.potential(x))

    def test_inputs_are_not_changed(self, case: Case) -> None:
        network, x = case.network(), case.inputs()
        before = x.clone()
        network(x)
        network.potential(x)
        assert torch.equal(x, before)

    def test_state_dict_round_trip(self, case: Case) -> None:
        network, other = case.network(seed=0), case.network(seed=1)
        x = case.inputs()
        other.load_state_dict(network.state_dict())
        assert torch.equal(other(x), network(x))

    def test_training_reaches_every_parameter(self, case: Case) -> None:
        network, x = case.network(), case.inputs(batch=4)
        network(x).square().sum().backward()
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name
