"""Every shipped model, and solvers around it, in ONNX Runtime: the same functions as in double-precision torch.

Every model of the zoo is tested. Exporting a model verifies it, which takes a while, so by default only the smallest
one runs.
"""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from gradprox import load_model, model_names
from gradprox.export import export_denoiser, export_solver
from gradprox.export.runtime import OnnxDenoiser, OnnxSolver
from gradprox.networks import DeepPotential, Equilibrium, IdentityPath
from gradprox.physics import BlockSensing, HadamardSensing, gaussian_kernel, gaussian_matrix
from gradprox.solvers import preset
from gradprox.solvers.deblurring import deblur_images
from gradprox.zoo import read_card

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the exporter, within torch

SHAPES = [(1, 1, 1), (3, 1, 1), (1, 1, 64), (3, 7, 13), (1, 31, 37), (3, 97, 101), (1, 130, 60)]
LEVELS = (0.0, 1 / 255, 25 / 255, 50 / 255)
ONE_PASS = [name for name in model_names() if isinstance(load_model(name).network, IdentityPath)]
DEEP = [name for name in model_names() if isinstance(load_model(name).network, DeepPotential)]
SMALLEST = min(ONE_PASS, key=lambda name: (load_model(name).network.channels, read_card(name).parameters))
MODELS = [
    pytest.param(name, marks=() if name == SMALLEST else pytest.mark.slow) for name in (*ONE_PASS, *DEEP)
]
PARITY, SOLVER_PARITY = 2e-6, 1e-5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("zoo")


@pytest.mark.parametrize("name", MODELS)
def test_a_denoiser_is_the_network(name: str, folder: Path) -> None:
    path = folder / f"{name}.onnx"
    assert export_denoiser(name, path, potential=True).error <= PARITY
    prior, denoise = load_model(name).double(), OnnxDenoiser(path, threads=1)
    generator = np.random.default_rng(7)
    for batch, height, width in SHAPES:
        y = generator.random((batch, denoise.channels, height, width), dtype=np.float32)
        for level in LEVELS:
            sigma = float(np.float32(level))
            expected = prior(torch.from_numpy(y).double(), sigma).numpy()
            case = (name, y.shape, level)
            assert np.abs(denoise(y, sigma) - expected).max() <= PARITY * np.abs(y).max(), case
            x, potential = denoise.with_potential(y, sigma)
            assert np.abs(x - expected).max() <= PARITY * np.abs(y).max(), case
            np.testing.assert_allclose(
                potential, prior.potential(torch.from_numpy(y).double(), sigma), rtol=PARITY, atol=1e-12
            )


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(model_names()) - {*ONE_PASS, *DEEP}))
def test_an_equilibrium_is_within_its_tolerance(name: str, folder: Path) -> None:
    path = folder / f"{name}.onnx"
    export_denoiser(name, path, potential=True)
    prior, denoise = load_model(name).double(), OnnxDenoiser(path, threads=1)
    single = load_model(name).network
    assert isinstance(single, Equilibrium)
    y = np.random.default_rng(7).random((1, denoise.channels, 31, 37), dtype=np.float32)
    for level in LEVELS:
        sigma = float(np.float32(level))
        limit = float(single.limits(torch.from_numpy(y), torch.tensor([sigma]), single.tolerance))
        distance = np.sqrt(
            np.mean((denoise(y, sigma) - prior(torch.from_numpy(y).double(), sigma).numpy()) ** 2)
        )
        assert distance <= 1.1 * limit * prior.lipschitz_bound(), (name, level)


def image(channels: int, height: int, width: int) -> torch.Tensor:
    """Return flat blocks with edges: after 50 steps of a solver they are not lost in rounding errors."""
    blocks = torch.rand(1, channels, 4, 5, generator=torch.Generator().manual_seed(3))
    return torch.nn.functional.interpolate(blocks, (height, width))


@pytest.mark.slow
@pytest.mark.parametrize("name", ONE_PASS)
@pytest.mark.parametrize("solver", ["fista", "nmapg"])
def test_deblurring(name: str, solver: str, folder: Path) -> None:
    prior = load_model(name).double()
    export_solver("deblur", solver, name, folder / "deblur.onnx")
    solve = OnnxSolver(folder / "deblur.onnx", threads=1)
    kernel = gaussian_kernel(1.2)
    sharp = image(solve.channels, 40 + kernel.shape[-2], 33 + kernel.shape[-1])
    blurred = torch.nn.functional.conv2d(sharp.transpose(0, 1), kernel).transpose(0, 1).contiguous()
    noise = float(np.float32(0.03))
    found = solve(blurred.numpy(), kernel.numpy(), noise=noise)
    x, result = deblur_images(
        blurred.double(), kernel.double(), prior, preset("deblur", noise, solver=solver)
    )
    assert found.steps.tolist() == result.steps.tolist()
    assert found.status == [status.value for status in result.status]
    assert np.abs(found.x - x.numpy()).max() <= SOLVER_PARITY * float(blurred.abs().max())


@pytest.mark.slow
@pytest.mark.parametrize("name", ONE_PASS)
@pytest.mark.parametrize(
    "physics",
    [
        pytest.param(HadamardSensing((31, 40), 620), id="hadamard"),
        pytest.param(BlockSensing(gaussian_matrix(272, 0), (66, 40)), id="block"),
    ],
)
def test_compressed_sensing(name: str, physics: HadamardSensing | BlockSensing, folder: Path) -> None:
    prior = load_model(name).double()
    export_solver(physics, "pgd", name, folder / "sensing.onnx")
    solve = OnnxSolver(folder / "sensing.onnx", threads=1)
    y, noise = physics.A(image(solve.channels, *physics.size)), float(np.float32(0.05))
    found = solve(y.numpy(), noise=noise)
    result = preset("cs", noise, solver="pgd")(y.double(), copy.deepcopy(physics).double(), prior)
    # Rounding may move the step at which a solver of the warm start ends.
    assert np.abs(found.steps - result.steps.numpy()).max() <= 2
    assert found.status == [status.value for status in result.status]
    assert np.abs(found.x - result.x.numpy()).max() <= SOLVER_PARITY * float(y.abs().max())
