"""Exported equilibria: a loop in the file, with results within the proven distance of the prox."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import ModelProto, helper, numpy_helper

from gradprox import InputError, load_model
from gradprox.export import Report, VerificationError, export_denoiser, export_solver, load_prior, verify
from gradprox.export.runtime import OnnxDenoiser, container
from gradprox.networks import EnergyGatedConfig, Equilibrium, EquilibriumConfig, IdentityPathConfig
from gradprox.networks.denoisers.descent import root_mean_square
from gradprox.physics import SymmetricBlur, gaussian_kernel
from gradprox.priors import LearnedProx
from gradprox.solvers import GD
from tests.export.tampering import followed_by, say, tampered


def equilibrium(*, start: bool = True, channels: int = 1) -> LearnedProx:
    inner, first = (
        IdentityPathConfig(
            kernel_size=4, channels=channels, shrinkage=EnergyGatedConfig(window=3, gate_kind=gate_kind)
        )
        for gate_kind in ("firm", "ramp")
    )
    config = EquilibriumConfig(kind="equilibrium", regularizer=inner, start=first if start else None)
    network = Equilibrium(config).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for weight in network.parameters():
        weight += 0.2 * weight.abs().mean() * torch.randn(weight.shape, generator=generator)
    return LearnedProx(network, "small")


@pytest.fixture(scope="module")
def iterating() -> LearnedProx:
    return equilibrium()


@pytest.fixture(scope="module")
def exported_equilibrium(
    iterating: LearnedProx, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Report]:
    path = tmp_path_factory.mktemp("equilibrium") / "equilibrium.onnx"
    return path, export_denoiser(iterating, path, potential=True)


@pytest.fixture(scope="module")
def file(exported_equilibrium: tuple[Path, Report]) -> Path:
    return exported_equilibrium[0]


def image(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).random(shape, dtype=np.float32)


def test_the_loop_is_in_the_file(file: Path, iterating: LearnedProx) -> None:
    nodes = [node.op_type for node in onnx.load(file).graph.node]
    assert nodes.count("Loop") == 1
    _, metadata = container.read(file)
    assert json.loads(metadata["halo"]) is None
    assert json.loads(metadata["tolerance"]) == iterating.network.tolerance
    assert json.loads(metadata["certificate"])["lipschitz_bound"] == pytest.approx(20)
    assert load_model(file).network.config == iterating.network.config


@pytest.mark.parametrize("level", [0.0, 2 / 255, 25 / 255, 0.5])
@pytest.mark.filterwarnings("ignore:.*is made for noise")
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 1, 1, 5), (1, 1, 24, 17), (1, 3, 9, 8)])
def test_results_are_as_near_to_the_prox_as_the_tolerance_says(
    file: Path, iterating: LearnedProx, shape: tuple[int, ...], level: float
) -> None:
    y, sigma = image(*shape), float(np.float32(level))
    # Each channel is an image of its own.
    y64 = torch.from_numpy(y).double().view(-1, 1, *shape[2:])
    network = iterating.network
    limits = network.limits(y64.float(), torch.tensor([sigma]), network.tolerance)
    exact = load_model(file).double()(y64, sigma)
    found = torch.from_numpy(OnnxDenoiser(file, threads=1)(y, sigma)).view_as(exact)
    distance = root_mean_square(found - exact)
    assert bool((distance <= 1.1 * limits * network.lipschitz_bound()).all())
    # And far smaller than the change from the input.
    if level > 0.05:
        assert bool((distance <= 0.05 * root_mean_square(y64 - exact) + 1e-6).all())


def test_it_stops_where_torch_stops(file: Path, iterating: LearnedProx) -> None:
    y = image(3, 1, 20, 21)
    np.testing.assert_allclose(
        OnnxDenoiser(file, threads=1)(y, 0.1), iterating(torch.from_numpy(y), 0.1).numpy(), atol=1e-5
    )


def test_each_image_of_a_batch_stops_by_itself(file: Path) -> None:
    session = onnxruntime.InferenceSession(file)
    flat, busy = np.full((1, 1, 20, 21), 0.5, np.float32), image(1, 1, 20, 21)

    def run(y: np.ndarray) -> np.ndarray:
        return session.run(["x"], {"y": y, "sigma": np.array([0.1], np.float32)})[0]

    together = run(np.concatenate([flat, busy, np.full_like(flat, np.nan)]))
    np.testing.assert_allclose(together[0], run(flat)[0], atol=1e-6)
    np.testing.assert_allclose(together[1], run(busy)[0], atol=1e-6)
    assert np.isnan(together[2]).all()


def test_images_are_taken_whole(file: Path, iterating: LearnedProx) -> None:
    # Large enough that the noise level becomes a constant of the model, inside its loop too.
    y = image(1, 1, 200, 196)
    denoise = OnnxDenoiser(file, threads=1, tile=8)
    result = denoise(y, 0.1)
    network, noisy, sigma = iterating.network, torch.from_numpy(y), torch.tensor([0.1])
    assert isinstance(network, Equilibrium)
    # The result of torch may differ: rounding decides which step is the last.
    size = root_mean_square(network.objective_gradient(torch.from_numpy(result), noisy, sigma))
    assert size <= 1.01 * network.limits(noisy, sigma, network.tolerance)
    np.testing.assert_allclose(denoise.on_device(denoise.to_device(y), 0.1).numpy(), result, atol=1e-5)


def test_it_says_when_steps_run_out(file: Path, tmp_path: Path) -> None:
    path = tampered(file, tmp_path / "short.onnx", stop_after_one_step)
    with pytest.warns(RuntimeWarning, match="an image is not within the model's tolerance"):
        OnnxDenoiser(path)(image(1, 1, 12, 13), 0.1)


def test_the_tolerance_travels_with_the_file(tmp_path: Path) -> None:
    tight = equilibrium(start=False)
    tight.network.tolerance = 1e-3
    export_denoiser(tight, tmp_path / "tight.onnx")
    assert load_model(tmp_path / "tight.onnx").network.tolerance == 1e-3
    tight.network.tolerance = 0.02
    with pytest.raises(VerificationError, match=r"its tolerance is 0\.02"):
        export_denoiser(tight, tmp_path / "loose.onnx")
    assert not (tmp_path / "loose.onnx").exists()


def test_three_channels_without_a_first_pass(tmp_path: Path) -> None:
    color = equilibrium(start=False, channels=3)
    export_denoiser(color, tmp_path / "color.onnx")
    y = image(1, 3, 15, 22)
    np.testing.assert_allclose(
        OnnxDenoiser(tmp_path / "color.onnx", threads=1)(y, 0.1),
        color(torch.from_numpy(y), 0.1).numpy(),
        atol=1e-5,
    )


def test_a_solver_descends_with_it(file: Path) -> None:
    iterating = load_prior(file)
    assert iterating.network.radius is None
    physics = SymmetricBlur(gaussian_kernel(1.0), (24, 24))
    y = physics.A(torch.from_numpy(image(1, 1, 24, 24)))
    result = GD(sigma=0.05, max_iter=10)(y, physics, iterating)
    assert result.steps.tolist() == [10]
    assert bool((result.objective.diff(dim=1) <= 1e-5).all())


def test_a_file_verifies_by_itself(exported_equilibrium: tuple[Path, Report]) -> None:
    path, report = exported_equilibrium
    assert verify(path) == report
    assert 0.1 < report.error <= 1.1
    assert report.potential_error <= 2e-6
    assert "distance from the exact prox" in str(report)


def change_a_filter(model: ModelProto, by: float = 0.02) -> None:
    """Change one tap of the first four-dimensional weight of the step: of the analysis, or of the synthesis.

    The change is twice the tolerance; results after a much smaller one would be within it.
    """
    (iterations,) = (node for node in model.graph.node if node.op_type == "Loop")
    step = iterations.attribute[0].g
    used = {name for node in step.node if node.op_type == "Conv" for name in node.input}
    for tensor in model.graph.initializer:
        if tensor.name in used and list(tensor.dims[2:]) == [4, 4]:
            filters = numpy_helper.to_array(tensor).copy()
            filters[0, 0, 0, 0] += by
            tensor.CopyFrom(numpy_helper.from_array(filters, tensor.name))
            return
    raise AssertionError("no filters in the step")


def stop_after_one_step(model: ModelProto) -> None:
    (most,) = (tensor for tensor in model.graph.initializer if tensor.name == "max_iter")
    most.CopyFrom(numpy_helper.from_array(np.array(1), "max_iter"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (change_a_filter, "does not minimize"),
        (stop_after_one_step, "does not minimize"),
        (followed_by("Neg", "potential"), "potential differs"),
        (functools.partial(change_a_filter, by=np.nan), "does not minimize .* nan times"),
    ],
)
def test_changes_are_found(
    file: Path, tmp_path: Path, change: Callable[[ModelProto], None], message: str
) -> None:
    with pytest.raises(VerificationError, match=message):
        verify(tampered(file, tmp_path / "changed.onnx", change))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("tolerance", None, "does not contain the tolerance"),
        ("tolerance", "nonsense", "does not contain the tolerance"),
        ("tolerance", "nan", "its tolerance is nan"),
        ("tolerance", "-1", "its tolerance is -1"),
        ("tolerance", "1e-5", "does not minimize"),
        ("tolerance", "1e9", "its tolerance is 1e"),
        ("halo", "0", "says halo: 0"),
        ("certificate", '{"lipschitz_bound": 1.0}', "says certificate: "),
        ("certificate", None, "lacks a readable 'certificate'"),
        ("channels", "3", "says channels: 3"),
        ("precision", "float16", "too coarse"),
        ("precision", "nonsense", "its precision is 'nonsense'"),
        ("kind", "solver", "solver around an equilibrium"),
    ],
)
def test_what_a_file_says_must_be_true(
    file: Path, tmp_path: Path, key: str, value: str | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        verify(tampered(file, tmp_path / "changed.onnx", say(**{key: value})))


def test_the_runtime_refuses_a_halo(file: Path, denoiser_file: Path, tmp_path: Path) -> None:
    for source, halo in ((file, "5"), (denoiser_file, "null")):
        with pytest.raises(InputError, match="says the halo is"):
            OnnxDenoiser(tampered(source, tmp_path / "changed.onnx", say(halo=halo)))


def rename_the_potential(model: ModelProto) -> None:
    for node in model.graph.node:
        for position, name in enumerate(node.output):
            if name == "potential":
                node.output[position] = "surplus"
    model.graph.output[-1].name = "surplus"


def drop_a_row(model: ModelProto) -> None:
    """Return ``x`` without its first row."""
    (iterations,) = (node for node in model.graph.node if node.op_type == "Loop")
    iterations.output[0] = "before"
    place = list(model.graph.node).index(iterations) + 1
    for name, value in (("one", 1), ("end", 2**31), ("last", 3)):
        model.graph.initializer.append(numpy_helper.from_array(np.array([value]), name))
    model.graph.node.insert(place, helper.make_node("Slice", ["before", "one", "end", "last"], ["x"]))


@pytest.mark.parametrize(
    ("change", "message"), [(rename_the_potential, "has the outputs"), (drop_a_row, r"shapes|cannot run it")]
)
def test_outputs_must_be_what_they_should(
    file: Path, tmp_path: Path, change: Callable[[ModelProto], None], message: str
) -> None:
    with pytest.raises(VerificationError, match=message):
        verify(tampered(file, tmp_path / "changed.onnx", change))


def test_what_cannot_be_exported_is_refused(iterating: LearnedProx, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="small: float16 is too coarse for the iterations"):
        export_denoiser(iterating, tmp_path / "refused.onnx", precision="float16")
    with pytest.raises(InputError, match="small: is an equilibrium"):
        export_solver("deblur", "pgd", iterating, tmp_path / "refused.onnx")
    assert not list(tmp_path.iterdir())
