"""Certify an operator: is it a gradient, is it monotone, how Lipschitz is it, is it the prox it claims to be."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from gradprox.certificates.consistency import Map, derivative_defect, potential_defect, prox_margin
from gradprox.certificates.jacobian import dense_jacobian, eigenvalue_range, symmetry_defect
from gradprox.certificates.products import JacobianProducts, antisymmetric_norm, lanczos_range
from gradprox.certificates.report import Certificate, Check

# Up to so many entries all eigenvalues are computed.
DENSE_LIMIT = 1024
LANCZOS_STEPS = 40

# What rounding may leave of exact properties, relative to the size of the Jacobian.
ROUNDING = 1e-10
# Central differences of piecewise smooth maps cross a few kinks.
DERIVATIVE_LIMIT = 1e-2
POTENTIAL_LIMIT = 1e-8


@runtime_checkable
class HasPotential(Protocol):
    """An operator that knows the potential whose gradient it is."""

    potential: Callable[..., Tensor]


@runtime_checkable
class HasLipschitzBound(Protocol):
    """An operator with a proven Lipschitz constant."""

    def lipschitz_bound(self) -> float:
        """Return the constant."""


@runtime_checkable
class HasMonotone(Protocol):
    """An operator that says whether it is monotone."""

    monotone: bool


def certify(
    operator: Callable[..., Tensor],
    points: Tensor,
    sigma: float | None = None,
    *,
    monotone: bool | None = None,
    name: str | None = None,
    seed: int = 0,
) -> Certificate:
    """Measure an operator at some points and hold the figures against what is claimed of it.

    What the operator has of ``potential``, ``lipschitz_bound`` and ``monotone`` is checked; a plain function is
    checked for what its values and derivatives say. Measurements refute; only construction proves.

    Args:
        operator: a network, a learned prox, or any map of tensors that autograd differentiates.
        points: ``(P, ...)`` in double precision, like the operator; each is looked at by itself.
        sigma: noise level, for an operator that takes one.
        monotone: whether to hold it to be monotone; if not given, what it says, or yes.
        name: what to call it; its class if not given.
        seed: of directions and competitors.

    Returns:
        The worst figures over the points.

    Raises:
        ValueError: the points are not double precision, or there are none; or values are not finite.

    Example:
        >>> from gradprox.networks import MGradNetC
        >>> network = MGradNetC.dense(dim=4, hidden=8).double()
        >>> certificate = certify(network, torch.rand(3, 4, dtype=torch.float64))
        >>> certificate.passed, certificate.smallest_eigenvalue >= 0
        (True, True)
    """
    if points.dtype != torch.float64 or points.ndim < 2 or not len(points):
        raise ValueError(
            f"certificates need points (P, ...) in torch.float64, got {points.dtype} of shape {tuple(points.shape)}"
        )
    if monotone is None:
        monotone = operator.monotone if isinstance(operator, HasMonotone) else True
    arguments = () if sigma is None else (points.new_tensor([sigma]),)

    def gradient(x: Tensor) -> Tensor:
        return operator(x, *arguments)

    potential: Map | None = None
    if isinstance(operator, HasPotential):
        value = operator.potential
        potential = lambda x: value(x, *arguments)  # noqa: E731  a second def would hide the first's type
    generator = torch.Generator(device="cpu").manual_seed(seed)
    figures = [_measure(gradient, potential, x[None], sigma or 1.0, monotone, generator) for x in points]
    worst = {key: max(figure[key] for figure in figures) for key in figures[0]}
    size = max(-worst["negated_smallest"], worst["largest"], worst["negated_smallest"])
    proven = operator.lipschitz_bound() if isinstance(operator, HasLipschitzBound) else None
    return Certificate(
        name=name or type(operator).__name__,
        held_to="monotone gradient" if monotone else "gradient",
        shape=tuple(points.shape[1:]),
        points=len(points),
        sigma=sigma,
        method="dense" if points[0].numel() <= DENSE_LIMIT else "lanczos",
        symmetry_defect=worst["symmetry"],
        smallest_eigenvalue=-worst["negated_smallest"],
        largest_eigenvalue=worst["largest"],
        lipschitz_measured=size,
        lipschitz_proven=proven,
        weak_convexity_measured=_weak_convexity(size) if monotone else None,
        weak_convexity_proven=_weak_convexity(proven) if monotone and proven is not None else None,
        derivative_defect=worst["derivative"],
        potential_defect=worst.get("potential"),
        prox_margin=-worst["negated_margin"] if "negated_margin" in worst else None,
        checks=_checks(worst, size, proven, monotone),
    )


def _measure(
    operator: Map,
    potential: Map | None,
    x: Tensor,
    scale: float,
    monotone: bool,
    generator: torch.Generator,
) -> dict[str, float]:
    """Return the figures at one point, signed so that larger is worse."""

    def random() -> Tensor:
        return torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x.device)

    with torch.no_grad():
        if not bool(torch.isfinite(operator(x)).all()):
            raise ValueError("the operator returns values that are not finite: nothing to certify")
    products = JacobianProducts(operator, x)
    if x.numel() <= DENSE_LIMIT:
        jacobian = dense_jacobian(operator, x)
        symmetry = symmetry_defect(jacobian)
        smallest, largest = eigenvalue_range(jacobian)
    else:
        smallest, largest = lanczos_range(products.symmetric, random(), LANCZOS_STEPS)
        defect = antisymmetric_norm(products.antisymmetric, random(), LANCZOS_STEPS // 2)
        size = max(-smallest, largest)
        symmetry = defect / size if size else 0.0
    figures = {
        "symmetry": symmetry,
        "negated_smallest": -smallest,
        "largest": largest,
        "derivative": derivative_defect(operator, products.forward, x, [random() for _ in range(4)], scale),
    }
    if potential is not None:
        figures["potential"] = potential_defect(operator, potential, x)
        if monotone:
            spread = float(x.std()) + 1e-3
            starts = [x + scale * spread * random() for scale in (0.01, 0.1, 1.0, 10.0)]
            figures["negated_margin"] = -prox_margin(operator, potential, x, starts)
    # A NaN would lose every comparison with a figure of another point.
    return {key: math.inf if math.isnan(value) else value for key, value in figures.items()}


def _checks(worst: dict[str, float], size: float, proven: float | None, monotone: bool) -> tuple[Check, ...]:
    checks = [
        Check(
            name="symmetry defect",
            value=worst["symmetry"],
            limit=ROUNDING,
            meaning="the Jacobian is not symmetric: no gradient of any potential",
        ),
        Check(
            name="derivative defect",
            value=worst["derivative"],
            limit=DERIVATIVE_LIMIT,
            meaning="finite differences contradict the derivative: the map has steps, as quantized ones do",
        ),
    ]
    if monotone:
        checks.append(
            Check(
                name="smallest eigenvalue",
                value=-worst["negated_smallest"],
                limit=-ROUNDING * size,
                at_most=False,
                meaning="the Jacobian has a negative eigenvalue: not monotone, so no proximal operator",
            )
        )
    if "potential" in worst:
        checks.append(
            Check(
                name="potential defect",
                value=worst["potential"],
                limit=POTENTIAL_LIMIT,
                meaning="the map is not the gradient of its potential",
            )
        )
    if "negated_margin" in worst:
        checks.append(
            Check(
                name="prox margin",
                value=-worst["negated_margin"],
                limit=-ROUNDING,
                at_most=False,
                meaning="a competitor has a smaller prox objective",
            )
        )
    if proven is not None:
        checks.append(
            Check(
                name="Lipschitz constant",
                value=size,
                limit=proven * (1 + ROUNDING),
                meaning="the Lipschitz constant exceeds the proven bound",
            )
        )
    return tuple(checks)


def _weak_convexity(lipschitz: float) -> float:
    """Return ``1 - 1/L``, or 0 where ``L <= 1``."""
    return max(0.0, 1 - 1 / lipschitz) if lipschitz > 0 else 0.0
