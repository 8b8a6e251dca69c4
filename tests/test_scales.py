"""Gray levels of 255 are told apart from images and noise on the scale from 0 to 1, wherever they arrive."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch

from gradprox import InputError, load_model
from gradprox.export import export_denoiser
from gradprox.export.runtime import OnnxDenoiser
from gradprox.networks import MGradNetC
from gradprox.physics import Denoising, parse_level
from gradprox.priors import LearnedProx
from gradprox.solvers import HQS, PGD, ScheduledHQS, preset

GRAY_LEVELS = "25: black is 0 and white is 1: write gray levels as 25/255"


@pytest.fixture
def D():
    return load_model("gray-small")


@pytest.fixture
def y():
    return torch.rand(1, 1, 12, 10) + 0.1 * torch.randn(1, 1, 12, 10)


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (lambda: HQS(sigma=25), "sigma"),
        (lambda: PGD(sigma=25.0), "sigma"),
        (lambda: ScheduledHQS(sigma=0.1, noise=25), "noise"),
        (lambda: preset("deblur", 25), "noise level"),
    ],
)
def test_solvers_refuse_noise_in_gray_levels(build, name):
    with pytest.raises(InputError, match=f"^{name} {GRAY_LEVELS}$"):
        build()


@pytest.mark.parametrize(
    ("text", "gray"), [("25", "25"), ("50/25", "50"), ("50 / 2.55", "50"), ("2.50", "2.50")]
)
def test_the_advice_repeats_the_number_that_was_written(text, gray):
    with pytest.raises(InputError, match=f"^noise level {text}: .* write gray levels as {gray}/255$"):
        parse_level(text)


def test_models_refuse_noise_in_gray_levels(D, y):
    for call in (D, D.potential, D.value, D.regularizer):
        with pytest.raises(InputError, match=f"^noise level {GRAY_LEVELS}$"):
            call(y, 25)
    with pytest.raises(InputError, match=GRAY_LEVELS):
        LearnedProx(MGradNetC.conv(1, 4, 3))(y, torch.tensor([25.0]))


@pytest.mark.parametrize("factor", [1, 3, 15])
def test_other_scales_are_legal(D, y, factor):
    # The suite turns warnings into errors.
    D(factor * y - 0.5, 0.1)
    HQS(sigma=0.1, max_iter=1)(factor * y, Denoising(), D)


def test_images_in_gray_levels_are_warned_of(D, y):
    y[0, 0, 0, 0] = 1.0
    with pytest.warns(
        UserWarning, match="gray-small: values reach 255, but black is 0 and white is 1: divide"
    ):
        D(255 * y.clamp(0, 1), 0.1)
    with pytest.warns(UserWarning, match="^y: values reach 255"):
        HQS(sigma=0.1, max_iter=1)(255 * y.clamp(0, 1), Denoising(), D)
    with pytest.warns(UserWarning, match="^x0: values reach 255"):
        HQS(sigma=0.1, max_iter=1)(y, Denoising(), D, x0=255 * y.clamp(0, 1))


def test_more_noise_than_in_the_training_is_warned_of_once_per_model(D, y):
    for level in (0.3, 0.4, torch.tensor([0.5])):
        with pytest.warns(UserWarning, match="^gray-small is made for noise from 1/255 to 50/255: with more"):
            D(y, level)
    D(y, 50 / 255)
    D(y, 0.0)
    LearnedProx(MGradNetC.conv(1, 4, 3))(y, 0.9)  # no training is known


def test_maps_of_noise_levels_are_refused_by_name(D, y):
    with pytest.raises(InputError, match=r"takes one level per image, not a map of shape \(1, 1, 12, 10\)"):
        D(y, torch.full_like(y, 0.1))
    torch.testing.assert_close(D(y, torch.full((1, 1, 1, 1), 0.1)), D(y, 0.1))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # raised by torch's exporter
def test_exported_models_follow_the_same_rule(D, y, tmp_path):
    export_denoiser(D, tmp_path / "d.onnx")
    graph = onnx.load(tmp_path / "d.onnx").graph
    assert all(value.doc_string for value in (*graph.input, *graph.output))
    exported, image = OnnxDenoiser(tmp_path / "d.onnx"), y.numpy()
    with pytest.raises(InputError, match=f"^noise level {GRAY_LEVELS}$"):
        exported(image, 25)
    with pytest.raises(InputError, match="one noise level, or one for each of 1 images, got 120"):
        exported(image, np.full(image.shape, 0.1))
    with pytest.warns(UserWarning, match="values reach .* but black is 0"):
        exported(255 * image, 0.1)
    with pytest.warns(UserWarning, match="is made for noise from 1/255 to 50/255"):
        exported(image, 0.3)
    exported(3 * image - 0.5, 0.1)
