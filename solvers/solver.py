"""The contract of algorithms: frozen settings, a first state, and a step. `gradprox.solvers.driver` does the rest."""

from __future__ import annotations

import dataclasses
import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Generic

import torch
from deepinv.optim import DataFidelity
from deepinv.physics import LinearPhysics
from torch import Tensor

from gradprox.batch import largest_of
from gradprox.errors import InputError
from gradprox.physics.contract import KnowsStart
from gradprox.priors.contract import Prior
from gradprox.scales import wrong_in_memory
from gradprox.solvers.arguments import check_arguments, checked_start
from gradprox.solvers.capabilities import proximal
from gradprox.solvers.contract import Callback
from gradprox.solvers.data_term import DataTerm, QuadraticDataTerm
from gradprox.solvers.driver import all_finite, run, zeros_unless
from gradprox.solvers.fidelity import build_data_term
from gradprox.solvers.result import Result
from gradprox.solvers.settings import check_count, check_level, check_positive, number
from gradprox.solvers.state import S
from gradprox.status import Status


@dataclass(frozen=True, kw_only=True)
class Solver(ABC, Generic[S]):
    """The settings that all solvers share. A solver is a `gradprox.solvers.contract.Restorer`: call it to restore.

    A subclass adds its settings, states in class attributes what it proves and needs, and implements `start` and
    `step`. Settings are checked once, when the solver is built; the formulas of a step are plain functions of its
    module, which take numbers or tensors and check nothing.

    Attributes:
        sigma: noise level that the prior assumes, on the scale of images in ``[0, 1]``: the larger, the smoother the
            reconstruction.
        max_iter: largest number of steps.
        tol: an image has converged when its relative change is at most ``tol``; with 0 all steps are taken.
        lipschitz: upper bound of ``|A|^2``, needed only for a physics whose norm gradprox does not know.
        certified: whether the algorithm proves that no step raises the objective (exactly: `State.merit`).
        needs_prox: whether the prior must be a prox. Otherwise the explicit energy of any prior is enough.
        needs_norm: whether the step sizes follow from ``|A|^2``.
        data_terms: the class of data terms that the steps and their proofs hold for.
        out_of_steps: the status of images that took all steps.
    """

    certified: ClassVar[bool] = True
    needs_prox: ClassVar[bool] = True
    needs_norm: ClassVar[bool] = True
    data_terms: ClassVar[type] = QuadraticDataTerm
    out_of_steps: ClassVar[Status] = Status.MAX_ITER

    sigma: float
    max_iter: int = 200
    tol: float = 1e-4
    lipschitz: float | None = None

    def __post_init__(self) -> None:
        check_level("sigma", self.sigma)
        check_count("max_iter", self.max_iter)
        if not 0 <= number("tol", self.tol) < 1:
            raise InputError(f"tol must be in [0, 1), got {self.tol:g}")
        if self.lipschitz is not None:
            check_positive("lipschitz", self.lipschitz)

    @abstractmethod
    def start(self, data: DataTerm, prior: Prior, x: Tensor) -> S:
        """Return the state before the first step.

        Raises:
            InputError: the settings are illegal for this data term and this prior.
        """

    @abstractmethod
    def step(self, data: DataTerm, prior: Prior, state: S) -> S:
        """Return the next state; nothing is changed in place."""

    def settings(self, prior: Prior) -> dict[str, Any]:  # noqa: ARG002  the same for every prior
        """See `gradprox.solvers.contract.Restorer.settings`."""
        return {"solver": type(self).__name__.lower(), "parameters": dataclasses.asdict(self)}

    @torch.no_grad()
    def __call__(
        self,
        y: Tensor,
        physics: LinearPhysics,
        prior: Prior,
        *,
        fidelity: DataFidelity | None = None,
        x0: Tensor | None = None,
        callback: Callback | None = None,
    ) -> Result:
        """Reconstruct images from measurements.

        Args:
            y: measurements of a batch of images, batch first.
            physics: the operator that made them.
            prior: the denoiser that stands for the regularizer (`gradprox.load_model`).
            fidelity: the data term, of `deepinv.optim`; ``|A x - y|^2 / 2`` if not given.
            x0: the first image of the iterations, ``(B, C, H, W)``; `gradprox.physics.initial_image` if not given.
            callback: called after each step.

        Raises:
            InputError: an argument cannot be used: another type or shape, a prior or data term that this solver does
                not take, an unknown norm, an illegal step size, or no image with finite measurements.
        """
        data, x = self.prepare(y, physics, prior, fidelity, x0)
        usable = all_finite(y)
        if not bool(usable.any()):
            raise InputError("y: the measurements contain NaN or infinite values")
        return run(self, data, prior, x, usable & all_finite(x), callback)

    def prepare(
        self,
        y: Tensor,
        physics: LinearPhysics,
        prior: Prior,
        fidelity: DataFidelity | None = None,
        x0: Tensor | None = None,
    ) -> tuple[DataTerm, Tensor]:
        """Check the arguments; return the data term and the first image, as `__call__` takes them.

        Measurements that are not finite are replaced by zeros: they would spoil sums over the whole batch.

        Raises:
            InputError: see `__call__`.

        Warns:
            UserWarning: the images are not on the scale where black is 0 and white is 1.
        """
        check_arguments(y, physics, prior, fidelity, x0)
        if self.needs_prox:
            proximal(prior, type(self).__name__)
        x = checked_start(y, physics, x0)
        # Measurements may have any scale, for example counts. Their start is on the scale of images if it is a choice.
        if fidelity is None and (x0 is not None or isinstance(physics, KnowsStart)):
            wrong = wrong_in_memory(largest_of(x.abs()))
            if wrong is not None:
                warnings.warn(f"{'y' if x0 is None else 'x0'}: {wrong}", stacklevel=3)
        y = zeros_unless(all_finite(y), y)
        data = build_data_term(y, physics, fidelity, lipschitz=self.lipschitz, needs_norm=self.needs_norm)
        if not isinstance(data, self.data_terms):
            raise InputError(
                f"fidelity: {type(self).__name__} supports only least squares, not {type(fidelity).__name__}: use "
                "NMAPG or PrimalDual"
            )
        return data, x
