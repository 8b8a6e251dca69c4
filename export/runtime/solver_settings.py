"""The settings of an exported solver: the numbers of a call become inputs of its graph, or are refused.

`PlainSettings` are those of one algorithm, PGD or GD. `PresetSettings` are those of a whole preset, whose numbers are
part of the file.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradprox.errors import InputError
from gradprox.export.runtime.arguments import number, whole_number
from gradprox.export.runtime.session import Session
from gradprox.noise_rule import NoiseRule
from gradprox.scales import check_noise

# Step sizes that single precision can hold.
SMALLEST, LARGEST = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)
PLAIN = ("pgd", "gd")
# The solvers of the presets of each problem: of compressed sensing for a prox, and for an explicit energy.
PRESETS = {"deblur": ("hqs",), "cs": ("fista", "hqs")}


@dataclass(frozen=True)
class Given:
    """The numbers of a call, None where not given; see `OnnxSolver.__call__`."""

    noise: float | None
    strength: float | None
    sigma: float | None
    lambda_reg: float | None
    stepsize: float | None
    max_iter: int | None
    tol: float | None


@dataclass(frozen=True)
class Inputs:
    """The inputs of a graph that follow from a call.

    Attributes:
        arrays: inputs by name.
        constants: those of shape ``(1,)`` that rarely change, see `Session.run`.
        sigma: the noise level that the prior assumes in the end.
        planned: whether the step budget is the planned number of steps.
    """

    arrays: Mapping[str, NDArray[Any]]
    constants: Mapping[str, float]
    sigma: float
    planned: bool = False


class Settings(ABC):
    """The settings of an exported solver.

    Args:
        session: the file.

    Attributes:
        noise_rule: how the settings of the prior follow from the noise; None in a file of an earlier version.
    """

    noise_rule: NoiseRule | None

    def __init__(self, session: Session) -> None:
        self.session = session

    @abstractmethod
    def inputs(self, given: Given, kernel: NDArray[Any] | None) -> Inputs:
        """Return the inputs of a call.

        Raises:
            InputError: a number is illegal, or is no setting of this solver.
        """

    @abstractmethod
    def stepsize_limit(self, kernel: NDArray[Any] | None, lambda_reg: float) -> float:
        """See `OnnxSolver.stepsize_limit`."""


class PresetSettings(Settings):
    """The settings of a preset: the noise, and how strong the prior is relative to the preset.

    Raises:
        InputError: the metadata of the file describe no preset.
    """

    def __init__(self, session: Session, algorithm: str) -> None:
        super().__init__(session)
        # FISTA has no weight: the noise level that the prior assumes sets its strength.
        self._scales_sigma = algorithm == "fista"
        stated = session.entry("preset")
        try:
            self.noise_rule: NoiseRule = NoiseRule(**stated["rule"])
            self.max_iter, self.tol = (
                whole_number("max_iter", stated["max_iter"], 1),
                _tolerance(stated["tol"]),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{session.path}: its preset is damaged") from error

    def inputs(self, given: Given, kernel: NDArray[Any] | None) -> Inputs:  # noqa: ARG002
        """See `Settings.inputs`."""
        for name, value in (
            ("sigma", given.sigma),
            ("lambda_reg", given.lambda_reg),
            ("stepsize", given.stepsize),
        ):
            if value is not None:
                raise InputError(
                    f"{name}: this file holds a preset, which chooses it: give the noise, and strength to smooth more "
                    "or less"
                )
        if given.noise is None:
            raise InputError("give noise, the standard deviation of the noise of the measurements")
        noise = _noise(given.noise)
        strength = 1.0 if given.strength is None else number("strength", given.strength)
        if strength <= 0:
            raise InputError(f"strength must be positive, got {strength:g}")
        budget = self.max_iter if given.max_iter is None else whole_number("max_iter", given.max_iter, 0)
        tol = self.tol if given.tol is None else _tolerance(given.tol)
        arrays = {name: np.array([value], np.float32) for name, value in (("noise", noise), ("tol", tol))}
        arrays["strength"] = np.array([strength], np.float32)
        arrays["max_iter"] = np.array(budget, np.int64)
        sigma = self.noise_rule.sigma(noise) * (strength if self._scales_sigma else 1)
        check_noise("the noise level of the prior, strength times", sigma)
        return Inputs(arrays, {}, sigma, planned=given.max_iter is None)

    def stepsize_limit(self, kernel: NDArray[Any] | None, lambda_reg: float) -> float:  # noqa: ARG002
        """See `OnnxSolver.stepsize_limit`: every step of a preset descends, so there is no limit."""
        return math.inf


class PlainSettings(Settings):
    """The settings of PGD and GD.

    Raises:
        InputError: the metadata of the file are damaged.
    """

    def __init__(self, session: Session, algorithm: str, squared_norm: float) -> None:
        super().__init__(session)
        self.algorithm, self._squared_norm = algorithm, squared_norm
        certificate = session.entry("certificate")
        try:
            bound = certificate["lipschitz_bound"]
            lipschitz = math.inf if bound is None else float(bound)
            # As `NetworkPrior.curvature_bound` and `LearnedProx.weak_convexity`.
            self._curvature = 1.0 if certificate["monotone"] is True else 1 + lipschitz
            convexity = certificate["weak_convexity"]
            # A network that is not monotone has none; PGD files need one.
            self._weak_convexity = 0.0 if convexity is None and algorithm == "gd" else float(convexity)
            rule = session.entry("noise_rule") if "noise_rule" in session.metadata else None
            self.noise_rule = None if rule is None else NoiseRule(**rule)
        except InputError:  # which is a ValueError, with a better message
            raise
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{session.path}: its certificate or its noise rule is damaged") from error
        if not (0 <= self._weak_convexity <= 1 and self._curvature >= 1):
            raise InputError(f"{session.path}: its certificate is damaged")

    def inputs(self, given: Given, kernel: NDArray[Any] | None) -> Inputs:
        """See `Settings.inputs`."""
        if given.strength is not None:
            raise InputError(
                "strength: only for files that hold a preset; change sigma or lambda_reg instead"
            )
        level, weight = self._strength(given)
        tol = _tolerance(1e-4 if given.tol is None else given.tol)
        max_iter = 200 if given.max_iter is None else whole_number("max_iter", given.max_iter, 0)
        stepsize = self._stepsize(given.stepsize, self.stepsize_limit(kernel, weight))
        arrays: dict[str, NDArray[Any]] = {
            "max_iter": np.array(max_iter, np.int64),
            "stepsize": np.array([stepsize], np.float32),
            "tol": np.array([tol], np.float32),
        }
        constants = {"sigma": level, **({} if self.algorithm == "pgd" else {"lambda_reg": weight})}
        return Inputs(arrays, constants, level)

    def stepsize_limit(self, kernel: NDArray[Any] | None, lambda_reg: float) -> float:
        """See `OnnxSolver.stepsize_limit`."""
        lipschitz = self._squared_norm
        if kernel is not None:
            lipschitz = float(np.abs(kernel).sum(dtype=np.float64)) ** 2
        if self.algorithm == "pgd":
            return (2 - self._weak_convexity) / lipschitz
        return 2 / (lipschitz + lambda_reg * self._curvature)

    def _strength(self, given: Given) -> tuple[float, float]:
        """Return the noise level of the prior and the weight of its regularizer, or raise `InputError`."""
        sigma, noise, lambda_reg = given.sigma, given.noise, given.lambda_reg
        if (sigma is None) == (noise is None):
            raise InputError(
                "give either sigma, the noise level of the prior, or noise, that of the measurements"
            )
        if self.algorithm == "pgd" and lambda_reg is not None:
            raise InputError("lambda_reg: PGD has no weight of the regularizer; change sigma instead")
        weight = 1.0
        if noise is not None:
            if self.noise_rule is None:
                raise InputError(
                    f"noise: {self.session.path} has no rule for it, as an earlier version made it: give sigma, or "
                    "export it again"
                )
            noise = _noise(noise)
            sigma = self.noise_rule.sigma(noise)
            weight = self.noise_rule.lambda_reg(noise, sigma)
        sigma = number("sigma", sigma)
        if sigma <= 0:
            raise InputError(f"sigma must be positive, got {sigma:g}")
        check_noise("sigma", sigma)
        weight = weight if lambda_reg is None else number("lambda_reg", lambda_reg)
        if weight <= 0:
            raise InputError(f"lambda_reg must be positive, got {weight:g}")
        return sigma, weight

    def _stepsize(self, stepsize: float | None, limit: float) -> float:
        """Return a legal step size, or raise `InputError`."""
        if stepsize is not None:
            stepsize = number("stepsize", stepsize)
            if not 0 < stepsize < limit:
                raise InputError(f"the step size must be between 0 and {limit:.6g} here, got {stepsize:g}")
            return stepsize
        # For PGD this is 1/|A|^2 with every prior; with a convex one it is half of the limit.
        stepsize = limit / 2 if self.algorithm == "gd" else limit / (2 - self._weak_convexity)
        if not SMALLEST <= stepsize <= LARGEST:
            raise InputError(
                f"the values of the kernel are too large or too small: the step size would be {stepsize:g}"
            )
        return stepsize


def _noise(value: float) -> float:
    noise = number("noise", value)
    if noise < 0:
        raise InputError(f"noise must not be negative, got {noise:g}")
    check_noise("noise", noise)
    return noise


def _tolerance(value: float) -> float:
    tol = number("tol", value)
    if not 0 <= tol < 1:
        raise InputError(f"tol must be in [0, 1), got {tol:g}")
    return tol
