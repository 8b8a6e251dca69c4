r"""Is an exported equilibrium the prox that its network is, to its tolerance?

* Is it legal ONNX? `onnx.checker` with full shape inference.
* Does it minimize the network's objective ``E(x; y)``? ``E`` is ``(1 - m)``-strongly convex, so that no result is
  further than ``|grad E(x; y)| / (1 - m)`` from ``D(y)``, however it was found. That gradient is computed in *double*
  precision, by the torch network that is rebuilt from the weights the file carries: at what ONNX Runtime returns, on
  one CPU thread, for images of many sizes and batches, and many noise levels.
* Does it say so (``arrived``)? Is ``potential``, where there is that output, the potential there?
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
    Worst,
    has_potential,
    potential_error,
    run_cases,
)
from gradprox.export.checks.denoiser_check import PARITY_TOLERANCE
from gradprox.export.checks.report import Report, check_legal, demand
from gradprox.export.runtime.session import open_session
from gradprox.networks import Equilibrium
from gradprox.networks.denoisers.descent import root_mean_square

# Of the gradient, relative to the limit at which iterations stop: single precision computes it differently.
GRADIENT_TOLERANCE = 1.1
# Of the iterations, relative to the noise level: beyond, what would be verified is hardly a prox.
MAX_TOLERANCE = 0.01


@dataclass(frozen=True, kw_only=True)
class EquilibriumReport(Report):
    """What was verified of an exported equilibrium.

    Attributes:
        shapes: ``(batch, height, width)`` of the images.
        noise_levels: noise levels of the comparisons.
        tolerance: at which iterations stop: of the gradient's root mean square, relative to the noise level.
        distance: largest proven root mean square distance from the exact prox, on the scale of images.
        potential_error: largest relative difference of the potential; ``None`` without that output.
    """

    compared: ClassVar[str] = "gradient of float64 torch, of its limit"

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


def examine_equilibrium(model: ModelProto, content: bytes, network: Equilibrium) -> EquilibriumReport:
    """Verify an exported equilibrium.

    Args:
        model: the model.
        content: what is written of it.
        network: what it must be.

    Raises:
        VerificationError: it is not.
    """
    demand(
        network.tolerance <= MAX_TOLERANCE,
        f"its tolerance is {network.tolerance:g} of the noise level; at most {MAX_TOLERANCE:g} is a prox",
    )
    check_legal(model)
    session = open_session(content, "cpu", allow_fallback=False, threads=1, label="the exported model")
    reference = copy.deepcopy(network).double()

    worst, potential, distance, arrived = Worst(), Worst(), 0.0, True
    for case in run_cases(session, network.channels, ("arrived",)):
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
    demand(arrived, "it says of results within its tolerance that they are not")
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
