"""Presets with every solver as ONNX files: the images, objectives, statuses and step counts of the command line."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import ModelProto, helper

from gradprox.errors import InputError
from gradprox.export import VerificationError, export_solver, verify
from gradprox.export.graph.recipe import recipe_of
from gradprox.export.graph.solver_steps import Record
from gradprox.export.graph.tracing import graphs
from gradprox.export.runtime import OnnxDenoiser, OnnxSolver
from gradprox.physics import BlockSensing, HadamardSensing, gaussian_matrix, motion_kernel
from gradprox.priors import GradientStepDenoiser, LearnedProx
from gradprox.solvers import Status, deblur_images, preset
from gradprox.solvers.forward_backward import ForwardBackwardState
from gradprox.solvers.hqs import HQSState
from gradprox.solvers.presets import Task
from tests.export.reports import report_in, verified_again
from tests.export.small_networks import small_deep
from tests.export.tampering import say, tampered

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the exporter, within torch
HADAMARD, BLOCK = HadamardSensing((7, 6), 24), BlockSensing(gaussian_matrix(12, 0, 6), (20, 15))
# The default solvers have tests of their own. Exporting takes a while, so most of these are slow.
VARIANTS = [
    ("nmapg", "circular", "deep"),
    ("fista", "circular", "prox"),
    ("pgd", HADAMARD, "prox"),
    *(
        pytest.param(variant, marks=pytest.mark.slow)
        for variant in (
            ("gd", "valid", "prox"),
            ("gd", "symmetric", "deep"),
            ("gd", BLOCK, "prox"),
            ("nmapg", "valid", "prox"),
            ("nmapg", "symmetric", "prox"),
            ("nmapg", HADAMARD, "prox"),
            ("nmapg", BLOCK, "deep"),
            ("fista", "valid", "color"),
            ("pgd", "symmetric", "prox"),
            ("hqs", HADAMARD, "prox"),
        )
    ),
]


class Exported:
    """A file, with the torch solver that it stands for."""

    def __init__(
        self,
        variant: tuple[str, object, str],
        prior: LearnedProx | GradientStepDenoiser,
        shared_file: Callable[[str, Callable[[Path], object]], Path],
    ) -> None:
        self.solver, self.problem, self.kind = variant
        self.prior = copy.deepcopy(prior).double()
        self.deblurs = isinstance(self.problem, str)
        where = {"boundary": self.problem} if self.deblurs else {}
        problem = "deblur" if self.deblurs else self.problem
        place = self.problem if self.deblurs else type(self.problem).__name__
        self.path = shared_file(
            f"{self.solver}-{place}-{self.kind}.onnx",
            lambda path: export_solver(problem, self.solver, prior, path, **where),
        )

    def measured(self, batch: int) -> np.ndarray:
        """Return blurred blocks, or measurements of some, each image with another contrast."""
        generator = np.random.default_rng(0)
        size = (26, 21) if self.deblurs else self.problem.size
        channels = 3 if self.kind == "color" else 1
        blocks = np.kron(generator.random((batch, channels, 6, 5)), np.ones((5, 5)))[
            ..., : size[0], : size[1]
        ]
        blocks *= np.linspace(1, 0.2, batch)[:, None, None, None]
        blocks = torch.from_numpy(blocks.astype(np.float32))
        return (blocks if self.deblurs else self.problem.A(blocks)).numpy()

    def in_torch(self, y: np.ndarray, noise: float, **settings: object) -> tuple[np.ndarray, object]:
        """Return the result of the command line in double precision."""
        noise = float(np.float32(noise))
        y64, x0 = torch.from_numpy(y).double(), settings.pop("x0", None)
        x0 = None if x0 is None else torch.from_numpy(x0).double()
        task = "deblur" if self.deblurs else "cs"
        chosen = preset(task, noise, solver=self.solver, **settings)
        if self.deblurs:
            kernel = torch.from_numpy(self.kernel()).double()[None, None]
            x, result = deblur_images(y64, kernel, self.prior, chosen, boundary=self.problem, x0=x0)
        else:
            result = chosen(y64, copy.deepcopy(self.problem).double(), self.prior, x0=x0)
            x = result.x
        return x.numpy(), result

    def kernel(self) -> np.ndarray:
        # Negative values: the norm is not at the mean of the image.
        kernel = motion_kernel(4, 30)[0, 0].numpy()
        kernel[0, 0] -= 0.3
        return kernel

    def arguments(self) -> tuple[np.ndarray, ...]:
        return (self.kernel(),) if self.deblurs else ()


@pytest.fixture(
    scope="module",
    params=VARIANTS,
    ids=lambda variant: "-".join(
        str(getattr(type(v), "__name__", v)) if not isinstance(v, str) else v for v in variant
    ),
)
def exported_solver(
    request: pytest.FixtureRequest,
    prior: LearnedProx,
    color_prior: LearnedProx,
    shared_file: Callable[[str, Callable[[Path], object]], Path],
) -> Exported:
    priors = {"prox": prior, "color": color_prior, "deep": small_deep()}
    return Exported(request.param, priors[request.param[2]], shared_file)


def test_it_is_what_the_command_line_runs(exported_solver: Exported) -> None:
    case, solver = exported_solver, OnnxSolver(exported_solver.path, threads=1)
    assert solver.algorithm == case.solver
    y = case.measured(3)
    much = 0.285 if case.deblurs else 0.18
    start = np.random.default_rng(1).random(y.shape if case.deblurs else (3, 1, *case.problem.size))
    for noise, settings in (
        (much / 10, {}),
        (much, {"strength": 0.7, "max_iter": 25, "tol": float(np.float32(3e-3))}),
        (much, {"max_iter": 3, "x0": start.astype(np.float32)}),
    ):
        restored = solver(y, *case.arguments(), noise=noise, **settings)
        x, result = case.in_torch(y, noise, **settings)
        assert np.abs(restored.x - x).max() <= 1e-5 * max(1, np.abs(y).max())
        # In compressed sensing, rounding may move the step at which a solver of the warm start ends.
        gap = np.abs(restored.steps - result.steps.numpy()).max()
        assert gap <= (0 if case.deblurs else 2)
        assert restored.status == [status.value for status in result.status]
        rounding = 5e-6 * np.square(y).sum() / 2
        if gap == 0:
            expected = result.objective.numpy()
            np.testing.assert_allclose(restored.objective, expected, rtol=0, atol=rounding, equal_nan=True)
        assert np.nanmax(np.diff(restored.objective, axis=1)[:, 1:]) <= rounding


def test_a_file_verifies_by_itself(exported_solver: Exported) -> None:
    report = report_in(exported_solver.path)
    assert verified_again(exported_solver.path) == report
    assert report["error"] <= 1e-5
    if exported_solver.kind == "deep" or exported_solver.solver == "fista":
        assert report["rare_steps"] > 0


def test_its_inputs(exported_solver: Exported) -> None:
    model = onnx.load(exported_solver.path)
    names = [
        "y",
        *(["kernel"] if exported_solver.deblurs else []),
        "noise",
        "strength",
        "tol",
        "max_iter",
        "x0",
        *(["clipping"] if exported_solver.deblurs and exported_solver.solver == "nmapg" else []),
    ]
    assert [value.name for value in model.graph.input] == names
    assert [value.name for value in model.graph.output] == ["x", "residuals", "objective", "steps", "status"]


def ignore_the_start(model: ModelProto) -> None:
    choice = next(node for node in model.graph.node if node.op_type == "If")
    branches = {attribute.name: attribute.g for attribute in choice.attribute}
    branches["then_branch"].CopyFrom(branches["else_branch"])


def replaced(output: str, operator: str, inputs: list[str]):
    """Return the change that computes a value otherwise, inside of whatever graph it is in."""

    def change(model: ModelProto) -> None:
        (node,) = (node for graph in graphs(model.graph) for node in graph.node if output in node.output)
        node.CopyFrom(helper.make_node(operator, inputs, [output], name=node.name))

    return change


# Ways to break a step, by solver.
BROKEN = {
    "nmapg": {
        "the first trial is taken": replaced(
            "last/fast/still_open", "Xor", ["last/fast/open_before", "last/fast/open_before"]
        ),
        "no plain step": replaced("last/plain/any", "Not", ["begin"]),
        "no extrapolation": replaced("last/tentative", "Identity", ["last/x"]),
    },
    "gd": {
        "the whole gradient step is half as long": replaced(
            "last/trial/first_length", "Identity", ["last/fraction"]
        ),
    },
    "fista": {
        "never a restart": replaced("last/any_worse", "Not", ["begin"]),
        "no momentum": replaced("last/ahead", "Identity", ["last/x"]),
    },
    "pgd": {"the gradient stays": replaced("last/new_gradient", "Identity", ["last/gradient"])},
    "hqs": {},
}


def test_a_changed_file_is_found(exported_solver: Exported, tmp_path: Path) -> None:
    changes = {"start": ignore_the_start, **BROKEN[exported_solver.solver]}
    for name, change in changes.items():
        with pytest.raises(VerificationError):
            verify(tampered(exported_solver.path, tmp_path / f"{name}.onnx", change))


def test_a_file_without_a_preset(exported_solver: Exported, tmp_path: Path) -> None:
    path = tampered(exported_solver.path, tmp_path / "old.onnx", say(preset=None))
    with pytest.raises(
        InputError, match="without a warm start, as an earlier version made it: export it again"
    ):
        OnnxSolver(path)
    with pytest.raises(InputError, match="describe no preset"):
        verify(path)


def test_kinds_are_not_confused(exported_solver: Exported, denoiser_file: Path) -> None:
    with pytest.raises(InputError, match="contains a solver, not a denoiser"):
        OnnxDenoiser(exported_solver.path)
    with pytest.raises(InputError, match="contains a denoiser, not a solver"):
        OnnxSolver(denoiser_file)


def test_the_recipes_are_the_presets() -> None:
    for task in (Task.DEBLUR, Task.COMPRESSED_SENSING):
        for solver in ("hqs", "fista", "nmapg", "pgd", "gd"):
            for is_prox in (True, False) if solver in ("hqs", "nmapg", "gd") else (True,):
                recipe = recipe_of(task, solver, is_prox=is_prox)
                for noise in (0.0, 0.01, 0.1, 0.3):
                    wanted = preset(task, noise, solver=solver, strength=2.0, max_iter=9, tol=1e-3)
                    if not is_prox and wanted.without_prox:
                        wanted = wanted.without_prox
                    found = recipe.preset(noise, 2.0, 9, 1e-3)
                    assert (found.solver, found.warm_start) == (wanted.solver, wanted.warm_start)


def test_an_image_without_a_step_stays_as_it_is() -> None:
    x, new = torch.zeros(2, 1, 3, 3), torch.ones(2, 1, 3, 3)
    high, low = torch.full((2,), 5.0).double(), torch.full((2,), 3.0).double()
    counter, going = torch.zeros(2).long(), torch.tensor([False, False])
    before = HQSState(x, high, high, torch.ones(2).double(), going, x)
    stays = torch.tensor([[[[False]]], [[[True]]]])
    after = HQSState(
        torch.where(stays, x, new),
        torch.where(stays[:, 0, 0, 0], high, low),
        low,
        torch.tensor([0.5, 0.1]).double(),
        stays[:, 0, 0, 0],
        new,
    )
    go_on, kept, objective, *_, status, steps, row, residual = Record(HQSState)(
        tuple(vars(after).values()), tuple(vars(before).values()), counter, counter, torch.tensor([1e-3])
    )
    assert go_on
    assert torch.equal(kept, after.x)
    assert objective.tolist() == row.tolist() == [3.0, 5.0]
    assert status.tolist() == [0, 3]
    assert Status.STALLED.value == "stalled"
    assert steps.tolist() == [1, 1]
    assert residual.tolist() == [1.0, 0.0]


def test_an_image_that_is_not_finite_keeps_its_last_state() -> None:
    x, new = torch.zeros(2, 1, 3, 3), torch.ones(2, 1, 3, 3)
    new[1, 0, 0, 0] = torch.nan
    number = torch.full((2,), 3.0).double()
    before, after = (ForwardBackwardState(image, number, number, image) for image in (x, new))
    counter = torch.zeros(2).long()
    _, kept, *_, status, steps, row, _ = Record(ForwardBackwardState)(
        tuple(vars(after).values()), tuple(vars(before).values()), counter, counter, torch.tensor([1e-3])
    )
    assert torch.equal(kept, torch.stack([new[0], x[1]]))
    assert status.tolist() == [0, 2]
    assert steps.tolist() == [1, 1]
    assert row.tolist() == [3.0, 3.0]


@pytest.mark.parametrize(
    "names", [("inpaint", "pgd", "valid"), ("deblur", "admm", "valid"), ("deblur", "pgd", "x")]
)
def test_what_cannot_be_exported(names: tuple[str, str, str], prior: LearnedProx, tmp_path: Path) -> None:
    problem, algorithm, boundary = names
    with pytest.raises(InputError, match="cannot be exported; choose one of"):
        export_solver(problem, algorithm, prior, tmp_path / "x.onnx", boundary=boundary)


@pytest.mark.parametrize("solver", ["fista", "pgd"])
def test_solvers_that_need_a_prox_are_refused_without_one(solver: str, tmp_path: Path) -> None:
    for problem in ("deblur", HADAMARD):
        with pytest.raises(
            InputError, match=r"prior: \w+ needs a proximal operator, but deep has only an explicit"
        ):
            export_solver(problem, solver, small_deep(), tmp_path / "refused.onnx")
    assert not list(tmp_path.iterdir())
