"""Mixed precision: where it is used, how little it changes, and that objectives never see it."""

from __future__ import annotations

import pytest
import torch

from gradprox import load_model
from gradprox.errors import InputError
from gradprox.images import EXAMPLE_IMAGE, read_gray
from gradprox.physics import CircularBlur, gaussian_kernel, gaussian_noise
from gradprox.solvers import Continuation, preset
from gradprox.solvers import mixed_precision as module

NOISE = 2.55 / 255


@pytest.fixture
def everywhere(monkeypatch):
    """Let every processor compute in bfloat16, with or without such instructions."""
    monkeypatch.setattr(module, "computes_in_bfloat16", lambda _: True)


def problem(dtype=torch.float32):
    clean = read_gray(EXAMPLE_IMAGE)[..., 40:104, 40:104].to(dtype)
    physics = CircularBlur(gaussian_kernel(1.6).to(dtype), (64, 64))
    y = physics(clean)
    return clean, physics, y + gaussian_noise(y, NOISE, torch.Generator().manual_seed(0))


class Watched:
    """A prior that notes which of its calls ran in mixed precision."""

    tolerates_bfloat16 = True
    is_prox = False
    name = "watched"

    def __init__(self, prior):
        self.prior, self.mixed = prior, []

    def __call__(self, y, sigma):
        self.mixed.append(torch.is_autocast_enabled("cpu"))
        return self.prior(y, sigma)

    def denoise_with_energy(self, y, sigma):
        self.mixed.append(torch.is_autocast_enabled("cpu"))
        return self.prior.denoise_with_energy(y, sigma)

    def __getattr__(self, name):
        return getattr(self.prior, name)


def test_the_warm_start_alone_is_mixed(everywhere):
    _, physics, y = problem()
    prior = Watched(load_model("gray-deep"))
    chosen = preset("deblur", NOISE, mixed_precision=True)
    chosen(y, physics, prior)
    steps = chosen.warm_start[0].max_iter
    assert prior.mixed[:steps] == [True] * steps
    assert len(prior.mixed) > steps
    assert not any(prior.mixed[steps:])


def test_the_image_changes_by_far_less_than_the_noise(everywhere):
    clean, physics, y = problem()
    prior = load_model("gray-deep")
    single, mixed = (
        preset("deblur", NOISE, mixed_precision=choice)(y, physics, prior) for choice in (False, True)
    )
    assert not torch.equal(single.x, mixed.x)
    assert (single.x - mixed.x).square().mean().sqrt() < 0.02 * NOISE
    errors = [float((result.x - clean).square().mean()) for result in (single, mixed)]
    assert errors[1] == pytest.approx(errors[0], rel=0.0025)  # 0.01 dB
    assert int(mixed.objective_increases.sum()) == 0


@pytest.mark.parametrize("model", ["gray-fast", "gray-small"])
def test_monotone_models_keep_single_precision(model, everywhere):
    _, physics, y = problem()
    prior = load_model(model)
    single, mixed = (
        Continuation(sigma=0.01, max_iter=2, mixed_precision=choice)(y, physics, prior)
        for choice in (False, True)
    )
    assert torch.equal(single.x, mixed.x)


def test_double_precision_stays(everywhere):
    _, physics, y = problem(torch.float64)
    prior = load_model("gray-deep").double()
    single, mixed = (
        Continuation(sigma=0.01, max_iter=2, mixed_precision=choice)(y, physics, prior)
        for choice in (False, True)
    )
    assert torch.equal(single.x, mixed.x)


def test_a_device_without_instructions_stays_in_single_precision(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_bf16": False})
    assert not module.computes_in_bfloat16(torch.device("cpu"))
    assert not module.computes_in_bfloat16(torch.device("meta"))


def test_the_command_refuses_it_for_models_in_single_precision():
    from gradprox.cli.tuning import DeblurringTuning

    assert DeblurringTuning().settings["mixed_precision"]
    assert not DeblurringTuning(mixed_precision=False).settings["mixed_precision"]
    DeblurringTuning().check_model("deblur", load_model("gray-fast"))
    tuning = DeblurringTuning(mixed_precision=True)
    tuning.check_model("deblur", None)
    tuning.check_model("deblur", load_model("gray-deep"))
    with pytest.raises(InputError, match="--mixed-precision: is for gray-deep and color-deep"):
        tuning.check_model("deblur", load_model("gray-fast"))
