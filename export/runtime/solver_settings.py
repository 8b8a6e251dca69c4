"""The settings of an exported solver: the numbers of a call become inputs of its graph, or are refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradprox.errors import InputError
from gradprox.export.runtime.arguments import number, whole_number
from gradprox.export.runtime.session import Session
from gradprox.noise_rule import NoiseRule
from gradprox.scales import LARGEST_NOISE, check_noise

# The solvers with which presets end. The second group has no weight of the regularizer: the noise level that the prior
# assumes sets its strength.
WEIGHTED, PROXIMAL = ("hqs", "nmapg", "gd"), ("fista", "pgd")
SOLVERS = (*WEIGHTED, *PROXIMAL)


@dataclass(frozen=True)
class Given:
    """The numbers of a call, None where not given; see `OnnxSolver.__call__`."""

    noise: float | None
    strength: float | None
    max_iter: int | None
    tol: float | None


@dataclass(frozen=True)
class Inputs:
    """The inputs of a graph that follow from a call.

    Attributes:
        arrays: inputs by name.
        sigma: the noise level that the prior assumes in the end.
        planned: whether the step budget is the planned number of steps.
    """

    arrays: Mapping[str, NDArray[Any]]
    sigma: float
    planned: bool


class Settings:
    """The settings of a preset: the noise, and how strong the prior is relative to the preset.

    Args:
        session: the file.
        algorithm: the solver with which its preset ends.

    Attributes:
        noise_rule: how the settings of the prior follow from the noise.

    Raises:
        InputError: the metadata of the file describe no preset.
    """

    def __init__(self, session: Session, algorithm: str) -> None:
        if "preset" not in session.metadata:
            raise InputError(
                f"{session.path}: holds {algorithm.upper()} without a warm start, as an earlier version made it: "
                "export it again"
            )
        self._scales_sigma = algorithm in PROXIMAL
        stated = session.entry("preset")
        try:
            self.noise_rule = NoiseRule(**stated["rule"])
            self._max_iter = whole_number("max_iter", stated["max_iter"], 1)
            self._tol = _tolerance(stated["tol"])
            # The first level of a warm start of FISTA, which the strength multiplies too; 0 for another warm start.
            scaled = stated.get("warm_solver") in PROXIMAL
            self._first_sigma = number("first_sigma", stated["first_sigma"]) if scaled else 0.0
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{session.path}: its preset is damaged") from error

    def inputs(self, given: Given) -> Inputs:
        """Return the inputs of a call.

        Raises:
            InputError: a number is illegal.
        """
        if given.noise is None:
            raise InputError("give noise, the standard deviation of the noise of the measurements")
        noise = _noise(given.noise)
        strength = 1.0 if given.strength is None else number("strength", given.strength)
        if strength <= 0:
            raise InputError(f"strength must be positive, got {strength:g}")
        budget = self._max_iter if given.max_iter is None else whole_number("max_iter", given.max_iter, 0)
        tol = self._tol if given.tol is None else _tolerance(given.tol)
        arrays = {name: np.array([value], np.float32) for name, value in (("noise", noise), ("tol", tol))}
        arrays["strength"] = np.array([strength], np.float32)
        arrays["max_iter"] = np.array(budget, np.int64)
        sigma = self.noise_rule.sigma(noise)
        first = self._first_sigma if sigma < self._first_sigma else 0.0
        largest = strength * max(sigma if self._scales_sigma else 0.0, first)
        if largest > LARGEST_NOISE:
            raise InputError(
                f"strength {strength:g} is too large: the prior would assume the noise level {largest:.3g}, and white "
                "is 1"
            )
        return Inputs(arrays, sigma * (strength if self._scales_sigma else 1), planned=given.max_iter is None)


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
