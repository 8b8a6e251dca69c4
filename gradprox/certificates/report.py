"""What a certificate says, in types, as a table and as JSON."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Check(BaseModel):
    """One measured figure against its limit.

    Attributes:
        name: what was checked.
        value: the figure.
        limit: what it may be.
        at_most: whether the limit is the largest value allowed; otherwise the smallest.
        meaning: what a failure means.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    value: float
    limit: float
    at_most: bool = True
    meaning: str

    @property
    def passed(self) -> bool:
        """Whether the figure keeps its limit; a figure that is not a number does not."""
        return self.value <= self.limit if self.at_most else self.value >= self.limit


class Certificate(BaseModel):
    """Measured and proven properties of an operator at some points, in double precision.

    Attributes:
        name: the operator.
        held_to: ``"monotone gradient"`` or ``"gradient"``.
        shape: of one point.
        points: how many points were looked at; figures are the worst of them.
        sigma: noise level, or None for an operator without one.
        method: ``"dense"`` where all eigenvalues are known, ``"lanczos"`` where extreme ones are estimated from
            within the spectrum.
        symmetry_defect: ``|J - J^T| / |J|``.
        smallest_eigenvalue: of the Jacobian's symmetric part.
        largest_eigenvalue: of the Jacobian's symmetric part.
        lipschitz_measured: a lower bound of the Lipschitz constant.
        lipschitz_proven: an upper bound of it, infinite where there is none; None where the operator claims none.
        weak_convexity_measured: a lower bound of the ``m`` for which ``phi + m |.|^2/2`` is convex.
        weak_convexity_proven: an upper bound of it.
        derivative_defect: relative distance of the derivative and central differences.
        potential_defect: relative distance of the operator and its potential's gradient.
        prox_margin: relative margin of the prox over its best competitor.
        checks: the verdicts.
    """

    # JSON has no infinity: an unknown bound is written as a string.
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="strings")

    name: str
    held_to: str
    shape: tuple[int, ...]
    points: int
    sigma: float | None
    method: str
    symmetry_defect: float
    smallest_eigenvalue: float
    largest_eigenvalue: float
    lipschitz_measured: float
    lipschitz_proven: float | None
    weak_convexity_measured: float | None
    weak_convexity_proven: float | None
    derivative_defect: float
    potential_defect: float | None
    prox_margin: float | None
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    @property
    def failures(self) -> tuple[str, ...]:
        """What failed, in words."""
        return tuple(check.meaning for check in self.checks if not check.passed)

    def table(self) -> str:
        """Return the certificate as lines of text."""
        noise = "" if self.sigma is None else f", noise {self.sigma:.4g}"
        lines = [
            f"{self.name}: held to be a {self.held_to}",
            f"{self.points} points of shape {'x'.join(map(str, self.shape))}{noise}; {self.method}",
            "",
        ]
        for check in self.checks:
            relation = "<=" if check.at_most else ">="
            verdict = "ok" if check.passed else f"FAILED: {check.meaning}"
            lines.append(f"{check.name:<28}{check.value:>12.3e}  {relation} {check.limit:<10.3e}  {verdict}")
        lines += ["", f"{'eigenvalues':<28}{self.smallest_eigenvalue:.6g} to {self.largest_eigenvalue:.6g}"]
        proven = "none claimed" if self.lipschitz_proven is None else f"{self.lipschitz_proven:.6g}"
        lines.append(
            f"{'Lipschitz constant':<28}at least {self.lipschitz_measured:.6g}, proven at most {proven}"
        )
        if self.weak_convexity_measured is not None:
            proven = "unknown" if self.weak_convexity_proven is None else f"{self.weak_convexity_proven:.6g}"
            lines.append(
                f"{'weak convexity of phi':<28}at least {self.weak_convexity_measured:.6g}, proven at most {proven}"
            )
        return "\n".join(lines)
