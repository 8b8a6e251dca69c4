"""Patches: of the depth of their images, on one scale, flipped for networks that can learn from it."""

from __future__ import annotations

import json

import imagecodecs
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from gradprox import InputError
from gradprox.networks import EquilibriumConfig, IdentityPath, IdentityPathConfig, MixtureConfig, RidgeConfig
from gradprox.networks.denoisers.config import build
from gradprox.training import initial, train
from gradprox.training.patches import PatchSampler
from gradprox.training.stored_images import on_unit_scale, read_stored
from tests.training.tiny import RECIPE


def write(path, values):
    if path.suffix == ".png":
        path.write_bytes(imagecodecs.png_encode(values))
    elif path.suffix == ".npy":
        np.save(path, values)
    else:
        tifffile.imwrite(path, values, photometric="rgb" if values.ndim == 3 else "minisblack")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("suffix", [".tif", ".npy"])
def test_values_beyond_black_and_white_are_clipped(tmp_path, suffix, channels):
    values = np.full((20, 22) if channels == 1 else (20, 22, 3), 0.5, np.float32)
    values[3, 4], values[5, 6] = 1.01, -0.01
    write(tmp_path / f"in{suffix}", values)
    patch = on_unit_scale(read_stored(tmp_path / f"in{suffix}", channels))
    assert patch.shape == (channels, 20, 22)
    assert float(patch[0, 3, 4]) == pytest.approx(1.0)
    assert float(patch[0, 5, 6]) == pytest.approx(0.0)
    assert float(patch.min()) == 0


@pytest.mark.parametrize(("suffix", "kind"), [(".png", "u2"), (".tif", "u2"), (".tif", "f4"), (".npy", "f8")])
def test_the_depth_of_images_is_kept(tmp_path, suffix, kind):
    exact = np.random.default_rng(0).random((20, 22))
    stored = np.round(exact * 65535).astype("u2") if kind == "u2" else exact.astype(kind)
    write(tmp_path / f"in{suffix}", stored)
    sampler = PatchSampler([read_stored(tmp_path / f"in{suffix}", 1)], RECIPE)
    patch = sampler.batch(0).clean[0, 0].double()
    known = torch.from_numpy(exact)
    assert float((patch.flatten()[:, None] - known.flatten()).abs().min(dim=1).values.max()) < 1e-5


def test_8_bit_images_are_held_as_bytes(data):
    images = [read_stored(path, 1) for path in sorted(data.iterdir())]
    assert {image.dtype for image in images} == {torch.uint8}
    clean = PatchSampler(images, RECIPE).batch(0).clean
    assert torch.equal(clean, (clean * 255).round().to(torch.uint8).float() / 255)


def test_images_of_different_depths_share_a_batch(data, tmp_path):
    write(data / "deep.png", np.full((20, 22), 12345, np.uint16))
    images = [read_stored(path, 1) for path in sorted(data.iterdir())]
    clean = PatchSampler(images, RECIPE.model_copy(update={"batch_size": 32})).batch(0).clean
    assert clean.dtype == torch.float32
    assert bool((clean == np.float32(12345 / 65535)).all(dim=-1).any())


@pytest.mark.parametrize("folder", ["data", "validation"])
def test_images_of_another_scale_are_refused(data, tmp_path, folder):
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    write(wrong / "gray.tif", 255 * np.random.default_rng(0).random((40, 50), np.float32))
    folders = {"data": data, "validation": data} | {folder: wrong}
    with pytest.raises(InputError, match=r"gray\.tif: values reach .* but black is 0 and white is 1"):
        train(RECIPE, folders["data"], tmp_path / "run", validation=folders["validation"])


def test_a_mixture_starts_from_deep_images_as_from_shallow_ones(tmp_path):
    config = IdentityPathConfig(kernel_size=4, shrinkage=MixtureConfig(components=4, levels=()))
    recipe = RECIPE.model_copy(update={"network": config})
    values = np.random.default_rng(0).integers(0, 255, (40, 50), np.uint8)
    Image.fromarray(values).save(tmp_path / "shallow.png")
    write(tmp_path / "deep.png", values.astype(np.uint16) * 257)
    starts = [
        initial.initial_network(recipe, [read_stored(tmp_path / name, 1)]).state_dict()
        for name in ("shallow.png", "deep.png")
    ]
    for name, weight in starts[0].items():
        torch.testing.assert_close(starts[1][name], weight, rtol=1e-3, atol=1e-5)


def test_flips_are_drawn_only_where_a_network_can_learn_from_them():
    ramp = torch.arange(256, dtype=torch.uint8).view(1, 16, 16)
    recipe = RECIPE.model_copy(update={"batch_size": 64})
    plain, flipped = (PatchSampler([ramp], recipe, flips=flips).batch(0).clean for flips in (False, True))
    assert len({patch.numpy().tobytes() for patch in plain}) == 2
    assert len({patch.numpy().tobytes() for patch in flipped}) == 8
    assert float(flipped.sort(dim=-1).values.sum()) == float(plain.sort(dim=-1).values.sum())


@pytest.mark.parametrize(
    "network",
    [
        IdentityPathConfig(kernel_size=4, shrinkage=RidgeConfig()),
        IdentityPathConfig(kernel_size=4, channels=3),
        IdentityPathConfig(kernel_size=4, shrinkage=MixtureConfig(components=4, levels=())),
        EquilibriumConfig(kind="equilibrium"),
    ],
    ids=["ridge", "energy-gated", "mixture", "equilibrium"],
)
def test_networks_that_say_so_commute_with_flips(network):
    torch.manual_seed(0)
    network = build(network)
    assert network.commutes_with_flips
    network = network.double()
    x, sigma = (
        torch.rand(1, network.channels, 18, 20, dtype=torch.float64),
        torch.tensor([0.1], dtype=torch.float64),
    )
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
        for axes in ((-1,), (-2,), (-1, -2)):
            torch.testing.assert_close(
                network(x.flip(axes), sigma).flip(axes), network(x, sigma), atol=1e-7, rtol=0
            )


def test_the_loop_flips_for_networks_that_do_not_commute(data, tmp_path, monkeypatch):
    losses = []
    for commutes in (True, False):
        monkeypatch.setattr(IdentityPath, "commutes_with_flips", commutes)
        train(RECIPE, data, tmp_path / f"{commutes}")
        losses.append((tmp_path / f"{commutes}" / "curve.csv").read_text())
        assert json.loads((tmp_path / f"{commutes}" / "run.json").read_text())["images"]["count"] == 3
    assert losses[0] != losses[1]
