"""Certify an operator: is it a gradient, is it monotone, how Lipschitz is it, is it the prox it claims to be?"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from gradprox.certificates.consistency import Map, derivative_defect, potential_defect, prox_margin
from gradprox.certificates.jacobian import dense_jacobian, eigenvalue_range, symmetry_defect
from gradprox.certificates.products import JacobianProducts, antisymmetric_norm, lanczos_range
from gradprox.certificates.report import ByConstruction, Certificate, Check, Measured, Proven
from gradprox.seeds import seeded_generator

# All eigenvalues are computed for inputs of at most so many entries.
DENSE_LIMIT = 1024
LANCZOS_STEPS = 40

# Rounding errors of properties that hold exactly, relative to the norm of the Jacobian.
ROUNDING = 1e-10
# Central differences of piecewise smooth maps cross a few kinks.
DERIVATIVE_LIMIT = 1e-2
POTENTIAL_LIMIT = 1e-8


@runtime_checkable
class HasPotential(Protocol):
    """An operator with a potential, of which it is the gradient."""

    potential: Callable[..., Tensor]


@runtime_checkable
class HasLipschitzBound(Protocol):
    """An operator with a proven upper bound of its Lipschitz constant, infinite where none is known."""

    def lipschitz_bound(self) -> float:
        """Return the bound."""


@runtime_checkable
class HasMonotone(Protocol):
    """An operator whose class states whether it is monotone. It thereby states that it is a gradient."""

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
    """Measure an operator at some points, and compare the figures with the operator's claims.

    The claims are the attributes ``monotone``, ``potential`` and ``lipschitz_bound``, which networks and priors have.
    An operator with ``monotone = False`` is held to be a gradient only: its spectrum is measured, not judged. A plain
    function claims nothing; its values and derivatives are checked. Measurements can refute a claim, not prove it.

    Args:
        operator: a network, a prior, or any map of tensors that autograd differentiates.
        points: ``(P, ...)`` in double precision, like the operator. Each point is measured separately.
        sigma: noise level, for an operator that takes one.
        monotone: whether the operator is held to be monotone. If not given, its own claim decides; a plain function
            is held to be monotone.
        name: the name in the certificate; the class's name if not given.
        seed: of directions and competitors, from 0 to 2**64 - 1.

    Returns:
        The certificate, with the worst figures over the points.

    Raises:
        ValueError: the points are not double precision, there are none, or a value of the operator is not finite.
        InputError: the seed is out of range.

    Example:
        >>> from gradprox.networks import MGradNetC
        >>> network = MGradNetC.dense(dim=4, hidden=8).double()
        >>> certificate = certify(network, torch.rand(3, 4, dtype=torch.float64))
        >>> certificate.passed, certificate.by_construction.monotone, certificate.measured.smallest_eigenvalue >= 0
        (True, True, True)
    """
    if points.dtype != torch.float64 or points.ndim < 2 or not len(points):
        raise ValueError(
            f"certificates need points (P, ...) in torch.float64, got {points.dtype} of shape {tuple(points.shape)}"
        )
    generator = seeded_generator(seed)
    stated = operator.monotone if isinstance(operator, HasMonotone) else None
    if monotone is None:
        monotone = stated is None or stated
    arguments = () if sigma is None else (points.new_tensor([sigma]),)

    def gradient(x: Tensor) -> Tensor:
        return operator(x, *arguments)

    potential: Map | None = None
    if isinstance(operator, HasPotential):
        value = operator.potential
        potential = lambda x: value(x, *arguments)  # noqa: E731  a second def would hide the first's type
    figures = [_measure(gradient, potential, x[None], sigma or 1.0, monotone, generator) for x in points]
    worst = {key: max(figure[key] for figure in figures) for key in figures[0]}
    size = max(worst["largest"], worst["negated_smallest"])
    claimed = operator.lipschitz_bound() if isinstance(operator, HasLipschitzBound) else None
    bound = claimed if claimed is not None and math.isfinite(claimed) else None
    return Certificate(
        name=name or type(operator).__name__,
        held_to="monotone gradient" if monotone else "gradient",
        shape=tuple(points.shape[1:]),
        points=len(points),
        sigma=sigma,
        method="dense" if points[0].numel() <= DENSE_LIMIT else "lanczos",
        by_construction=ByConstruction(
            gradient=stated is not None,
            monotone=bool(stated),
            explicit_energy=stated is not None and potential is not None,
        ),
        proven=Proven(
            lipschitz_constant=bound,
            weak_convexity=_weak_convexity(math.inf if bound is None else bound) if stated else None,
        ),
        measured=Measured(
            symmetry_defect=worst["symmetry"],
            smallest_eigenvalue=-worst["negated_smallest"],
            largest_eigenvalue=worst["largest"],
            lipschitz_constant=size,
            weak_convexity=_weak_convexity(size) if monotone else None,
            derivative_defect=worst["derivative"],
            potential_defect=worst.get("potential"),
            prox_margin=-worst["negated_margin"] if "negated_margin" in worst else None,
        ),
        checks=_checks(worst, size, bound, monotone),
    )


def _measure(
    operator: Map,
    potential: Map | None,
    x: Tensor,
    scale: float,
    monotone: bool,
    generator: torch.Generator,
) -> dict[str, float]:
    """Return the figures at one point, with signs such that larger is worse."""

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
    # NaN compares as false, so it could be lost among the figures of other points.
    return {key: math.inf if math.isnan(value) else value for key, value in figures.items()}


def _checks(worst: dict[str, float], size: float, bound: float | None, monotone: bool) -> tuple[Check, ...]:
    checks = [
        Check(
            name="symmetry defect",
            value=worst["symmetry"],
            limit=ROUNDING,
            meaning="the Jacobian is not symmetric: the map is not the gradient of a potential",
        ),
        Check(
            name="derivative defect",
            value=worst["derivative"],
            limit=DERIVATIVE_LIMIT,
            meaning="finite differences contradict the derivative: the map has steps, as quantized maps have",
        ),
    ]
    if monotone:
        checks.append(
            Check(
                name="smallest eigenvalue",
                value=-worst["negated_smallest"],
                limit=-ROUNDING * size,
                at_most=False,
                meaning="the Jacobian has a negative eigenvalue: the map is not monotone, so it is not a prox",
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
    if bound is not None:
        checks.append(
            Check(
                name="Lipschitz constant",
                value=size,
                limit=bound * (1 + ROUNDING),
                meaning="the measured Lipschitz constant exceeds the proven bound",
            )
        )
    return tuple(checks)


def _weak_convexity(lipschitz: float) -> float:
    """Return ``1 - 1/L``, or 0 where ``L <= 1``."""
    return max(0.0, 1 - 1 / lipschitz) if lipschitz > 0 else 0.0
