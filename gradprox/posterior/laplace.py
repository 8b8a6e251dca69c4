r"""The deviation of each pixel of a restored image, by Laplace's approximation.

Near its mode ``x``, a density ``exp(-U)`` resembles a Gaussian with the covariance ``H^{-1}``, where ``H`` is the
Hessian of ``U``:

    H = (A^T A + lambda (I - J_D(x))) / noise^2,    deviation_i = sqrt((H^{-1})_ii).

``A^T A`` and ``J_D`` are known by their products only. So the diagonal is probed with random signs
(`gradprox.priors.probing`), and each product with the inverse is found by a Lanczos process
(`gradprox.posterior.lanczos`).

**Negative curvature.** ``R`` is not convex, and a solver stops early. So ``H`` may have small and negative
eigenvalues, for which no Gaussian exists. They are raised to the floor ``least_curvature lambda / noise^2``. No
direction of the image then has a deviation above ``noise / sqrt(least_curvature lambda)``. The result says how small
the eigenvalues were.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gradprox.errors import InputError
from gradprox.posterior.density import Posterior
from gradprox.posterior.lanczos import floored_inverse
from gradprox.priors.probing import probed_diagonal, probes_per_pass, root_with_error
from gradprox.priors.uncertainty import Uncertainty
from gradprox.seeds import seeded_generator
from gradprox.solvers.settings import check_count, check_positive

# The smallest curvature of the regularizer that counts, where 1 is that of |x|^2/2.
LEAST_CURVATURE = 0.05


@dataclass(frozen=True)
class LaplaceDeviation(Uncertainty):
    """Deviations by Laplace's approximation, and how good their numbers are.

    Attributes:
        probes: number of products with the inverse of the Hessian.
        residual: the largest relative residual of these products, ``(B,)``; it counts where no curvature was raised.
        curvature: an upper bound of the smallest curvature ``lambda_min(noise^2 H / lambda)``, ``(B,)``. Below
            ``least_curvature``, some directions were given the largest deviation that is possible.
    """

    probes: int
    residual: Tensor
    curvature: Tensor


def laplace_deviation(
    posterior: Posterior,
    x: Tensor,
    *,
    spacing: int = 4,
    repeats: int = 2,
    steps: int = 20,
    tolerance: float = 0.1,
    least_curvature: float = LEAST_CURVATURE,
    seed: int = 0,
    report: Callable[[float], None] | None = None,
) -> LaplaceDeviation:
    r"""Estimate the posterior deviation of each pixel at a restored image.

    Memory: ``steps`` images, and one recorded pass of the denoiser for small images (`Posterior.hessian`).

    Args:
        posterior: the density.
        x: its mode, or an image near it: restored images ``(B, C, H, W)``.
        spacing: distance in pixels between the pixels of a probe. There are ``C spacing^2 repeats`` probes, and each
            takes up to ``steps`` products with the Jacobian of the denoiser.
        repeats: probes of each pixel, at least 2.
        steps: largest number of Lanczos steps.
        tolerance: largest relative residual at which they end earlier. That of 0.1 changes deviations by less than the
            probes' own error.
        least_curvature: smallest curvature that counts; see the module's head.
        seed: seed of the signs.
        report: called with the share of the work done. An exception that it raises ends the work.

    Raises:
        InputError: fewer than 2 repeats, another illegal number, or a seed out of range.

    Example:
        >>> import torch
        >>> from gradprox import load_model
        >>> from gradprox.physics import CircularBlur, gaussian_kernel
        >>> physics = CircularBlur(gaussian_kernel(1.0), (12, 12))
        >>> y = physics(torch.rand(1, 1, 12, 12))
        >>> posterior = Posterior.of(y, physics, load_model("gray-fast"), noise=0.01, sigma=0.01)
        >>> laplace_deviation(posterior, y, spacing=2).deviation.shape
        torch.Size([1, 1, 12, 12])
    """
    for name, count in (("spacing", spacing), ("repeats", repeats), ("steps", steps)):
        check_count(name, count)
    if repeats < 2:
        raise InputError(f"repeats must be at least 2, so that the error is known, got {repeats}")
    check_positive("least_curvature", least_curvature)
    generator = seeded_generator(seed)
    hessian = posterior.hessian(x)
    unit = posterior.lambda_reg / posterior.noise**2
    residual = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    curvature = torch.full_like(residual, torch.inf)
    probes, done = repeats * probes_per_pass(x, spacing), 0

    def inverse(probe: Tensor) -> Tensor:
        nonlocal residual, curvature, done
        found = floored_inverse(hessian, probe, least_curvature * unit, tolerance=tolerance, steps=steps)
        residual = torch.maximum(residual, found.residual)
        curvature = torch.minimum(curvature, found.least / unit)
        done += 1
        if report:
            report(done / probes)
        return found.x

    with torch.no_grad():
        estimates = [probed_diagonal(inverse, x, spacing, generator) for _ in range(repeats)]
    deviation, error = root_with_error(torch.stack(estimates))
    return LaplaceDeviation(deviation, error, probes, residual, curvature)
