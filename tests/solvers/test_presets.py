"""Presets: a physics with a norm that only the user knows, and the status of planned steps."""

from __future__ import annotations

import deepinv
import pytest
import torch
from deepinv.physics import LinearPhysics

from gradprox.errors import InputError
from gradprox.networks import DeepPotential, DeepPotentialConfig, IdentityPath, IdentityPathConfig
from gradprox.networks.tiling import follow
from gradprox.physics import (
    CircularBlur,
    Denoising,
    HadamardSensing,
    Inpainting,
    SingleCoilMRI,
    SuperResolution,
    gaussian_kernel,
)
from gradprox.priors import GradientStepDenoiser, LearnedProx
from gradprox.solvers import Status
from gradprox.solvers.presets import SOLVERS, Task, preset


@pytest.fixture
def physics():
    """Return a physics that says nothing of its norm, which is 1/2."""
    mask = torch.rand(1, 1, 12, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) / 2
    mask[0, 0, 0, 0] = 0.5
    return LinearPhysics(A=lambda x, **_: mask * x, A_adjoint=lambda y, **_: mask * y)


@pytest.mark.parametrize("name", SOLVERS)
def test_a_norm_that_is_not_known_is_given(physics, name, prox):
    y = physics(torch.rand(1, 1, 12, 10, dtype=torch.float64))
    chosen = {"task": Task.COMPRESSED_SENSING, "noise": 0.02, "solver": name, "max_iter": 3}
    with pytest.raises(InputError, match="lipschitz"):
        preset(**chosen)(y, physics, prox)
    result = preset(**chosen, lipschitz=0.25)(y, physics, prox)
    assert torch.isfinite(result.x).all()
    assert int(result.objective_increases.sum()) == 0
    assert result.status[0] in (Status.CONVERGED, Status.MAX_ITER)  # a number of steps was asked for


def test_a_preset_that_takes_its_planned_steps_is_completed(prox):
    y = torch.rand(1, 1, 12, 10, dtype=torch.float64)
    planned = preset(Task.DEBLUR, 0.05, tol=0)
    result = planned(y, Denoising(), prox)
    assert result.status == [Status.COMPLETED]
    assert result.status[0].succeeded
    assert int(result.steps) == planned.max_iter
    limited = preset(Task.DEBLUR, 0.05, tol=0, max_iter=3)
    assert limited(y, Denoising(), prox).status == [Status.MAX_ITER]


@pytest.fixture
def energy_only():
    """Return a prior with an explicit energy, and no prox."""
    torch.manual_seed(0)
    network = DeepPotential(DeepPotentialConfig(widths=(4, 4), blocks=(1, 1))).double()
    return GradientStepDenoiser(network.requires_grad_(False))


@pytest.mark.parametrize("task", Task)
@pytest.mark.parametrize("name", [None, "hqs", "nmapg", "gd"])
def test_priors_with_an_energy_only_have_presets_of_their_own(task, name, energy_only, prox):
    physics = CircularBlur(gaussian_kernel(1.0).double(), (12, 10))
    y = physics(torch.rand(2, 1, 12, 10, dtype=torch.float64))
    chosen = preset(task, 0.02, solver=name)
    result = chosen(y, physics, energy_only)
    assert result.objective_increases.tolist() == [0, 0]
    assert all(status.succeeded for status in result.status)
    assert (chosen.of(energy_only) is chosen) == (task is Task.DEBLUR)
    assert chosen.of(prox) is chosen
    assert chosen.settings(energy_only)["solver"] == (name or "hqs")
    assert int(result.steps.max()) <= chosen.max_iter


def test_a_solver_that_needs_a_prox_is_refused_by_name(energy_only):
    physics = CircularBlur(gaussian_kernel(1.0).double(), (12, 10))
    y = physics(torch.rand(1, 1, 12, 10, dtype=torch.float64))
    with pytest.raises(InputError, match="needs a proximal operator"):
        preset(Task.COMPRESSED_SENSING, 0.02, solver="fista")(y, physics, energy_only)


@pytest.mark.parametrize("task", Task)
def test_a_task_has_a_name(task):
    assert preset(task.value, 0.01) == preset(task, 0.01)


@pytest.mark.parametrize("name", ["nonsense", "DEBLUR", None])
def test_an_unknown_task_is_refused_with_the_choices(name):
    with pytest.raises(InputError, match=rf"^task {name} is unknown: choose one of deblur, cs"):
        preset(name, 0.01)


def test_the_steps_of_the_warm_start_are_told_apart(prox):
    y = torch.rand(2, 1, 12, 10, dtype=torch.float64)
    chosen = preset("deblur", 0.05, tol=0, max_iter=1)
    result = chosen(y, Denoising(), prox)
    assert (result.steps - result.warm_start_steps).tolist() == [1, 1]
    assert result.warm_start_steps.tolist() == [chosen.max_iter - 1] * 2
    assert chosen.solver(y, Denoising(), prox).warm_start_steps.tolist() == [0, 0]


@pytest.mark.parametrize("without_prox", [False, True], ids=["prox", "energy only"])
def test_the_warm_start_of_deblurring_takes_one_pass_a_step(without_prox, energy_only):
    own = LearnedProx(IdentityPath(IdentityPathConfig(kernel_size=4)).double())
    prior = energy_only if without_prox else own
    shares: list[float] = []
    follow(prior.network, shares.append)
    y = torch.rand(1, 1, 12, 10, dtype=torch.float64)
    with torch.no_grad():
        result = preset("deblur", 0.02, tol=0)(y, Denoising(), prior)
    # The last solver takes one more pass, for the objective of its start.
    assert sum(shares) == pytest.approx(int(result.steps) + 1)


@pytest.mark.parametrize("task", Task)
def test_every_problem_has_a_preset_whose_objective_never_rises(task, prox):
    mask = (torch.rand(1, 1, 12, 10) < 0.5).double()
    physics = {
        Task.DEBLUR: CircularBlur(gaussian_kernel(1.0).double(), (12, 10)),
        Task.COMPRESSED_SENSING: HadamardSensing((12, 10), 40),
        Task.DENOISE: Denoising(),
        Task.DEMOSAIC: deepinv.physics.Demosaicing((12, 10)).double(),
        Task.SUPER_RESOLUTION: SuperResolution((12, 10), 2).double(),
        Task.INPAINT: Inpainting(mask),
        Task.MRI: SingleCoilMRI(mask[0, 0]),
    }[task]
    channels = {Task.DEMOSAIC: 3, Task.MRI: 2}.get(task, 1)
    y = physics.A(torch.rand(2, channels, 12, 10, dtype=torch.float64))
    result = preset(task, 0.02)(y, physics, prox)
    assert result.objective_increases.tolist() == [0, 0]
    assert all(status.succeeded for status in result.status)


def test_a_denoiser_of_deepinv_is_refused_by_name():
    y = torch.rand(1, 1, 12, 10)
    with pytest.raises(InputError, match=r"^prior: expected a learned prox .*, got TVDenoiser"):
        preset("deblur", 0.01)(y, Denoising(), deepinv.models.TVDenoiser())
