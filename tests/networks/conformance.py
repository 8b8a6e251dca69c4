"""The conformance suite of gradient networks: every class, form and activation inherits these tests.

To add a network, write a `Case` and a class that inherits `ConformanceSuite`, as `family/test_family.py` does for
networks without a noise level and `test_image_networks.py` for networks with one.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from gradprox.certificates import dense_jacobian, eigenvalue_range, symmetry_defect
from gradprox.networks import GradientNetwork

# Rounding errors in float64, relative to |J|. In exact arithmetic the properties hold exactly.
JACOBIAN_TOLERANCE = 1e-10

# Changes the weights of a network: a copy with random weights of a given size, from a seed.
Randomizer = Callable[[GradientNetwork, float, int], GradientNetwork]


def with_random_weights(network: GradientNetwork, scale: float, seed: int) -> GradientNetwork:
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


def with_moved_weights(network: GradientNetwork, scale: float, seed: int) -> GradientNetwork:
    """Return a copy with Gaussian noise of this size on every parameter, for parameters that are logarithms."""
    generator = torch.Generator().manual_seed(seed)
    changed = copy.deepcopy(network)
    with torch.no_grad():
        for parameter in changed.parameters():
            parameter += scale * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return changed


@dataclass(frozen=True)
class Case:
    """A network to test.

    Attributes:
        name: of the test.
        build: makes a network with random weights.
        shape: of one input, without the batch.
        sigma: noise level, or None for a network that ignores it.
        randomize: changes the weights; see `scales`.
        scales: sizes of the weights of the tests with large weights.
        single: absolute and relative tolerance of a result in single precision. A network that iterates to a
            tolerance of its own has a larger one.
        rounding: absolute tolerance in double precision of a result against the gradient of the potential.
    """

    name: str
    build: Callable[[], GradientNetwork]
    shape: tuple[int, ...]
    sigma: float | None = None
    randomize: Randomizer = with_random_weights
    scales: tuple[float, ...] = (1e3, 1e5)
    single: float = 1e-4
    rounding: float = 1e-9

    def network(self, seed: int = 0) -> GradientNetwork:
        torch.manual_seed(seed)
        return self.build().double()

    def inputs(self, batch: int = 1, seed: int = 0) -> Tensor:
        """Return inputs: images around [0, 1] where there is a noise level, Gaussian vectors otherwise."""
        generator = torch.Generator().manual_seed(1000 + seed)
        if self.sigma is None:
            return torch.randn(batch, *self.shape, generator=generator, dtype=torch.float64)
        return torch.rand(batch, *self.shape, generator=generator, dtype=torch.float64)

    def levels(self, *factors: float, dtype: torch.dtype = torch.float64) -> tuple[Tensor, ...]:
        """Return the noise arguments of a call: the noise level times each factor, or none."""
        if self.sigma is None:
            return ()
        return (torch.tensor([self.sigma * factor for factor in factors or (1.0,)], dtype=dtype),)


def assert_certified(network: GradientNetwork, x: Tensor, *levels: Tensor) -> None:
    """Check that the Jacobian is symmetric, positive semidefinite if monotone, and within the proven bound."""
    jacobian = dense_jacobian(lambda v: network(v, *levels), x)
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
        for factor in (1.0,) if case.sigma is None else (0.0, 0.1, 1.0, 5.0):
            assert_certified(case.network(), case.inputs(), *case.levels(factor))

    def test_jacobian_with_large_weights(self, case: Case) -> None:
        for seed, scale in enumerate(case.scales):
            network = case.randomize(case.network(), scale, seed)
            assert_certified(network, case.inputs(seed=seed), *case.levels())

    @pytest.mark.slow
    @pytest.mark.parametrize("share", [1e-3, 3e-2, 1.0, 1e3])
    def test_jacobian_with_weights_of_any_size(self, case: Case, share: float) -> None:
        scale = share * case.scales[0]
        if case.sigma is not None and share > 1:
            pytest.skip("exponentials of these weights overflow")
        for seed in range(4):
            network = case.randomize(case.network(), scale, seed)
            # Close to the origin large weights do not saturate everything.
            for size in (1.0, 1 / scale):
                assert_certified(network, size * case.inputs(seed=seed), *case.levels())

    @pytest.mark.parametrize("share", [1e-3, pytest.param(1.0, marks=pytest.mark.slow)])
    def test_forward_is_the_gradient_of_the_potential(self, case: Case, share: float) -> None:
        scale = share * case.scales[0]
        network = case.randomize(case.network(), scale, 3)
        x, levels = case.inputs(batch=2).requires_grad_(), case.levels()
        (gradient,) = torch.autograd.grad(network.potential(x, *levels).sum(), x)
        atol = case.rounding * max(1.0, scale)
        torch.testing.assert_close(gradient, network(x, *levels), rtol=1e-9, atol=atol)

    def test_potential_agrees_with_finite_differences(self, case: Case) -> None:
        network, x, levels = case.network(), case.inputs(batch=2), case.levels()
        step = 1e-5 * (case.sigma or 1.0)
        direction = torch.randn(x.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
        with torch.no_grad():
            above, below = (network.potential(x + s * direction, *levels) for s in (step, -step))
            slope = (network(x, *levels) * direction).flatten(1).sum(dim=1)
        torch.testing.assert_close((above - below) / (2 * step), slope, rtol=1e-5, atol=1e-7)

    def test_envelope_and_gradient_agree_with_their_parts(self, case: Case) -> None:
        network, x, levels = case.network(), case.inputs(batch=2), case.levels()
        sigma = levels[0] if levels else torch.tensor([0.1], dtype=torch.float64)
        with torch.no_grad():
            envelope, gradient = network.envelope_and_gradient(x, sigma)
            torch.testing.assert_close(gradient, network(x, sigma), rtol=1e-12, atol=case.rounding)
            expected = x.square().flatten(1).sum(dim=1) / 2 - network.potential(x, sigma)
        torch.testing.assert_close(envelope, expected, rtol=1e-11, atol=1e-11)

    def test_images_of_a_batch_do_not_see_each_other(self, case: Case) -> None:
        network, x, factors = case.network(), case.inputs(batch=3), (0.5, 1.0, 2.0)
        levels = case.levels(*factors)
        each = [(image[None], *case.levels(factor)) for image, factor in zip(x, factors, strict=True)]
        with torch.no_grad():
            alone = torch.cat([network(*arguments) for arguments in each])
            torch.testing.assert_close(network(x, *levels), alone, rtol=1e-12, atol=case.rounding * 1e-3)
            alone = torch.cat([network.potential(*arguments) for arguments in each])
            torch.testing.assert_close(network.potential(x, *levels), alone, rtol=1e-11, atol=1e-11)

    def test_dtype_and_shape(self, case: Case) -> None:
        network, x = case.network(), case.inputs(batch=2)
        single = copy.deepcopy(network).float()(x.float(), *case.levels(dtype=torch.float32))
        double = network(x, *case.levels())
        assert single.dtype == torch.float32
        assert double.dtype == torch.float64
        assert single.shape == x.shape
        assert network.potential(x, *case.levels()).shape == (2,)
        torch.testing.assert_close(single.double(), double, rtol=case.single, atol=case.single)

    def test_default_dtype_is_not_followed(self, case: Case) -> None:
        network, x = case.network().float(), case.inputs().float()
        levels = case.levels(dtype=torch.float32)
        before = network(x, *levels), network.potential(x, *levels), network.lipschitz_bound()
        try:
            torch.set_default_dtype(torch.float64)
            after = network(x, *levels), network.potential(x, *levels), network.lipschitz_bound()
        finally:
            torch.set_default_dtype(torch.float32)
        assert torch.equal(after[0], before[0])
        assert torch.equal(after[1], before[1])
        assert after[2] == before[2]

    def test_inputs_are_not_changed(self, case: Case) -> None:
        network, x, levels = case.network(), case.inputs(), case.levels()
        before = [x.clone(), *(level.clone() for level in levels)]
        network(x, *levels)
        network.potential(x, *levels)
        assert all(torch.equal(a, b) for a, b in zip(before, (x, *levels), strict=True))

    def test_state_dict_round_trip(self, case: Case) -> None:
        network, other = case.network(seed=0), case.randomize(case.network(seed=1), 0.1, 1)
        x, levels = case.inputs(), case.levels()
        other.load_state_dict(network.state_dict())
        assert torch.equal(other(x, *levels), network(x, *levels))

    def test_training_reaches_every_parameter(self, case: Case) -> None:
        network, x = case.network(), case.inputs(batch=4)
        network(x, *case.levels()).square().sum().backward()
        for name, parameter in network.named_parameters():
            if parameter.requires_grad:
                assert parameter.grad is not None, name
                assert torch.isfinite(parameter.grad).all(), name
