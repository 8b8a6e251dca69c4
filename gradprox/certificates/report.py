"""The certificate of an operator, as types, as a table and as JSON.

It keeps three kinds of statements apart. A property *by construction* follows from the operator's class and holds for
all weights and inputs. A *proven* figure is a bound computed from the weights; it holds for all inputs. A *measured*
figure was found at some points. Measurements can refute the other two, but cannot prove them.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class _Part(BaseModel):
    # JSON has no infinity: a figure that is not finite is written as a string.
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="strings")


class ByConstruction(_Part):
    """Properties that the operator's class states for all weights and inputs.

    Attributes:
        gradient: the operator is the gradient of a potential, so its Jacobian is symmetric.
        monotone: the potential is convex, so the operator is the prox of some function.
        explicit_energy: the potential ``Phi`` can be evaluated, and with it the energy ``R(x) = |x|^2/2 - Phi(x)``.
    """

    gradient: bool
    monotone: bool
    explicit_energy: bool


class Proven(_Part):
    """Bounds that hold for all inputs; None where no bound is known.

    Attributes:
        lipschitz_constant: an upper bound of the Lipschitz constant.
        weak_convexity: an upper bound of the smallest ``m >= 0`` for which ``phi + m |.|^2/2`` is convex, where the
            operator is the prox of ``phi``. It is at most 1 for every monotone operator.
    """

    lipschitz_constant: float | None
    weak_convexity: float | None


class Measured(_Part):
    """The worst figures over all points, in double precision; None where a figure does not apply.

    Attributes:
        symmetry_defect: ``|J - J^T| / |J|``.
        smallest_eigenvalue: of the symmetric part of the Jacobian.
        largest_eigenvalue: of the symmetric part of the Jacobian.
        lipschitz_constant: a lower bound of the Lipschitz constant.
        weak_convexity: a lower bound of the quantity in `Proven`.
        derivative_defect: relative distance between the derivative and central differences.
        potential_defect: relative distance between the operator and the gradient of its potential.
        prox_margin: relative margin of the prox over its best competitor.
    """

    symmetry_defect: float
    smallest_eigenvalue: float
    largest_eigenvalue: float
    lipschitz_constant: float
    weak_convexity: float | None
    derivative_defect: float
    potential_defect: float | None
    prox_margin: float | None


class Check(_Part):
    """One measured figure against its limit.

    Attributes:
        name: the figure.
        value: its value.
        limit: the largest or smallest value allowed.
        at_most: whether the limit is the largest value allowed; otherwise it is the smallest.
        meaning: the consequence of a failure, in words.
    """

    name: str
    value: float
    limit: float
    at_most: bool = True
    meaning: str

    @property
    def passed(self) -> bool:
        """Whether the figure keeps its limit; NaN does not."""
        return self.value <= self.limit if self.at_most else self.value >= self.limit


class Certificate(_Part):
    """Properties of an operator: by construction, proven, and measured at some points.

    Attributes:
        name: the operator.
        held_to: ``"monotone gradient"`` or ``"gradient"``, the claim that the checks test.
        shape: of one point.
        points: number of points.
        sigma: noise level, or None for an operator without one.
        method: ``"dense"`` if all eigenvalues were computed, ``"lanczos"`` if the extreme ones were estimated from
            within the spectrum.
        by_construction: properties of the class.
        proven: bounds for all inputs.
        measured: the worst figures over the points.
        checks: the verdicts.
    """

    name: str
    held_to: str
    shape: tuple[int, ...]
    points: int
    sigma: float | None
    method: str
    by_construction: ByConstruction
    proven: Proven
    measured: Measured
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    @property
    def failures(self) -> tuple[str, ...]:
        """The meaning of each check that failed."""
        return tuple(check.meaning for check in self.checks if not check.passed)

    def table(self) -> str:
        """Return the certificate as lines of text."""
        noise = "" if self.sigma is None else f", noise {self.sigma:.4g}"
        points = "1 point" if self.points == 1 else f"{self.points} points"
        eigenvalues = (
            "all eigenvalues" if self.method == "dense" else "extreme eigenvalues by Lanczos iterations"
        )
        lines = [
            f"{self.name}: held to be a {self.held_to}",
            f"{points} of shape {'x'.join(map(str, self.shape))}{noise}; {eigenvalues}",
            *("", "by construction, for all weights and inputs", *self._construction_rows()),
            *("", "proven, for all inputs", *self._proven_rows()),
            *("", "measured at these points, in double precision", *self._measured_rows()),
        ]
        return "\n".join(lines)

    def _construction_rows(self) -> list[str]:
        stated = self.by_construction
        return [
            _row("gradient of a potential", "yes" if stated.gradient else "not stated"),
            _row("monotone, so a prox", "yes" if stated.monotone else "no"),
            _row("explicit energy", "yes" if stated.explicit_energy else "no"),
        ]

    def _proven_rows(self) -> list[str]:
        rows = [_row("Lipschitz constant", _bound("at most", self.proven.lipschitz_constant))]
        if self.by_construction.monotone:
            rows.append(_row("weak convexity of phi", _bound("at most", self.proven.weak_convexity)))
        return rows

    def _measured_rows(self) -> list[str]:
        measured = self.measured
        low, high = measured.smallest_eigenvalue, measured.largest_eigenvalue
        rows = [
            _row("eigenvalues of Jacobian", f"{low:.6g} to {high:.6g}"),
            _row("Lipschitz constant", _bound("at least", measured.lipschitz_constant)),
        ]
        if measured.weak_convexity is not None:
            rows.append(_row("weak convexity of phi", _bound("at least", measured.weak_convexity)))
        elif self.by_construction.explicit_energy:
            rows.append(_row("eigenvalues of Hess R", f"{1 - high:.6g} to {1 - low:.6g}"))
        for check in self.checks:
            relation = "<=" if check.at_most else ">="
            verdict = "ok" if check.passed else f"FAILED: {check.meaning}"
            rows.append(_row(check.name, f"{check.value:<12.3e}{relation} {check.limit:<12.3e}{verdict}"))
        return rows


def _row(name: str, text: str) -> str:
    return f"  {name:<26}{text}"


def _bound(relation: str, value: float | None) -> str:
    return "no bound" if value is None else f"{relation} {value:.6g}"
