"""Comparisons of a solver in ONNX Runtime with torch: its inputs, its outputs, and the report of the differences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from gradprox.export.checks.report import Report, demand
from gradprox.export.graph.problem import Deblurring, Problem, Sensing
from gradprox.export.runtime.providers import open_session

# Largest error of a pixel in single precision, relative to the largest pixel of the input.
PARITY_TOLERANCE = 1e-5
# Largest error of an objective, relative to the energy |y|^2/2 of the image, or to itself where it is larger.
OBJECTIVE_TOLERANCE = 1e-6
OUTPUTS = ("x", "residuals", "objective", "steps", "status")

Array = NDArray[Any]


class SolverCase(Protocol):
    """The size of one run.

    Attributes:
        batch: number of images.
        channels: number of channels.
        size: height and width of the image.
        kernel: height and width of the kernel.
        start: whether the first images are given.
    """

    @property
    def batch(self) -> int: ...  # noqa: D102  see above
    @property
    def channels(self) -> int: ...  # noqa: D102
    @property
    def size(self) -> tuple[int, int]: ...  # noqa: D102
    @property
    def kernel(self) -> tuple[int, int]: ...  # noqa: D102
    @property
    def start(self) -> bool: ...  # noqa: D102


class Expected(NamedTuple):
    """The result of torch in double precision: images, steps, statuses and objectives."""

    x: Array
    steps: list[int]
    status: list[int]
    objective: Array


@dataclass(frozen=True, kw_only=True)
class SolverReport(Report):
    """Figures of a verified solver.

    Attributes:
        runs: the cases.
        steps: for each case, the steps that each image took, in ONNX Runtime as in torch.
        objective_error: largest difference of an objective, relative to ``|y|^2/2`` of its image, or to itself where
            it is larger.
        steps_error: largest difference of a step count from that of torch.
        steps_tolerance: the largest legal one.
        rare_steps: how many steps of the comparisons took another branch than usual: a step that the line search
            shortened, from which FISTA restarted, or where NMAPG took its plain step. With 0, such a branch was not
            compared: the searches of a monotone model hardly ever leave the usual one. None where no step can.
    """

    runs: tuple[tuple[Any, ...], ...]
    steps: tuple[tuple[int, ...], ...]
    objective_error: float
    steps_error: int = 0
    steps_tolerance: int = 0
    rare_steps: int | None = None

    def further_rows(self) -> list[tuple[str, str, str]]:
        """See `Report.further_rows`."""
        rare = (
            []
            if self.rare_steps is None
            else [("shortened, restarted or plain steps", str(self.rare_steps), "compared")]
        )
        return [
            (
                "objective, error relative to |y|^2/2",
                f"{self.objective_error:.1e}",
                f"at most {OBJECTIVE_TOLERANCE:g}",
            ),
            ("reason of the last step, every image", "equal", "to that in torch"),
            ("step counts, largest difference", str(self.steps_error), f"at most {self.steps_tolerance}"),
            *rare,
        ]


class Comparison:
    """The differences of several runs.

    Args:
        steps_tolerance: the largest legal difference of a step count. It is 0 unless an algorithm compares numbers that
            are equal up to rounding.
    """

    def __init__(self, steps_tolerance: int = 0) -> None:
        self._error, self._error_at, self._objective_error = 0.0, "", 0.0
        self._steps_error, self._steps_tolerance = 0, steps_tolerance
        self._steps: list[tuple[int, ...]] = []

    def add(self, settings: str, y: Array, found: list[Array], expected: Expected) -> None:
        """Include one run.

        Args:
            settings: its settings, in words.
            y: its measurements.
            found: the outputs of ONNX Runtime, in the order of `OUTPUTS`.
            expected: the result of torch.

        Raises:
            VerificationError: steps, statuses or the shapes of the objectives differ; or an image or an objective
                differs too much.
        """
        x, _, objective, steps, status = found
        label = f"{'x'.join(map(str, x.shape))} {settings}"
        self._steps.append(tuple(steps.tolist()))
        gap = int(np.abs(steps - np.array(expected.steps)).max())
        demand(gap <= self._steps_tolerance, f"{label}: {steps.tolist()} steps, not {expected.steps}")
        self._steps_error = max(self._steps_error, gap)
        demand(
            status.tolist() == expected.status,
            f"{label}: the statuses {status.tolist()}, not {expected.status}",
        )
        if gap == 0:
            demand(objective.shape == expected.objective.shape, f"{label}: {objective.shape} objectives")
        last = min(objective.shape[1], expected.objective.shape[1])
        objective, reference = objective[:, :last], expected.objective[:, :last]
        known = np.isfinite(reference) & (np.isfinite(objective) if gap else True)
        demand(bool((np.isfinite(objective) == known).all() or gap), f"{label}: objectives missing")
        if known.any():
            # Near the minimum an objective is a small difference of terms as large as the energy of the image.
            energy = np.square(y, dtype=np.float64).reshape(len(y), -1).sum(axis=1)[:, None] / 2
            size = np.maximum(energy, np.where(known, np.abs(reference), 0))
            largest = (np.abs(objective - reference) / size)[known].max()
            self._objective_error = float(np.maximum(self._objective_error, largest))
        difference = float(np.abs(x - expected.x).max() / np.abs(y).max())
        if difference >= self._error or np.isnan(difference):
            self._error, self._error_at = difference, label
        # At once: a failed verification ends with its first wrong run.
        demand(
            self._error <= PARITY_TOLERANCE,
            f"it differs from the solver by {self._error:.1e} ({self._error_at})",
        )
        demand(
            self._objective_error <= OBJECTIVE_TOLERANCE,
            f"its objective differs by {self._objective_error:.1e}",
        )

    def report(self, runs: tuple[tuple[Any, ...], ...]) -> SolverReport:
        """Return the report of these runs."""
        return SolverReport(
            cases=len(runs),
            error=self._error,
            error_at=self._error_at,
            error_tolerance=PARITY_TOLERANCE,
            runs=runs,
            steps=tuple(self._steps),
            objective_error=self._objective_error,
            steps_error=self._steps_error,
            steps_tolerance=self._steps_tolerance,
        )


def solver_session(content: bytes) -> onnxruntime.InferenceSession:
    """Return a session on one thread of the CPU.

    Raises:
        VerificationError: the model is no solver.
    """
    session = open_session(content, "cpu", allow_fallback=False, threads=1, label="the exported model")
    names = [output.name for output in session.get_outputs()]
    demand(names == list(OUTPUTS), f"it has the outputs {', '.join(names)}")
    return session


def measured(
    case: SolverCase, seed: int, problem: Problem, *, mirrored: bool = False, clipped: bool = False
) -> tuple[Array, dict[str, Array]]:
    """Return measurements with a little noise, and a random kernel where the problem has one.

    If ``mirrored``, the kernel is its own mirror image in both directions. If ``clipped``, some measurements are black,
    and some are white.

    Images are blocks of gray, and each has another contrast. They are really blurred, as a deblurring solver amplifies
    the rounding errors of sharp images.
    """
    generator = np.random.default_rng(seed)
    height, width = problem.physics.size if isinstance(problem, Sensing) else case.size
    kernel = generator.uniform(0, 1, (1, 1, *case.kernel))
    if mirrored:
        kernel = kernel + np.flip(kernel, -1)
        kernel = kernel + np.flip(kernel, -2)
    kernel /= kernel.sum()
    if isinstance(problem, Deblurring) and problem.name == "valid":
        height, width = height + case.kernel[0] - 1, width + case.kernel[1] - 1
    blocks = generator.uniform(0, 1, (case.batch, case.channels, height // 4 + 1, width // 4 + 1))
    images = np.kron(blocks, np.ones((4, 4)))[..., :height, :width]
    if clipped:
        images = 1.8 * images - 0.4
    images *= np.linspace(0.2, 1, case.batch)[:, None, None, None]
    blur = torch.from_numpy(kernel.astype(np.float32))
    y = problem.operator(blur).A(torch.from_numpy(images.astype(np.float32))).numpy()
    y = (y + 0.01 * generator.standard_normal(y.shape)).astype(np.float32)
    y = y.clip(0, 1) if clipped else y
    return y, {"kernel": blur.numpy()} if isinstance(problem, Deblurring) else {}


def first_images(case: SolverCase, seed: int, y: Array, problem: Problem) -> dict[str, Array]:
    """Return first images of uniform noise, in the shape of the result, where the case gives them."""
    if not case.start:
        return {}
    shape = (case.batch, case.channels, *problem.physics.size) if isinstance(problem, Sensing) else y.shape
    return {"x0": np.random.default_rng(seed).random(shape, dtype=np.float32)}
