r"""Verification that an exported denoiser of one pass is the same function, with the same certificate.

Three properties are checked, and each failure is an error:

* The model is legal ONNX: `onnx.checker` accepts it, with full shape inference.
* The function is the same. ONNX Runtime, on one CPU thread, is compared with the torch network in *double* precision,
  built from the weights in the file. The comparison covers many image sizes, batch sizes and noise levels.
* The certificate of the network holds. The Jacobian of the exported graph must be symmetric and, for a monotone
  network, without negative eigenvalues. An output ``potential`` must have the gradient ``x``. The graph is
  evaluated in double precision (`gradprox.export.checks.double_precision`), and differentiated by central differences.
  The image is smaller than the network's reach, so that borders affect every pixel.

In half precision the second check has a wider tolerance, and the third check uses the graph without its rounding.
The effect of rounding is measured and reported (`gradprox.export.checks.low_precision`).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import ModelProto
from onnx.reference import ReferenceEvaluator

from gradprox.export.checks.cases import (
    NOISE_LEVELS,
    SHAPES,
    LargestError,
    has_potential,
    potential_error,
    run_cases,
)
from gradprox.export.checks.double_precision import evaluator
from gradprox.export.checks.jacobian import jacobian_figures, neighbors
from gradprox.export.checks.low_precision import LowPrecisionFigures, measure_low_precision
from gradprox.export.checks.report import Progress, Report, check_legal, demand, silent
from gradprox.export.runtime.providers import open_session
from gradprox.networks.denoisers.config import ImageNetwork

# Largest error of a pixel, relative to the largest pixel: about 17 units in the last place of single precision, and two
# of half precision.
PARITY_TOLERANCE = {"float32": 2e-6, "float16": 2e-3}
# A network without a proven Lipschitz bound may amplify rounding. The error of its export may then be this many
# times that of torch in single precision, if that exceeds PARITY_TOLERANCE.
SINGLE_PRECISION_FACTOR = 4
# Tolerance of figures from central differences with step DIFFERENCE in double precision. It covers rounding, curvature,
# and a kink of a gate within the step. A wrong border rule gives 1e-2.
JACOBIAN_TOLERANCE = 1e-6
DIFFERENCE = 1e-7

JACOBIAN_SHAPE = (4, 5)
JACOBIAN_LEVELS = (2 / 255, 25 / 255)


@dataclass(frozen=True, kw_only=True)
class DenoiserReport(Report):
    """Figures of a verified denoiser of one pass.

    Attributes:
        shapes: ``(batch, height, width)`` of the images.
        noise_levels: noise levels of the comparisons.
        precision: one of `gradprox.export.runtime.container.PRECISIONS`.
        monotone: whether the network is monotone by construction, so that negative eigenvalues are an error.
        potential_error: largest relative difference of the potential; ``None`` without that output.
        symmetry_defect: ``max |J - J^T| / |J|_2`` of Jacobians of the exported graph, computed without rounding.
        smallest_eigenvalue: smallest eigenvalue of their symmetric parts, relative to ``|J|_2``.
        potential_gradient_error: largest difference between ``x`` and the gradient of the potential, relative to
            the largest pixel; ``None`` without that output.
        jacobian_tolerance: tolerance of the three figures above.
        low_precision: the effect of lower precision; ``None`` in single precision.
    """

    shapes: tuple[tuple[int, ...], ...]
    noise_levels: tuple[float, ...]
    precision: str
    monotone: bool
    potential_error: float | None
    symmetry_defect: float
    smallest_eigenvalue: float
    potential_gradient_error: float | None
    jacobian_tolerance: float
    low_precision: LowPrecisionFigures | None

    def further_rows(self) -> list[tuple[str, str, str]]:
        """See `Report.further_rows`."""
        most = f"at most {self.jacobian_tolerance:g}"
        least = (
            f"at least -{self.jacobian_tolerance:g}" if self.monotone else "measured; negative ones are legal"
        )
        found = [
            ("potential, relative error", self.potential_error, f"at most {self.error_tolerance:g}"),
            ("Jacobian, symmetry defect", self.symmetry_defect, most),
            ("Jacobian, smallest eigenvalue", self.smallest_eigenvalue, least),
            ("potential, error of its gradient", self.potential_gradient_error, most),
        ]
        rows = [(name, f"{value:.1e}", limit) for name, value, limit in found if value is not None]
        if self.low_precision is not None:
            rows += self.low_precision.rows()
        if self.low_precision is not None or not self.monotone:
            rows.append(("certified", "yes", self._certificate()))
        return rows

    def _certificate(self) -> str:
        """Describe the certified property in words."""
        held = "a proximal operator" if self.monotone else "a gradient with an explicit energy, no prox"
        return (
            held if self.low_precision is None else f"{held}, before rounding: a rounded copy of the network"
        )


class JacobianFigures(NamedTuple):
    """Figures of the Jacobian of a graph.

    Attributes:
        symmetry_defect: as in `DenoiserReport`.
        smallest_eigenvalue: as in `DenoiserReport`.
        potential_gradient_error: as in `DenoiserReport`.
    """

    symmetry_defect: float
    smallest_eigenvalue: float
    potential_gradient_error: float | None


def examine_denoiser(
    model: ModelProto,
    content: bytes,
    network: ImageNetwork,
    precision: str = "float32",
    progress: Progress = silent,
) -> DenoiserReport:
    """Verify an exported denoiser of one pass.

    Args:
        model: the model.
        content: the bytes of the file that holds it.
        network: the network that it must equal.
        precision: the precision that the file states.
        progress: called with what is being done, in words.

    Raises:
        VerificationError: the model is not legal, not the same function, or its certificate does not hold.
    """
    check_legal(model)
    demand(precision in PARITY_TOLERANCE, f"its precision is {precision!r}")
    tolerance = PARITY_TOLERANCE[precision]
    session = open_session(content, "cpu", allow_fallback=False, threads=1, label="the exported model")
    reference = copy.deepcopy(network).double()

    amplifies = not math.isfinite(network.lipschitz_bound())
    worst, potential, square = LargestError(), LargestError(), 0.0
    for case in run_cases(session, network.channels, (), progress):
        expected_potential, expected = _reference(reference, case.y, case.sigma)
        worst.add(float(np.abs(case.x - expected).max() / np.abs(case.y).max()), case)
        potential.add(potential_error(case, expected_potential), case)
        if amplifies:
            _, rounded = _reference(network, case.y, case.sigma)
            single_error = float(np.abs(rounded - expected).max() / np.abs(case.y).max())
            tolerance = max(tolerance, SINGLE_PRECISION_FACTOR * single_error)
        square = max(square, float(np.square(case.x - expected).mean()))
    demand(worst.error <= tolerance, f"it differs from the network by {worst.error:.1e} ({worst.at})")
    demand(potential.error <= tolerance, f"its potential differs by {potential.error:.1e} ({potential.at})")

    image = (network.channels, *JACOBIAN_SHAPE)
    progress("testing the certificate on the graph")
    figures = _certified_figures(model, image, network.monotone, has_potential(session))
    low_precision = None
    if precision != "float32":
        largest = network.config.noise_levels[-1]
        noise = np.array([largest], np.float32)
        low_precision = measure_low_precision(
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
        monotone=network.monotone,
        potential_error=potential.error if has_potential(session) else None,
        jacobian_tolerance=JACOBIAN_TOLERANCE,
        low_precision=low_precision,
        **figures._asdict(),
    )


def _reference(
    network: ImageNetwork, y: NDArray[Any], sigma: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return ``Phi(y)`` and ``D(y)`` of the torch network, in the precision of its weights."""
    dtype = next(network.parameters()).dtype
    images, levels = torch.from_numpy(y).to(dtype), torch.from_numpy(sigma).to(dtype)
    envelope, x = network.envelope_and_gradient(images, levels)
    return (images.double().square().flatten(1).sum(dim=1) / 2 - envelope).numpy(), x.numpy()


def _certified_figures(
    model: ModelProto, image: tuple[int, int, int], monotone: bool, with_potential: bool
) -> JacobianFigures:
    """Return the worst figures of all noise levels.

    Args:
        model: the model.
        image: channels, height and width of the image.
        monotone: whether negative eigenvalues are an error.
        with_potential: whether the model has a potential.

    Raises:
        VerificationError: a figure is beyond its tolerance.
    """
    graph = evaluator(model)
    found = [_jacobian_figures(graph, image, level, with_potential) for level in JACOBIAN_LEVELS]
    worst: tuple[Callable[[tuple[float, ...]], float], ...] = (np.max, np.min, np.max)
    defect, smallest, gradient_error = (
        float(of(column)) for of, column in zip(worst, zip(*found, strict=True), strict=True)
    )
    demand(defect <= JACOBIAN_TOLERANCE, f"its Jacobian is not symmetric: defect {defect:.1e}")
    demand(not monotone or smallest >= -JACOBIAN_TOLERANCE, f"it is not monotone: eigenvalue {smallest:.1e}")
    demand(
        gradient_error <= JACOBIAN_TOLERANCE, f"x is not the gradient of its potential: {gradient_error:.1e}"
    )
    return JacobianFigures(defect, smallest, gradient_error if with_potential else None)


def _jacobian_figures(
    graph: ReferenceEvaluator, shape: tuple[int, int, int], level: float, with_potential: bool
) -> tuple[float, float, float]:
    """Return symmetry defect, relative smallest eigenvalue, and error of the potential's gradient (0 without one)."""
    # Flat gray with noise of that level: gates are half open there, and eigenvalues come closest to zero.
    y = 0.5 + level * np.random.default_rng(1).standard_normal(shape)
    found = []
    # The evaluator keeps all intermediate values, so only a few images fit into memory at a time.
    for few in np.array_split(np.concatenate([neighbors(y, DIFFERENCE), y[None]]), y.size):
        outputs = graph.run(None, {"y": few, "sigma": np.array([level])})
        assert isinstance(outputs, list)  # noqa: S101  onnx annotates a union
        found.append(outputs)
    x, *others = (np.concatenate(values) for values in zip(*found, strict=True))
    gradient_error = 0.0
    if with_potential:
        ahead, behind = np.split(others[0][:-1], 2)
        slopes = ((ahead - behind) / (2 * DIFFERENCE)).reshape(shape)
        gradient_error = float(np.abs(slopes - x[-1]).max() / np.abs(y).max())
    return *jacobian_figures(x[:-1], DIFFERENCE), gradient_error
