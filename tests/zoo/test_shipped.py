"""The shipped models are what their cards say: a prox or a gradient step, in double precision and at borders too."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from deepinv.loss.metric import PSNR
from PIL import Image

from gradprox import InputError, load_model, model_names
from gradprox.batch import image_sum
from gradprox.certificates import dense_jacobian, eigenvalue_range, symmetry_defect
from gradprox.images import EXAMPLE_IMAGE
from gradprox.networks import Equilibrium
from gradprox.physics import gaussian_noise
from gradprox.priors import network_bytes
from gradprox.training import read_recipe
from gradprox.zoo import default_model, read_card, recipe_path
from gradprox.zoo.models import FOLDER

SIGMAS = [1 / 255, 5 / 255, 25 / 255, 50 / 255]
QUICK = (5 / 255, 25 / 255)
MODELS = model_names()
PROXIMAL = [name for name in MODELS if load_model(name).is_prox]
ENERGY_ONLY = sorted(set(MODELS) - set(PROXIMAL))


def photo(name):
    """Return the embedded photo in double precision, gray or in color as the model needs it."""
    mode = "L" if load_model(name).network.channels == 1 else "RGB"
    pixels = np.atleast_3d(np.asarray(Image.open(EXAMPLE_IMAGE).convert(mode), dtype=np.float64)) / 255
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].contiguous()


def is_slow(name):
    """Return whether a model takes long even for small images: it iterates, or has a large receptive field."""
    network = load_model(name).network
    return isinstance(network, Equilibrium) or network.radius > 30


def cases(names):
    """Return every model at every noise level; models that take long at two of them, unless slow tests run too."""
    return [
        pytest.param(name, sigma, marks=[pytest.mark.slow] if is_slow(name) and sigma not in QUICK else [])
        for name in names
        for sigma in SIGMAS
    ]


@pytest.fixture
def patch(name):
    """Return a piece of a photo around an edge; for slow models a smaller one."""
    height, width = (5, 6) if is_slow(name) else (9, 11)
    return photo(name)[..., 80 : 80 + height, 60 : 60 + width].contiguous()


def test_the_default_models_ship_and_take_the_images():
    for channels in (1, 3):
        for prox in (False, True):
            name = default_model(channels, prox=prox)
            assert name in MODELS
            assert load_model(name).network.channels == channels
            assert not prox or load_model(name).is_prox


@pytest.mark.parametrize("name", MODELS)
def test_cards_are_true(name):
    card, prox = read_card(name), load_model(name)
    weights = FOLDER / f"{name}.safetensors"
    assert hashlib.sha256(weights.read_bytes()).hexdigest() == card.sha256
    assert weights.stat().st_size < 4_000_000
    bound = float("inf") if card.lipschitz_bound is None else card.lipschitz_bound
    assert prox.lipschitz_bound() == pytest.approx(bound)
    assert sum(p.numel() for p in prox.parameters()) == card.parameters
    assert read_recipe(recipe_path(name)).network == prox.network.config
    # Set12 is gray.
    for test_set in ("BSDS32", "Set12") if prox.network.channels == 1 else ("BSDS32",):
        assert {"5", "15", "25", "50"} <= set(card.psnr[test_set])


@pytest.mark.parametrize("name", MODELS)
def test_files_are_those_that_saving_the_network_writes(name):
    assert network_bytes(load_model(name).network) == (FOLDER / f"{name}.safetensors").read_bytes()


@pytest.mark.parametrize(("name", "sigma"), cases(MODELS))
def test_shipped_weights_are_symmetric_and_monotone_where_they_are_a_prox(name, sigma, patch):
    prox = load_model(name).double()
    noisy = patch + gaussian_noise(patch, sigma, torch.Generator().manual_seed(0))
    for y in (patch, noisy):
        J = dense_jacobian(lambda v: prox(v, sigma), y)
        assert symmetry_defect(J) <= 1e-10
        smallest, largest = eigenvalue_range(J)
        assert smallest >= -1e-10 or not prox.is_prox
        assert largest <= prox.lipschitz_bound() * (1 + 1e-12)  # reached exactly where it is 1


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("sigma", SIGMAS)
def test_shipped_weights_are_the_gradient_of_their_potential(name, sigma, patch):
    prox = load_model(name).double()
    y = patch.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(prox.potential(y, sigma).sum(), y)
    torch.testing.assert_close(gradient, prox(y, sigma), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("name", "sigma"), cases(PROXIMAL))
def test_no_competitor_beats_the_shipped_prox(name, sigma, patch):
    prox = load_model(name).double()
    rivals = 40 if is_slow(name) else 200
    near = 10.0 ** -torch.randint(0, 6, (rivals, 1, 1, 1)) * torch.randn(
        rivals, *patch.shape[1:], dtype=torch.float64
    )
    others = patch + near
    x, found = prox(patch, sigma), prox(others, sigma)
    own = prox.value(patch, sigma) + image_sum((x - patch).square()) / 2
    theirs = prox.value(others, sigma) + image_sum((found - patch).square()) / 2
    assert float((own - theirs).max()) <= 1e-12 * float(own.abs())


@pytest.mark.parametrize("name", ENERGY_ONLY)
def test_an_energy_is_never_negative_and_its_card_promises_no_prox(name, patch):
    model = load_model(name).double()
    for sigma in SIGMAS:
        energy = model.regularizer(patch, sigma)
        assert float(energy) >= 0
        torch.testing.assert_close(
            energy, image_sum(patch.square()) / 2 - model.potential(patch, sigma), rtol=0, atol=1e-10
        )
    assert "not monotone" in read_card(name).guarantee


@pytest.mark.parametrize("name", MODELS)
def test_borders_of_any_size_are_denoised_as_the_middle_is(name):
    """Networks that work in cells extend images of other sizes: the pixels that are repeated must not count twice."""
    model, ratios = load_model(name), []
    for size in (61, 62, 63, 64):
        clean = photo(name).float()[..., 100 : 100 + size, 60 : 60 + size]
        generator = torch.Generator().manual_seed(size)
        noise = torch.stack([gaussian_noise(clean[0], 25 / 255, generator) for _ in range(4)])
        with torch.no_grad():
            error = (model(clean + noise, 25 / 255) - clean).square().mean(dim=(0, 1))
        ratios.append(
            float((error[-1].mean() + error[:, -1].mean()) / (error[0].mean() + error[:, 0].mean()))
        )
    assert max(ratios) < 2.5 * min(ratios)


@pytest.mark.parametrize("name", MODELS)
def test_shipped_weights_denoise(name):
    clean = photo(name).float()
    noisy = clean + gaussian_noise(clean, 25 / 255, torch.Generator().manual_seed(0))
    psnr = PSNR()
    with torch.no_grad():
        assert float(psnr(load_model(name)(noisy, 25 / 255), clean)) > float(psnr(noisy, clean)) + 8


def test_unknown_names_are_refused():
    with pytest.raises(InputError, match="recipe nobody is unknown"):
        recipe_path("nobody")
    with pytest.raises(InputError, match="model nobody is unknown"):
        read_card("nobody")


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_models_are_loaded_as_stored_whatever_the_default_type(dtype):
    expected = load_model("gray-equilibrium").network.state_dict()
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        found = load_model("gray-equilibrium").network
    finally:
        torch.set_default_dtype(before)
    assert all(torch.equal(table, expected[name]) for name, table in found.state_dict().items())
    assert {tensor.dtype for tensor in (*found.parameters(), *found.buffers())} == {torch.float32}
