"""The deep potential network: symmetric for all weights, the gradient of its energy, and the same in tiles."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional as F

from gradprox import load_model
from gradprox.certificates import dense_jacobian, eigenvalue_range, symmetry_defect
from gradprox.networks.denoisers import deep_potential, unet
from gradprox.networks.denoisers.deep_potential import DeepPotential, DeepPotentialConfig
from gradprox.networks.tiling import follow
from gradprox.priors import load_network, save_network

SIGMA = torch.tensor([0.1], dtype=torch.float64)
SIZES = [(1, 1), (2, 3), (7, 9), (8, 12)]


def small_network(channels: int = 1, spread: float = 0.05, **config: object) -> DeepPotential:
    """Return a float64 network with random weights: two scales unless ``config`` says otherwise."""
    torch.manual_seed(0)
    settings = {"widths": (5, 6), "blocks": (1, 1)} | config
    network = DeepPotential(DeepPotentialConfig(channels=channels, **settings)).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += spread * torch.randn_like(parameter)
    return network.requires_grad_(False)


def images(size: tuple[int, int], channels: int = 1, batch: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(batch, channels, *size, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", SIZES)
def test_jacobian_is_symmetric_at_borders_too(size, channels):
    network = small_network(channels)
    J = dense_jacobian(lambda y: network(y, SIGMA), images(size, channels))
    assert symmetry_defect(J) <= 1e-10


@pytest.mark.parametrize(
    "config", [{"widths": (4,), "blocks": (2,)}, {"widths": (4, 5, 6), "blocks": (1, 1, 1)}]
)
def test_any_number_of_scales_is_symmetric(config):
    network = small_network(**config)
    J = dense_jacobian(lambda y: network(y, SIGMA), images((9, 10)))
    assert symmetry_defect(J) <= 1e-10


def test_another_border_in_the_reverse_pass_would_break_symmetry(monkeypatch):
    network = small_network()

    def cropped(gradient, rows, columns, like):
        margin = deep_potential.MARGIN
        return gradient[..., margin : margin + like.shape[-2], margin : margin + like.shape[-1]]

    monkeypatch.setattr(DeepPotential, "_folded", staticmethod(cropped))
    J = dense_jacobian(lambda y: network(y, SIGMA), images((7, 9)))
    assert symmetry_defect(J) > 1e-4


def test_it_need_not_be_monotone():
    """So nothing may take it for a proximal operator."""
    network = small_network(spread=1.0)
    J = dense_jacobian(lambda y: network(y, SIGMA), images((8, 8)))
    assert eigenvalue_range(J)[0] < -0.1
    assert not network.monotone
    assert network.lipschitz_bound() == float("inf")


@pytest.mark.parametrize("size", SIZES)
def test_it_is_the_gradient_of_its_potential(size):
    network, y = small_network(), images(size, batch=2).requires_grad_()
    sigma = torch.tensor([0.1, 0.03], dtype=torch.float64)
    (gradient,) = torch.autograd.grad(network.potential(y, sigma).sum(), y)
    torch.testing.assert_close(gradient, network(y, sigma), rtol=0, atol=1e-12)


def test_the_energy_is_never_negative_and_zero_for_constants():
    network = small_network()
    energy, _ = network.envelope_and_gradient(images((9, 11), batch=3), SIGMA)
    assert (energy >= 0).all()
    # Without biases the features of a constant are zero.
    for block in network.modules():
        if isinstance(block, unet.ResidualBlock):
            block.bias.zero_()
    flat = torch.full((1, 1, 9, 11), 0.7, dtype=torch.float64)
    energy, restored = network.envelope_and_gradient(flat, SIGMA)
    torch.testing.assert_close(energy, torch.zeros(1, dtype=torch.float64), rtol=0, atol=1e-20)
    torch.testing.assert_close(restored, flat, rtol=0, atol=1e-12)


def test_a_constant_added_to_the_image_is_added_to_the_result():
    network, y = small_network(), images((9, 10))
    torch.testing.assert_close(network(y + 3, SIGMA), network(y, SIGMA) + 3, rtol=0, atol=1e-10)


@pytest.mark.parametrize("size", [(157, 43), (61, 140)])
def test_tiles_give_the_result_of_one_piece(size):
    network, y, pieces = small_network(), images(size, batch=2), []
    follow(network, pieces.append)
    energy, whole = network.envelope_and_gradient(y, SIGMA)
    assert len(pieces) == 1
    network.tile_size = 32
    tiled_energy, tiled = network.envelope_and_gradient(y, SIGMA)
    torch.testing.assert_close(tiled, whole, rtol=0, atol=1e-12)
    torch.testing.assert_close(tiled_energy, energy, rtol=1e-12, atol=0)
    assert len(pieces) > 5


def test_a_halo_smaller_than_the_reach_is_not_exact(monkeypatch):
    network, y = small_network(), images((157, 43))
    whole = network(y, SIGMA)
    monkeypatch.setattr(deep_potential, "TILE", 32)
    monkeypatch.setattr(DeepPotential, "radius", 4)
    assert (network(y, SIGMA) - whole).abs().max() > 1e-9


def test_no_output_depends_on_inputs_beyond_the_radius():
    network, y = small_network(), images((121, 121))
    other = y.clone()
    other[..., 60, 60] += 1
    rows, columns = (network(other, SIGMA) - network(y, SIGMA))[0, 0].abs().nonzero().T
    assert max((rows - 60).abs().max(), (columns - 60).abs().max()) <= network.radius


def test_noise_levels_of_a_batch_belong_to_their_images():
    network, y = small_network(), images((9, 10), batch=2)
    sigma = torch.tensor([0.02, 0.15], dtype=torch.float64)
    alone = torch.cat([network(y[i : i + 1], sigma[i : i + 1]) for i in range(2)])
    torch.testing.assert_close(network(y, sigma), alone, rtol=0, atol=1e-12)


def test_outside_the_knots_it_scales_with_the_noise():
    network, y = small_network(), images((9, 10))
    sigma = torch.tensor([0.3], dtype=torch.float64)
    torch.testing.assert_close(network(2 * y, 2 * sigma), 2 * network(y, sigma), rtol=0, atol=1e-11)


def test_slope_is_the_derivative_of_the_activation():
    z = torch.linspace(-2, 3, 101, dtype=torch.float64, requires_grad=True)
    block = unet.ResidualBlock(1, 1).double()
    with torch.no_grad():
        block.first.zero_()[0, 0, 1, 1] = 1
        block.second.zero_()[0, 0, 1, 1] = 1
        block.bias.zero_()
    slopes: list[torch.Tensor] = []
    out = block(z.view(1, 1, -1, 1), torch.ones(1, 1, dtype=torch.float64), slopes)
    (gradient,) = torch.autograd.grad(out.sum(), z)
    torch.testing.assert_close(gradient, 1 + slopes[0].flatten())


def test_mixed_precision_keeps_the_first_layer():
    network = small_network().float()
    y, sigma = images((16, 16)).float(), SIGMA.float()
    with torch.autocast("cpu", torch.bfloat16):
        mixed = network(y + 100, sigma)
    exact = network(y, sigma)
    assert F.mse_loss(mixed - 100, exact) < 1e-4 * F.mse_loss(y, exact)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"widths": (4, 5), "blocks": (1,)}, "differ in length"),
        ({"widths": (0,), "blocks": (1,)}, "from 1 to 1024"),
        ({"noise_levels": (0.2, 0.1)}, "increasing"),
        ({"channels": 2}, "1 or 3"),
    ],
)
def test_impossible_configurations_are_refused(wrong, message):
    with pytest.raises(ValidationError, match=message):
        DeepPotentialConfig(**wrong)


def test_a_network_in_color_starts_from_a_gray_one():
    gray, color = small_network(), small_network(channels=3)
    color.take_over(gray)
    y = images((9, 10))
    # Equal colors with independent noise carry the information of one gray image with less noise.
    same = y.expand(-1, 3, -1, -1)
    quieter = SIGMA / 3**0.5

    for block in (*color.modules(), *gray.modules()):
        if isinstance(block, unet.ResidualBlock):
            block.bias.zero_()
    energy = color.envelope_and_gradient(same, SIGMA)[0] / SIGMA**2
    expected = gray.envelope_and_gradient(y, quieter)[0] / quieter**2
    torch.testing.assert_close(energy, expected)


def test_weights_of_another_architecture_are_refused():
    with pytest.raises(ValueError, match="its configuration is"):
        small_network(channels=3).take_over(small_network(widths=(4, 4)))
    with pytest.raises(ValueError, match="restores colors"):
        small_network().take_over(small_network(channels=3))


def test_it_is_stored_and_read(tmp_path):
    network = small_network().float()
    save_network(network, tmp_path / "deep.safetensors")
    read = load_network(tmp_path / "deep.safetensors")
    y, sigma = images((9, 10)).float(), SIGMA.float()
    assert torch.equal(read(y, sigma), network(y, sigma))
    prior = load_model(tmp_path / "deep.safetensors")
    assert not prior.is_prox
    assert torch.equal(prior(y, 0.1), network(y, sigma))
