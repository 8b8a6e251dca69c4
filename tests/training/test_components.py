"""The mixture components that a training starts from explain the images they were fitted to."""

from __future__ import annotations

import pytest
import torch

from gradprox import InputError, load_model
from gradprox.networks import IdentityPath, IdentityPathConfig, MixtureConfig, MixtureLevel
from gradprox.priors import save_network
from gradprox.training import components, initial, train
from tests.training.tiny import NETWORK, RECIPE

MIXTURE = IdentityPathConfig(
    kernel_size=4,
    shrinkage=MixtureConfig(components=6, levels=(MixtureLevel(classes=2, window=3),)),
)


def eight_bits(image):
    return (image[0] * 255).round().to(torch.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_fitted_start_keeps_a_texture_that_a_random_one_does_not(channels):
    recipe = RECIPE.model_copy(update={"network": MIXTURE.model_copy(update={"channels": channels})})
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(72.0), indexing="ij")
    waves = 0.5 + 0.3 * torch.sin(1.9 * columns + 0.4 * rows) * (columns > 30)
    image = waves.expand(1, channels, -1, -1)
    noisy = image + 0.1 * torch.randn_like(image)
    sigma = torch.tensor([0.1])

    def error(network):
        return float((network(noisy, sigma) - image).square().mean().detach())

    fitted = initial.initial_network(recipe, [eight_bits(image)])
    again = initial.initial_network(recipe, [eight_bits(image)])
    assert all(torch.equal(a, b) for a, b in zip(fitted.parameters(), again.parameters(), strict=True))
    assert error(fitted) < 0.7 * error(initial.initial_network(recipe))
    assert error(fitted) < 0.25 * float((noisy - image).square().mean())


def test_variances_of_known_gaussians_are_found(monkeypatch):
    # Two textures: two components must find their variances and their probabilities.
    network = IdentityPath(MIXTURE.model_copy(update={"shrinkage": MixtureConfig(components=2, levels=())}))
    low, high = torch.full((2, 8), 0.01**2), torch.full((2, 8), 0.2**2)
    high[1] = 0.1**2  # another orientation than its mirror image
    rows = network.shrinkage.mirrored(torch.stack([low, high], dim=1)[None])[0]
    chosen = rows[torch.multinomial(torch.tensor([0.3, 0.2, 0.3, 0.2]), 100_000, replacement=True)]
    noisy = (chosen + components.NOISE**2).sqrt() * torch.randn(chosen.shape)
    monkeypatch.setattr(components, "_coefficients", lambda *_: noisy)
    components.fit_components(network, [], seed=0)
    found = network.shrinkage.log_variances.exp()
    torch.testing.assert_close(found[:, 0].mean(), low.mean(), rtol=0.3, atol=0)
    # Either a component or its mirror image may be the stored one.
    spread = found[:, 1].mean(dim=1).sort().values
    torch.testing.assert_close(spread, torch.tensor([0.1**2, 0.2**2]), rtol=0.05, atol=0)
    chances = network.shrinkage.offsets[0].exp()
    torch.testing.assert_close(chances, torch.tensor([0.3, 0.2]), rtol=0.05, atol=0)


def test_folding_is_the_adjoint_of_mirroring():
    shrinkage = IdentityPath(MIXTURE.model_copy(update={"channels": 3})).shrinkage
    table = torch.randn_like(shrinkage.log_variances)
    rows = torch.randn(12, 48)
    mirrored = shrinkage.mirrored(table[None])[0]
    torch.testing.assert_close((mirrored * rows).sum(), (table * shrinkage.folded(rows)).sum())


def test_a_training_takes_filters_of_another_shrinkage_or_a_mixture_as_it_is(data, tmp_path):
    gray = train(RECIPE, data, tmp_path / "gray")
    wide = MIXTURE.model_copy(update={"kernel_size": 6, "pairs": 8})
    recipe = RECIPE.model_copy(update={"network": wide, "initial": str(gray)})
    start, trained = initial.initial_network(recipe), load_model(gray).network
    x = torch.rand(1, 1, 20, 20)
    inner = start.bank.analyze(x, start.bank.filters())[..., :, :]
    outer = trained.bank.analyze(x, trained.bank.filters())[..., 1:-1, 1:-1]
    # They agree up to the bound of the norm, which is a little tighter for fewer taps.
    torch.testing.assert_close(inner, outer, rtol=5e-3, atol=1e-4)
    model = train(recipe, data, tmp_path / "mixture")
    assert load_model(model).network.config == wide
    again = initial.initial_network(recipe.model_copy(update={"initial": str(model)}))
    same = load_model(model).network.state_dict()
    assert all(torch.equal(table, same[name]) for name, table in again.state_dict().items())
    for wrong in ({"kernel_size": 2, "pairs": None}, {"kernel_size": 6, "pairs": 9}):
        with pytest.raises(InputError, match="another architecture"):
            initial.initial_network(recipe.model_copy(update={"network": MIXTURE.model_copy(update=wrong)}))


@pytest.mark.parametrize("source", ["", "gray-small"])
def test_fewer_filters_than_there_could_be_start_from_some_that_see_all_frequencies(source):
    network = MIXTURE.model_copy(update={"kernel_size": 8, "pairs": 21})
    recipe = RECIPE.model_copy(update={"network": network, "initial": source})
    bank, again = initial.initial_network(recipe).bank, initial.initial_network(recipe).bank
    assert torch.equal(bank.weight, again.weight)
    filters = bank.filters().detach()
    spectrum = torch.fft.fft2(filters[:, 0], s=(32, 32)).abs().square().sum(dim=0)
    assert float(spectrum[4:-4].min()) > 0.7
    # Filters are stored with nearly the norms that they are applied with.
    norms = bank.weight.detach().flatten(1).norm(dim=1) / filters[:21].flatten(1).norm(dim=1)
    assert 0.7 < float(norms.min()) < float(norms.max()) < 1.5


def test_a_mixture_starts_from_no_equilibrium(tmp_path):
    recipe = RECIPE.model_copy(update={"network": MIXTURE, "initial": "gray-equilibrium"})
    with pytest.raises(InputError, match="another architecture"):
        initial.initial_network(recipe)
    save_network(IdentityPath(NETWORK), tmp_path / "other.safetensors")
    fitting = recipe.model_copy(update={"initial": str(tmp_path / "other.safetensors")})
    assert initial.initial_network(fitting).config == MIXTURE
