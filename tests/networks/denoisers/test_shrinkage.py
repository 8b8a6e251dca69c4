"""Gates and their primitives: nondecreasing, in [0, 1], with the proven slope bound."""

from __future__ import annotations

import pytest
import torch

from gradprox.networks.denoisers.conditioning import NoiseKnots
from gradprox.networks.denoisers.energy_gate import EnergyGatedConfig
from gradprox.networks.denoisers.gates import FirmGates, Gates, NormGates, RampGates

LEVELS = (1 / 255, 10 / 255, 50 / 255)


KINDS = [RampGates, NormGates, FirmGates]


def random_gates(kind: type[Gates], spread: float = 1.0) -> Gates:
    made = kind(knots=3, pairs=4, terms=3).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += spread * torch.randn_like(parameter)
    return made


@pytest.fixture(params=KINDS)
def gates(request):
    return random_gates(request.param).at(torch.tensor([[0.2, 0.8, 0.0]], dtype=torch.float64))


def energies():
    t = torch.linspace(0, 60, 4001, dtype=torch.float64)
    return t, t.repeat(8, 1)[None, :, None, :]


def test_gates_are_nondecreasing_between_zero_and_one(gates):
    s = gates.value(energies()[1])
    assert (s.diff(dim=-1) >= 0).all()
    assert s.min() >= 0
    assert s.max() <= 1 + 1e-12


def test_primitive_is_the_integral_of_the_gate(gates):
    t, many = energies()
    integral = torch.cumulative_trapezoid(gates.value(many), t, dim=-1)
    torch.testing.assert_close(gates.primitive(many)[..., 1:], integral, rtol=0, atol=1e-3)
    assert gates.primitive(torch.zeros(1, 8, 1, 1, dtype=torch.float64)).abs().max() == 0


@pytest.mark.parametrize("kind", KINDS)
def test_slope_bound_holds_for_every_noise_level(kind):
    for _ in range(20):
        made = random_gates(kind)
        coordinates = torch.rand(16, 3, dtype=torch.float64)
        coordinates /= coordinates.sum(1, keepdim=True)
        t = torch.linspace(1e-3, 100, 20001, dtype=torch.float64)
        s = made.at(coordinates).value(t.expand(16, 8, 1, -1))
        slope = s[..., :-1] + 2 * t[:-1] * s.diff(dim=-1) / t.diff()
        assert slope.max() <= made.slope_bound()
        if kind is FirmGates:
            # Firm gates have a bound at each noise level, and reach it.
            at_level = slope.amax(dim=-1).squeeze(-1).amax(dim=1)
            assert (at_level <= 1 + made.excess(coordinates) + 1e-9).all()


def test_mixing_and_windows_conserve_energy_and_mirror_each_other():
    gates = EnergyGatedConfig().build(4, 0.25, NoiseKnots(LEVELS)).double()
    with torch.no_grad():
        for parameter in gates.parameters():
            parameter += torch.randn_like(parameter)
    coordinates = torch.tensor([[0.5, 0.5, 0.0]], dtype=torch.float64)
    mixing, windows = gates.mixing(coordinates), gates.windows(coordinates)
    assert (mixing >= 0).all()
    assert (windows >= 0).all()
    torch.testing.assert_close(mixing.sum(1), torch.ones(1, 8, dtype=torch.float64))
    torch.testing.assert_close(windows.sum((-1, -2)), torch.ones(1, 8, dtype=torch.float64))
    swapped = torch.arange(8).roll(4)
    torch.testing.assert_close(mixing[:, swapped][:, :, swapped], mixing)
    torch.testing.assert_close(windows[:, swapped], windows.flip(-1))


def test_knots_interpolate_and_clamp():
    knots = NoiseKnots(LEVELS)
    levels = torch.tensor([0.0, *LEVELS, 1.0], dtype=torch.float64)
    table = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    values = knots.interpolate(table, knots.coordinates(levels))
    torch.testing.assert_close(values, torch.tensor([1.0, 1.0, 2.0, 3.0, 3.0], dtype=torch.float64))
    middle = torch.tensor([(LEVELS[0] * LEVELS[1]) ** 0.5], dtype=torch.float64)
    torch.testing.assert_close(
        knots.coordinates(middle), torch.tensor([[0.5, 0.5, 0.0]], dtype=torch.float64)
    )
