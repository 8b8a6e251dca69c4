r"""Is an exported equilibrium the prox that its network is, to its tolerance?

* Is it legal ONNX? `onnx.checker` with full shape inference.
* Does it minimise the network's objective ``E(x; y)``? ``E`` is ``(1 - m)``-strongly convex, so that no result is
  further than ``|grad E(x; y)| / (1 - m)`` from ``D(y)``, however it was found. That gradient is computed in *double*
  precision, by the torch network that is rebuilt from the weights the file carries: at what ONNX Runtime returns, on
  one CPU thread, for pictures of many sizes and batches, and many noise levels.
* Is ``potential``, where there is that output, the potential there?
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from onnx import ModelProto

from gradprox.export.denoiser_check import NOISE_LEVELS, PARITY_TOLERANCE, SHAPES, example
from gradprox.export.report import Report, check_legal, demand
from gradprox.export.runtime.session import open_session
from gradprox.networks import Equilibrium
from gradprox.networks.base import image_sum
from gradprox.networks.equilibrium import root_mean_square

# Of the gradient, relative to the limit at which iterations stop: single precision computes it differently.
GRADIENT_TOLERANCE = 1.1


@dataclass(frozen=True, kw_only=True)
class EquilibriumReport(Report):
    """What was verified of an exported equilibrium.

    Attributes:
        shapes: ``(batch, height, width)`` of the pictures.
        noise_levels: noise levels of the comparisons.
        tolerance: at which iterations stop: of the gradient's root mean square, relative to the noise level.
        distance: largest proven root mean square distance from the exact prox, on the scale of pictures.
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
    check_legal(model)
    has_potential = [output.name for output in model.graph.output] == ["x", "potential"]
    session = open_session(content, "cpu", allow_fallback=False, threads=1, label="the exported model")
    reference = copy.deepcopy(network).double()

    error, error_at, distance, potential_error = -1.0, "", 0.0, 0.0
    generator = np.random.default_rng(0)
    for shape in SHAPES:
        y = example(generator, (shape[0], network.channels, *shape[1:]))
        for level in NOISE_LEVELS:
            sigma = np.array([level], np.float32)
            x, *potential = session.run(None, {"y": y, "sigma": sigma})
            limits = network.limits(torch.from_numpy(y), torch.from_numpy(sigma), network.tolerance).double()
            x64, y64, sigma64 = (torch.from_numpy(values).double() for values in (x, y, sigma))
            gradient = root_mean_square(reference.objective_gradient(x64, y64, sigma64))
            share = float((gradient / limits).max())
            if share > error or np.isnan(share):  # once NaN, always NaN
                error, error_at = share, f"{'x'.join(map(str, shape))} at noise {level:.3g}"
            distance = max(distance, float(gradient.max()) * network.lipschitz_bound())
            if has_potential:
                expected = image_sum(y64 * y64) / 2 - reference.objective(x64, y64, sigma64)
                gap = (torch.from_numpy(potential[0]) - expected).abs() / expected.abs().max()
                potential_error = float(np.maximum(potential_error, float(gap.max())))
    demand(
        error <= GRADIENT_TOLERANCE,
        f"it does not minimise the network's objective: the gradient is {error:.1e} times its limit ({error_at})",
    )
    demand(potential_error <= PARITY_TOLERANCE["float32"], f"its potential differs by {potential_error:.1e}")
    return EquilibriumReport(
        cases=len(SHAPES) * len(NOISE_LEVELS),
        error=error,
        error_at=error_at,
        error_tolerance=GRADIENT_TOLERANCE,
        shapes=SHAPES,
        noise_levels=NOISE_LEVELS,
        tolerance=network.tolerance,
        distance=distance,
        potential_error=potential_error if has_potential else None,
    )
