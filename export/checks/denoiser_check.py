r"""Is an exported denoiser the function it was exported from, and still a proximal operator?

Three questions, and any "no" is an error:

* Is it legal ONNX? `onnx.checker` with full shape inference.
* Is it the same function? ONNX Runtime, on one CPU thread, against the torch network in *double* precision, which
  is rebuilt from the weights the file carries: images of many sizes and batches, many noise levels.
* Is it still the gradient of a convex potential? The Jacobian of the exported graph itself, by central differences
  of a double-precision copy of it (`gradprox.export.checks.double_precision`), at an image smaller than the
  network's reach, so that borders matter everywhere: symmetric? without negative eigenvalues? And is ``x`` the
  gradient of the ``potential`` output, where there is one?

In half precision the second question has a wider tolerance, and the third is put to the graph without its roundings.
What those do to the Jacobian is measured and reported, not judged (`gradprox.export.checks.rounding`). An 8-bit integer
model never passes the third question, so it is not put.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import ModelProto
from onnx.reference import ReferenceEvaluator

from gradprox.export.checks.cases import (
    NOISE_LEVELS,
    SHAPES,
    Worst,
    has_potential,
    potential_error,
    run_cases,
)
from gradprox.export.checks.differences import jacobian_figures, neighbors
from gradprox.export.checks.double_precision import evaluator
from gradprox.export.checks.report import Report, check_legal, demand
from gradprox.export.checks.rounding import Rounding, measure_rounding
from gradprox.export.graph.precision import CERTIFIED, PRECISIONS
from gradprox.export.runtime.session import open_session
from gradprox.networks import IdentityPath

# Relative to the largest pixel. Of single precision about 17 units in the last place, of half precision two; what 8
# bits cost is up to the weights, and more than this makes no denoiser.
PARITY_TOLERANCE = {"float32": 2e-6, "float16": 2e-3, "int8": 3e-2}
# Of central differences with step DIFFERENCE in double precision: rounding, curvature, and the odd kink of a gate
# inside the step. An error in the border rule shows at 1e-2, quantized weights at 1e-1.
JACOBIAN_TOLERANCE = 1e-6
DIFFERENCE = 1e-7

JACOBIAN_SHAPE = (4, 5)
JACOBIAN_LEVELS = (2 / 255, 25 / 255)
NOT_CERTIFIED = "nothing says that it is a proximal operator"


@dataclass(frozen=True, kw_only=True)
class DenoiserReport(Report):
    """What was verified of an exported denoiser.

    Attributes:
        shapes: ``(batch, height, width)`` of the images.
        noise_levels: noise levels of the comparisons.
        precision: what it computes in: one of `gradprox.export.graph.precision.PRECISIONS`.
        potential_error: largest relative difference of the potential; ``None`` without that output.
        symmetry_defect: ``max |J - J^T| / |J|_2`` of Jacobians of the exported graph, computed without rounding;
            ``None`` where it is not certified.
        smallest_eigenvalue: of their symmetric parts, relative to ``|J|_2``; ``None`` where it is not certified.
        potential_gradient_error: largest difference between ``x`` and the gradient of the potential, relative to
            the largest pixel; ``None`` without that output.
        jacobian_tolerance: what the figures of the Jacobian may be.
        rounding: what lower precision does to it; ``None`` in single precision.
    """

    shapes: tuple[tuple[int, ...], ...]
    noise_levels: tuple[float, ...]
    precision: str
    potential_error: float | None
    symmetry_defect: float | None
    smallest_eigenvalue: float | None
    potential_gradient_error: float | None
    jacobian_tolerance: float
    rounding: Rounding | None

    def further_rows(self) -> list[tuple[str, str, str]]:
        """See `Report.further_rows`."""
        low, high = f"at least -{self.jacobian_tolerance:g}", f"at most {self.jacobian_tolerance:g}"
        found = [
            ("potential, relative error", self.potential_error, f"at most {self.error_tolerance:g}"),
            ("Jacobian, symmetry defect", self.symmetry_defect, high),
            ("Jacobian, smallest eigenvalue", self.smallest_eigenvalue, low),
            ("potential, error of its gradient", self.potential_gradient_error, high),
        ]
        rows = [(name, f"{value:.1e}", limit) for name, value, limit in found if value is not None]
        if self.rounding is None:
            return rows
        held = "before rounding: a rounded copy of the network" if self.certified else NOT_CERTIFIED
        return [*rows, *self.rounding.rows(), ("certified", "yes" if self.certified else "NO", held)]


def examine_denoiser(
    model: ModelProto, content: bytes, network: IdentityPath, precision: str = "float32"
) -> DenoiserReport:
    """Verify an exported denoiser.

    Args:
        model: the model.
        content: what is written of it.
        network: what it must be.
        precision: what it is said to compute in.

    Raises:
        VerificationError: it is not.
    """
    check_legal(model)
    demand(precision in PRECISIONS, f"its precision is {precision!r}")
    tolerance, certified = PARITY_TOLERANCE[precision], precision in CERTIFIED
    session = open_session(content, "cpu", allow_fallback=False, threads=1, label="the exported model")
    reference = copy.deepcopy(network).double()

    worst, potential, square = Worst(), Worst(), 0.0
    for case in run_cases(session, network.channels, ()):
        expected_potential, expected = _reference(reference, case.y, case.sigma)
        worst.add(float(np.abs(case.x - expected).max() / np.abs(case.y).max()), case)
        potential.add(potential_error(case, expected_potential), case)
        square = max(square, float(np.square(case.x - expected).mean()))
    demand(worst.error <= tolerance, f"it differs from the network by {worst.error:.1e} ({worst.at})")
    demand(potential.error <= tolerance, f"its potential differs by {potential.error:.1e} ({potential.at})")

    potential_too = has_potential(session)
    image = (network.channels, *JACOBIAN_SHAPE)
    defect, smallest, gradient_error = (
        _certified_figures(model, image, potential_too) if certified else (None, None, None)
    )
    rounding = None
    if precision != "float32":
        largest = network.config.noise_levels[-1]
        noise = np.array([largest], np.float32)
        rounding = measure_rounding(
            lambda y: session.run(["x"], {"y": y, "sigma": noise})[0],
            lambda y: _reference(reference, y, noise)[1],
            image,
            largest,
            psnr=-10 * math.log10(square),
        )
    return DenoiserReport(
        cases=len(SHAPES) * len(NOISE_LEVELS),
        error=worst.error,
        error_at=worst.at,
        error_tolerance=tolerance,
        shapes=SHAPES,
        noise_levels=NOISE_LEVELS,
        precision=precision,
        certified=certified,
        potential_error=potential.error if potential_too else None,
        symmetry_defect=defect,
        smallest_eigenvalue=smallest,
        potential_gradient_error=gradient_error if potential_too else None,
        jacobian_tolerance=JACOBIAN_TOLERANCE,
        rounding=rounding,
    )


def _reference(
    network: IdentityPath, y: NDArray[Any], sigma: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return ``Phi(y)`` and ``D(y)`` of the torch network."""
    y64, sigma64 = torch.from_numpy(y).double(), torch.from_numpy(sigma).double()
    envelope, x = network.envelope_and_gradient(y64, sigma64)
    return (y64.square().flatten(1).sum(dim=1) / 2 - envelope).numpy(), x.numpy()


def _certified_figures(
    model: ModelProto, image: tuple[int, int, int], has_potential: bool
) -> tuple[float, float, float]:
    """Return what `_jacobian_figures` does, the worst of all noise levels; none is too bad.

    Raises:
        VerificationError: one is.
    """
    graph = evaluator(model)
    found = [_jacobian_figures(graph, image, level, has_potential) for level in JACOBIAN_LEVELS]
    defect, smallest, gradient_error = (
        float(worst(column))
        for worst, column in zip((np.max, np.min, np.max), zip(*found, strict=True), strict=True)
    )
    demand(defect <= JACOBIAN_TOLERANCE, f"its Jacobian is not symmetric: defect {defect:.1e}")
    demand(smallest >= -JACOBIAN_TOLERANCE, f"it is not monotone: eigenvalue {smallest:.1e}")
    demand(
        gradient_error <= JACOBIAN_TOLERANCE, f"x is not the gradient of its potential: {gradient_error:.1e}"
    )
    return defect, smallest, gradient_error


def _jacobian_figures(
    graph: ReferenceEvaluator, shape: tuple[int, int, int], level: float, has_potential: bool
) -> tuple[float, float, float]:
    """Return symmetry defect, relative smallest eigenvalue, and error of the gradient of the potential."""
    # Flat gray with noise of that level: where gates are half open and eigenvalues come closest to zero.
    y = 0.5 + level * np.random.default_rng(1).standard_normal(shape)
    found = []
    # The evaluator keeps all that it computes: of a few images at a time, that fits into memory.
    for few in np.array_split(np.concatenate([neighbors(y, DIFFERENCE), y[None]]), y.size):
        outputs = graph.run(None, {"y": few, "sigma": np.array([level])})
        assert isinstance(outputs, list)  # noqa: S101  of two shapes in onnx's annotations
        found.append(outputs)
    x, *others = (np.concatenate(values) for values in zip(*found, strict=True))
    gradient_error = 0.0
    if has_potential:
        ahead, behind = np.split(others[0][:-1], 2)
        slopes = ((ahead - behind) / (2 * DIFFERENCE)).reshape(shape)
        gradient_error = float(np.abs(slopes - x[-1]).max() / np.abs(y).max())
    return *jacobian_figures(x[:-1], DIFFERENCE), gradient_error
