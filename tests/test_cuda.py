"""What runs on a CPU runs on a CUDA GPU, with the same results."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from gradprox import load_model, model_names
from gradprox.certificates import certify
from gradprox.networks import Equilibrium, IdentityPath
from gradprox.networks.denoisers import identity_path
from gradprox.physics import CircularBlur, gaussian_kernel, gaussian_noise
from gradprox.priors import posterior_deviation
from gradprox.solvers.presets import SOLVERS, Task, preset
from gradprox.training import Recipe, train

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU on this machine")


@pytest.fixture(autouse=True)
def _full_precision(monkeypatch):
    # Convolutions round single precision to ten bits on recent GPUs: good for training, not for comparing.
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def image(channels: int, side: int = 160) -> torch.Tensor:
    smooth = torch.rand(1, channels, side // 8, side // 8)
    return torch.nn.functional.interpolate(smooth, size=side, mode="bicubic").clamp(0, 1)


@pytest.mark.parametrize("name", model_names())
def test_a_model_gives_what_it_gives_on_the_cpu(name):
    prox = load_model(name)
    y = image(prox.network.channels)
    y = y + gaussian_noise(y, 0.1, torch.default_generator)
    if isinstance(prox.network, Equilibrium):
        # Iterations end a step apart where rounding decides: only what they end at is the same.
        prox.network.tolerance = 1e-4
    # The linear systems behind an equilibrium's derivatives are solved to a relative residual of 1e-5.
    relative = 1e-3 if isinstance(prox.network, Equilibrium) else 0
    expected, potential = prox(y, 0.1), prox.potential(y, 0.1)
    deviation = posterior_deviation(prox, y[..., :40, :40], 0.1).deviation
    prox, y = prox.to("cuda"), y.to("cuda")
    torch.testing.assert_close(prox(y, 0.1).cpu(), expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(prox.potential(y, 0.1).cpu(), potential, rtol=1e-5, atol=0)
    on_gpu = posterior_deviation(prox, y[..., :40, :40], 0.1).deviation
    torch.testing.assert_close(on_gpu.cpu(), deviation, rtol=relative, atol=1e-5)


def test_an_image_of_several_tiles_is_that_of_one(monkeypatch):
    prox, y = load_model("gray-small").to("cuda"), torch.rand(1, 1, 100, 90, device="cuda")
    whole = prox(y, 0.1)
    monkeypatch.setattr(identity_path, "GPU_TILE", 32)
    torch.testing.assert_close(prox(y, 0.1), whole, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", model_names())
def test_a_certificate_holds(name):
    prox = load_model(name).double().to("cuda")
    points = torch.rand(2, prox.network.channels, 11, 12, dtype=torch.float64, device="cuda")
    assert certify(prox, points, 0.1).passed


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_solver_gives_what_it_gives_on_the_cpu(solver):
    x = image(1, 96)
    noise = gaussian_noise(x, 0.02, torch.default_generator)
    results = {}
    for device in ("cpu", "cuda"):
        physics = CircularBlur(gaussian_kernel(1.5).to(device), (96, 96))
        y = physics.A(x.to(device)) + noise.to(device)
        results[device] = preset(Task.DEBLUR, 0.02, solver=solver)(
            y, physics, load_model("gray-small").to(device)
        )
    on_cpu, on_gpu = results["cpu"], results["cuda"]
    assert on_gpu.x.device.type == "cuda"
    assert not on_gpu.objective_increases.any()
    torch.testing.assert_close(on_gpu.x.cpu(), on_cpu.x, rtol=0, atol=1e-4)


# torch hides these warnings of its own, or means them as advice, unless warnings are errors.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated")
@pytest.mark.filterwarnings("ignore:TensorFloat32 tensor cores for float32 matrix multiplication")
@pytest.mark.parametrize("compiled", [False, True])
def test_a_training_gives_what_it_gives_on_the_cpu_and_goes_on_after_a_stop(tmp_path, compiled):
    data = tmp_path / "images"
    data.mkdir()
    pixels = (255 * image(1)[0, 0]).round().numpy().astype(np.uint8)
    Image.fromarray(pixels).save(data / "a.png")
    # A fresh start would be a tight frame: its norm is attained at all frequencies, and rounding decides along which
    # one it is differentiated.
    first = load_model("gray-small").network
    assert isinstance(first, IdentityPath)
    recipe = Recipe(
        name="tiny",
        network=first.config,
        initial="gray-small",
        steps=6,
        batch_size=4,
        patch_size=32,
        checkpoint_every=3,
        warmup=1,
    )
    expected = load_model(train(recipe, data, tmp_path / "cpu")).network.state_dict()
    start = first.state_dict()
    assert max((weight - start[name]).abs().max() for name, weight in expected.items()) > 8e-3

    def stop(progress):
        if progress.step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe, data, tmp_path / "gpu", device="cuda", compiled=compiled, report=stop)
    path = train(recipe, data, tmp_path / "gpu", device="cuda", compiled=compiled, resume=True)
    for name, weight in load_model(path).network.state_dict().items():
        torch.testing.assert_close(weight, expected[name], rtol=0, atol=2e-3)
