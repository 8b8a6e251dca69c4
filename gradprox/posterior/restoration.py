r"""Calibrated deviations of a restoration, by task: the function behind ``--uncertainty``.

The density is that of `Posterior.of_preset`: Bayes' rule with the prior to the power of 0.45.

Laplace's approximation knows the width of one mode of the density. It knows neither other modes nor the errors of the
model, so it is too sure. One factor for each task, `CALIBRATION`, corrects this on average. The factors are fitted, not
derived: to the errors of `gray-deep` on crops of BSDS400, by ``benchmarks/uncertainty.py``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from deepinv.optim import DataFidelity
from deepinv.physics import LinearPhysics
from torch import Tensor

from gradprox.posterior.density import Posterior
from gradprox.posterior.laplace import LaplaceDeviation, laplace_deviation
from gradprox.priors.contract import Prior
from gradprox.solvers import Task

# Factors of the deviations; other tasks were not measured and have none.
CALIBRATION: dict[Task, float] = {Task.DEBLUR: 1.16, Task.COMPRESSED_SENSING: 1.27}


def restoration_deviation(
    task: Task | str,
    x: Tensor,
    y: Tensor,
    physics: LinearPhysics,
    prior: Prior,
    noise: float,
    *,
    strength: float = 1.0,
    fidelity: DataFidelity | None = None,
    seed: int = 0,
    report: Callable[[float], None] | None = None,
) -> LaplaceDeviation:
    """Return the deviation of each pixel of images that the preset of a task restored, calibrated.

    Args:
        task: a `Task` or its name; for ``"deblur"`` and ``"cs"`` the deviations are calibrated.
        x: the restored images ``(B, C, H, W)``.
        y: measurements, batch first.
        physics: the linear operator ``A``.
        prior: the denoiser that restored them.
        noise: standard deviation of the noise in ``y``.
        strength: that of the preset.
        fidelity: that of the restoration.
        seed: seed of the probes.
        report: called with the share of the work done.

    Raises:
        InputError: an argument cannot be used.

    Example:
        >>> import torch
        >>> from gradprox import load_model
        >>> from gradprox.physics import CircularBlur, gaussian_kernel
        >>> from gradprox.solvers import preset
        >>> D, physics = load_model("gray-fast"), CircularBlur(gaussian_kernel(1.0), (12, 12))
        >>> y = physics(torch.rand(1, 1, 12, 12))
        >>> x = preset("deblur", noise=0.01)(y, physics, D).x
        >>> restoration_deviation("deblur", x, y, physics, D, noise=0.01).deviation.shape
        torch.Size([1, 1, 12, 12])
    """
    posterior = Posterior.of_preset(task, y, physics, prior, noise, strength=strength, fidelity=fidelity)
    found = laplace_deviation(posterior, x, seed=seed, report=report)
    factor = CALIBRATION.get(Task(task), 1.0)
    return dataclasses.replace(found, deviation=factor * found.deviation, error=factor * found.error)
