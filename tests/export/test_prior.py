"""An ONNX file runs inside every solver, and is the same prior there as its network in torch."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from onnx import ModelProto

from gradprox.errors import InputError
from gradprox.export import load_prior
from gradprox.export.runtime import OnnxDenoiser
from gradprox.physics import CircularBlur, gaussian_kernel
from gradprox.priors import LearnedProx
from gradprox.solvers.presets import SOLVERS, Task, preset
from tests.export.tampering import tampered


@pytest.fixture(scope="module")
def runtime_prior(with_potential: Path) -> LearnedProx:
    return load_prior(with_potential, threads=1)


def image(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def test_it_is_the_prior_of_the_network(runtime_prior: LearnedProx, prior: LearnedProx) -> None:
    y, levels = image(2, 3, 21, 18), torch.tensor([0.02, 0.1])
    torch.testing.assert_close(runtime_prior(y, levels), prior(y, levels), rtol=0, atol=2e-6)
    x, envelope = runtime_prior.denoise_with_energy(y, levels)
    torch.testing.assert_close(x, prior(y, levels), rtol=0, atol=2e-6)
    # Not merely up to the rounding of |y|^2/2, which is a hundred times the envelope here.
    expected = copy.deepcopy(prior).double().denoise_with_energy(y.double(), levels)[1]
    torch.testing.assert_close(envelope, expected, rtol=1e-5, atol=0)
    torch.testing.assert_close(
        runtime_prior.potential(y, levels), y.double().square().sum(dim=(1, 2, 3)) / 2 - expected
    )
    assert runtime_prior.lipschitz_bound() == prior.lipschitz_bound()
    assert runtime_prior.weak_convexity() == prior.weak_convexity()
    assert runtime_prior.network.radius == prior.network.radius


def test_types_and_inputs_are_kept(runtime_prior: LearnedProx) -> None:
    y = image(1, 1, 9, 8).double()
    kept = y.clone()
    assert runtime_prior(y, 0.1).dtype == torch.float64
    assert runtime_prior(y.transpose(2, 3), 0.1).shape == (1, 1, 8, 9)
    assert torch.equal(y, kept)


@pytest.mark.parametrize("solver", SOLVERS)
def test_every_solver(solver: str, runtime_prior: LearnedProx, prior: LearnedProx) -> None:
    physics = CircularBlur(gaussian_kernel(1.0), (24, 21))
    blurred = physics.A(torch.nn.functional.interpolate(image(1, 1, 6, 6), (24, 21)))
    algorithm = preset(Task.DEBLUR, 0.02, solver=solver, max_iter=6)
    found, expected = (algorithm(blurred, physics, which) for which in (runtime_prior, prior))
    double = algorithm(blurred.double(), copy.deepcopy(physics).double(), copy.deepcopy(prior).double())
    # NMAPG chooses its steps by differences of gradients, which blows up the rounding of torch no less.
    own = float((expected.x - double.x).abs().max())
    torch.testing.assert_close(found.x.double(), double.x, rtol=0, atol=max(1e-5, 3 * own))
    torch.testing.assert_close(found.objective, expected.objective, rtol=1e-4, atol=1e-6, equal_nan=True)
    assert found.steps.equal(expected.steps)
    assert not found.objective_increases.any()


def test_without_a_potential_it_only_denoises(denoiser_file: Path, prior: LearnedProx) -> None:
    with pytest.raises(InputError, match=r"no potential, .* export the model again"):
        load_prior(denoiser_file)
    denoise = load_prior(denoiser_file, potential=False)
    y = image(1, 1, 9, 8)
    torch.testing.assert_close(denoise(y, 0.1), prior(y, 0.1), rtol=0, atol=2e-6)
    with pytest.raises(InputError, match="no potential"):
        denoise.denoise_with_energy(y, 0.1)


def test_no_derivatives_in_silence(runtime_prior: LearnedProx) -> None:
    with pytest.raises(RuntimeError, match="requires grad"):
        runtime_prior(image(1, 1, 9, 8).requires_grad_(), 0.1)


def test_providers_are_those_of_the_runtime(with_potential: Path) -> None:
    with pytest.raises(InputError, match="provider abacus: unknown"):
        load_prior(with_potential, "abacus")


@pytest.mark.parametrize("certificate", ["null", "{}", "nonsense", '{"lipschitz_bound": []}'])
def test_a_damaged_certificate(certificate: str, with_potential: Path, tmp_path: Path) -> None:
    def change(model: ModelProto) -> None:
        for entry in model.metadata_props:
            if entry.key == "gradprox.certificate":
                entry.value = certificate

    with pytest.raises(InputError, match="certificate is damaged"):
        load_prior(tampered(with_potential, tmp_path / "changed.onnx", change))


def test_the_potential_in_the_runtime(with_potential: Path, prior: LearnedProx) -> None:
    denoise, y = OnnxDenoiser(with_potential), image(2, 3, 15, 12)
    x, potential = denoise.with_potential(y.numpy(), 0.1)
    assert (x == denoise(y.numpy(), 0.1)).all()
    torch.testing.assert_close(torch.from_numpy(potential), prior.potential(y, 0.1).double())
    with pytest.raises(InputError, match="expected floating-point images"):
        denoise.with_potential(y.numpy()[0], 0.1)
