"""A wrapped denoiser removes noise that depends on the signal, better than the denoiser alone, and without bias."""

from __future__ import annotations

import deepinv
import pytest
import torch

from gradprox import InputError, example_image, load_model
from gradprox.noise import SignalNoise, StabilizedDenoiser, parse_signal_noise
from gradprox.physics import gaussian_noise, poisson_noise

GAIN, READ = 1 / 30, 0.02


def noisy(clean):
    generator = torch.Generator().manual_seed(0)
    return poisson_noise(clean, GAIN, generator) + gaussian_noise(clean, READ, generator)


def psnr(x, clean):
    return -10 * torch.log10((x - clean).square().mean()).item()


class Mean(deepinv.models.Denoiser):
    """The mean of each image, the best denoiser of flat images; it records its input."""

    def forward(self, y, sigma, **_):
        self.seen = y, sigma
        return y.mean(dim=(1, 2, 3), keepdim=True).expand_as(y)


@pytest.mark.parametrize("signal", [0.0, 0.02, 0.1, 0.9])
def test_flat_images_keep_their_mean(signal):
    clean = torch.full((1, 1, 600, 600), signal, dtype=torch.float64)
    found = StabilizedDenoiser(Mean(), GAIN, READ)(noisy(clean), 0.1)
    # Five standard errors of the mean.
    assert found.mean().item() == pytest.approx(signal, abs=5 * SignalNoise(GAIN, READ).level(signal) / 600)


def test_the_denoiser_gets_unit_images_and_their_noise_level():
    mean = Mean()
    wrapped = StabilizedDenoiser(mean, GAIN, READ)
    for signal, place in ((1.0, 1.0), (0.0, 0.0)):
        clean = torch.full((1, 1, 400, 400), signal, dtype=torch.float64)
        wrapped(noisy(clean))
        seen, level = mean.seen
        assert seen.mean().item() == pytest.approx(place, abs=level)
        if signal:
            assert seen.std().item() == pytest.approx(level, rel=0.02)


def test_a_photo_is_restored_better_than_with_a_constant_level():
    clean = example_image(gray=True)
    y, D = noisy(clean), load_model("gray-fast")
    level = SignalNoise(GAIN, READ).level(float(clean.mean()))
    with torch.no_grad():
        wrapped = StabilizedDenoiser(D, GAIN, READ)(y)
        assert isinstance(wrapped, torch.Tensor)
        assert psnr(wrapped, clean) > psnr(D(y, level), clean) + 0.3


def test_any_denoiser_of_deepinv_and_any_batch():
    wrapped = StabilizedDenoiser(deepinv.models.MedianFilter(), GAIN, READ)
    y = noisy(torch.rand(2, 3, 20, 24, generator=torch.Generator().manual_seed(1)))
    before = y.clone()
    assert wrapped(y).shape == y.shape
    assert torch.equal(y, before)
    assert isinstance(wrapped, deepinv.models.Denoiser)


def test_text():
    assert parse_signal_noise("gain:0.01,read:2/255") == SignalNoise(0.01, 2 / 255)


@pytest.mark.parametrize(
    "text",
    [
        "gain:0.01",
        "gain:0.01,read:",
        "read:0.1,gain:0.1",
        "gain:0,read:0.1",
        "gain:0.1,read:-1",
        "gain:a,read:1",
    ],
)
def test_wrong_text_is_refused(text):
    with pytest.raises(InputError):
        parse_signal_noise(text)
