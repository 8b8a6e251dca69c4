r"""Verification of an exported equilibrium: the prox of its network, to the tolerance of its iterations?

* Is it legal ONNX? `onnx.checker` decides, with full shape inference.
* Does it minimize the network's objective ``E(x; y)``? ``E`` is ``(1 - m)``-strongly convex, so any result ``x`` is
  within ``|grad E(x; y)| / (1 - m)`` of ``D(y)``. ONNX Runtime computes ``x`` on one CPU thread, for images of many
  sizes and batches, at many noise levels. The torch network computes the gradient in *double* precision; it is built
  from the weights in the file.
* Does the output ``arrived`` say so? Does an output ``potential`` have the right value?
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import ClassVar

import torch
from onnx import ModelProto

from gradprox.batch import image_sum
from gradprox.export.checks.cases import (
    NOISE_LEVELS,
    SHAPES,
    LargestError,
    has_potential,
    potential_error,
    run_cases,
)
from gradprox.export.checks.denoiser_check import PARITY_TOLERANCE
from gradprox.export.checks.report import Progress, Report, check_legal, demand, silent
from gradprox.export.runtime.providers import open_session
from gradprox.networks import Equilibrium
from gradprox.networks.denoisers.descent import root_mean_square

# Largest gradient relative to the limit at which iterations stop. It exceeds 1, as single precision rounds gradients.
GRADIENT_TOLERANCE = 1.1
# Largest tolerance of the iterations, relative to the noise level. Coarser results are hardly those of a prox.
MAX_TOLERANCE = 0.01


@dataclass(frozen=True, kw_only=True)
class EquilibriumReport(Report):
    """Figures of a verified equilibrium.

    Attributes:
        shapes: ``(batch, height, width)`` of the images.
        noise_levels: noise levels of the comparisons.
        tolerance: root mean square of the gradient at which iterations stop, relative to the noise level.
        distance: largest proven root mean square distance from the exact prox, on the scale of images.
        potential_error: largest relative difference of the potential; ``None`` without that output.
    """

    compared: ClassVar[str] = "float64 gradient relative to its limit"

    shapes: tuple[tuple[int, ...], ...]
    noise_levels: tuple[float, ...]
    tolerance: float
    distance: float
    potential_error: float | None

    def further_rows(self) -> list[tuple[str, str, str]]:
        """See `Report.further_rows`."""
        rows = [
            (
                "distance from the exact prox",
                f"{self.distance:.1e}",
                "proven; root mean square, in pixel values",
            )
        ]
        if self.potential_error is not None:
            limit = f"at most {PARITY_TOLERANCE['float32']:g}"
            rows.append(("potential, relative error", f"{self.potential_error:.1e}", limit))
        return rows


def examine_equilibrium(
    model: ModelProto, content: bytes, network: Equilibrium, progress: Progress = silent
) -> EquilibriumReport:
    """Verify an exported equilibrium.

    Args:
        model: the model.
        content: the bytes of the file that holds it.
        network: the network that it must equal.
        progress: called with what is being done, in words.

    Raises:
        VerificationError: the model is not legal, or does not minimize the network's objective to its tolerance.
    """
    demand(
        network.tolerance <= MAX_TOLERANCE,
        f"its tolerance is {network.tolerance:g} of the noise level; it must be at most {MAX_TOLERANCE:g}",
    )
    check_legal(model)
    session = open_session(content, "cpu", allow_fallback=False, threads=1, label="the exported model")
    reference = copy.deepcopy(network).double()

    worst, potential, distance, arrived = LargestError(), LargestError(), 0.0, True
    for case in run_cases(session, network.channels, ("arrived",), progress):
        limits = network.limits(torch.from_numpy(case.y), torch.from_numpy(case.sigma), network.tolerance)
        x, y, sigma = (torch.from_numpy(values).double() for values in (case.x, case.y, case.sigma))
        gradient = root_mean_square(reference.objective_gradient(x, y, sigma))
        worst.add(float((gradient / limits).max()), case)
        expected = image_sum(y * y) / 2 - reference.objective(x, y, sigma)
        potential.add(potential_error(case, expected.numpy()), case)
        distance = max(distance, float(gradient.max()) * network.lipschitz_bound())
        arrived = arrived and bool(case.others["arrived"].all())
    demand(
        worst.error <= GRADIENT_TOLERANCE,
        f"it does not minimize the network's objective: the gradient is {worst.error:.1e} times its limit ({worst.at})",
    )
    demand(arrived, "its output arrived is false for images that are within its tolerance")
    limit = PARITY_TOLERANCE["float32"]
    demand(potential.error <= limit, f"its potential differs by {potential.error:.1e} ({potential.at})")
    return EquilibriumReport(
        cases=len(SHAPES) * len(NOISE_LEVELS),
        error=worst.error,
        error_at=worst.at,
        error_tolerance=GRADIENT_TOLERANCE,
        shapes=SHAPES,
        noise_levels=NOISE_LEVELS,
        tolerance=network.tolerance,
        distance=distance,
        potential_error=potential.error if has_potential(session) else None,
    )
