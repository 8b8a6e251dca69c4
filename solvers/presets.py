"""Presets: solver settings for a task and a noise level, chosen on natural images.

A preset runs several solvers in turn. The learned objectives are not convex, so the result depends on the start. A
*warm start* takes steps at falling noise levels ``sigma``: a few of a solver at each level, or one of a
`gradprox.solvers.continuation.Continuation`. The last solver then descends the final objective, which is the one that
the result reports.

`preset` chooses the settings, and `Preset` runs the solvers.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import Enum
from typing import Any

import torch
from deepinv.optim import DataFidelity
from deepinv.physics import LinearPhysics
from torch import Tensor

from gradprox.errors import InputError, unknown
from gradprox.noise_rule import NoiseRule
from gradprox.priors.contract import Prior
from gradprox.scales import check_noise
from gradprox.solvers.admm import ADMM
from gradprox.solvers.arguments import check_arguments
from gradprox.solvers.continuation import Continuation
from gradprox.solvers.contract import Callback, Step
from gradprox.solvers.drs import DRS
from gradprox.solvers.fista import FISTA
from gradprox.solvers.gd import GD
from gradprox.solvers.hqs import HQS
from gradprox.solvers.nmapg import NMAPG
from gradprox.solvers.pgd import PGD
from gradprox.solvers.result import Result
from gradprox.solvers.settings import check_positive, number
from gradprox.solvers.solver import Solver
from gradprox.status import Status


class Task(str, Enum):
    """The inverse problem that a preset is made for."""

    DEBLUR = "deblur"
    COMPRESSED_SENSING = "cs"
    DENOISE = "denoise"
    DEMOSAIC = "demosaic"
    SUPER_RESOLUTION = "super-resolution"
    INPAINT = "inpaint"
    MRI = "mri"


# Tasks that share the settings of compressed sensing.
SENSING: tuple[Task, ...] = tuple(task for task in Task if task is not Task.DEBLUR)


# Solvers of f + lambda R: the weight lambda is a setting of its own.
EXPLICIT: dict[str, type[HQS | GD | NMAPG]] = {"hqs": HQS, "gd": GD, "nmapg": NMAPG}
# Solvers of tau f + phi: the step size tau fixes the weight, so the prior's noise level sets its strength.
PROXIMAL: dict[str, type[Solver[Any]]] = {"fista": FISTA, "pgd": PGD, "admm": ADMM, "drs": DRS}
SOLVERS: tuple[str, ...] = ("hqs", "fista", "nmapg", "pgd", "admm", "drs", "gd")
# Planned steps after the warm start. Early stopping regularizes: in strongly ill-posed problems or with little noise, a
# longer descent adds artifacts to components of the image that the measurements do not determine.
STEPS: dict[Task, dict[str, int]] = {
    Task.DEBLUR: {"hqs": 2, "fista": 10, "nmapg": 8, "pgd": 20, "admm": 20, "drs": 20, "gd": 20},
    **{
        task: {"hqs": 12, "fista": 12, "nmapg": 12, "pgd": 20, "admm": 20, "drs": 20, "gd": 20}
        for task in SENSING
    },
}
DEFAULT_SOLVER: dict[Task, str] = {
    **dict.fromkeys(SENSING, "fista"),
    **dict.fromkeys((Task.DEBLUR, Task.SUPER_RESOLUTION), "hqs"),
}

# Noise level of the first warm-start solver. An image with this much noise is hardly recognizable.
WARM_START = 50 / 255
# Number of steps of the continuation of deblurring, and of warm-start solvers of compressed sensing, between WARM_START
# and the final noise level of the prior.
DEBLUR_STEPS, SENSING_STAGES = 10, 18
# Momentum of that continuation: with it, ten levels restore as well as twelve without (benchmarks/solvers/README.md).
DEBLUR_MOMENTUM = 0.3
# Steps of the first warm-start solver of compressed sensing, and of the others.
FIRST_STEPS, LATER_STEPS = 16, 4
# Without memory, the objective itself never rises, not only its running mean.
NMAPG_MEMORY = 0.0
# The noise level of the prior. In deblurring, sigma = noise removes too much of the detail that remains after the blur.
DEBLURRING = NoiseRule(0.7)
SENSING_RULE = NoiseRule(1.1, 2 / 255)


@dataclass(frozen=True)
class Preset:
    """A solver and its warm start, a sequence of solvers; a `gradprox.solvers.contract.Restorer`.

    The objective and the certificate of the result are those of the last solver. The solvers of a warm start descend
    objectives of their own, or are a continuation, which has none.

    Attributes:
        solver: the last solver.
        warm_start: the solvers before it, in order.
        planned: whether the last solver has a planned number of steps rather than a limit. An image that takes all of
            them ends as `Status.COMPLETED` if they are planned, and as `Status.MAX_ITER` otherwise.
        without_prox: the preset that replaces this one for a prior with an explicit energy only; None if there is none.
    """

    solver: Solver[Any]
    warm_start: tuple[Solver[Any], ...]
    planned: bool = False
    without_prox: Preset | None = None

    def of(self, prior: Prior) -> Preset:
        """Return the preset that runs with ``prior``: itself, or `without_prox`."""
        return self if prior.is_prox or self.without_prox is None else self.without_prox

    @property
    def max_iter(self) -> int:
        """Return the largest number of steps of all solvers together, with any prior."""
        own = self.solver.max_iter + sum(stage.max_iter for stage in self.warm_start)
        return own if self.without_prox is None else max(own, self.without_prox.max_iter)

    def settings(self, prior: Prior) -> dict[str, Any]:
        """Return the settings of the last solver; see `gradprox.solvers.contract.Restorer.settings`."""
        return self.of(prior).solver.settings(prior)

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
        """Reconstruct; see `gradprox.solvers.contract.Restorer`.

        Returns:
            The result of the last solver, with the steps and the objective increases of all solvers together.
        """
        check_arguments(y, physics, prior, fidelity, x0)
        if self.of(prior) is not self:
            return self.of(prior)(y, physics, prior, fidelity=fidelity, x0=x0, callback=callback)
        x, done, results = x0, 0, []
        for stage in (*self.warm_start, self.solver):
            results.append(
                stage(y, physics, prior, fidelity=fidelity, x0=x, callback=_shifted(callback, done))
            )
            x, done = results[-1].x, done + int(results[-1].steps.max())
        last = results[-1]
        steps = torch.stack([result.steps for result in results]).sum(dim=0)
        return dataclasses.replace(
            last,
            status=[self._status(status) for status in last.status],
            steps=steps,
            warm_start_steps=steps - last.steps,
            objective_increases=torch.stack([result.objective_increases for result in results]).sum(dim=0),
        )

    def _status(self, status: Status) -> Status:
        return Status.COMPLETED if self.planned and status is Status.MAX_ITER else status


def preset(
    task: Task | str,
    noise: float,
    *,
    solver: str | None = None,
    strength: float = 1.0,
    max_iter: int | None = None,
    tol: float | None = None,
    lipschitz: float | None = None,
    mixed_precision: bool = False,
) -> Preset:
    """Return settings for measurements with the noise level ``noise``, chosen on natural images.

    Args:
        task: the inverse problem, a `Task` or its name, for example ``"deblur"``.
        noise: standard deviation of the measurement noise, on the scale of images in ``[0, 1]``.
        solver: one of `SOLVERS`; the task's `DEFAULT_SOLVER` if not given. A prior with an explicit energy only
            allows HQS (then the default), NMAPG and GD.
        strength: multiplier of the prior's strength: 1 is the preset's, and larger values smooth more. For HQS, NMAPG
            and GD it multiplies ``lambda_reg``. For PGD, FISTA, ADMM and DRS, which have no such weight, it multiplies
            ``sigma``, the noise level that the prior assumes.
        max_iter: largest number of steps after the warm start; the preset's planned steps if not given.
        tol: tolerance of the relative change; the preset's if not given.
        lipschitz: upper bound of ``|A|^2``, needed only for a physics whose norm gradprox does not know.
        mixed_precision: compute the warm start of deblurring in bfloat16, see `Continuation`. The last solver, its
            objective included, has the precision of the images.

    Raises:
        InputError: an unknown task or solver, a negative noise level, or a strength that is not positive.

    Example:
        >>> chosen = preset("deblur", noise=0.01)
        >>> type(chosen.solver).__name__, len(chosen.warm_start), chosen.max_iter
        ('HQS', 1, 12)
    """
    task = _task(task)
    name = DEFAULT_SOLVER[task] if solver is None else solver
    if name not in SOLVERS:
        raise unknown("solver", name, SOLVERS)
    rule = noise_rule(task)
    if not 0 <= number("noise", noise) < float("inf"):
        raise InputError(f"the noise level must be finite and not negative, got {noise:g}")
    check_noise("noise level", noise)
    check_positive("strength", strength)
    common: dict[str, Any] = {
        "max_iter": STEPS[task][name] if max_iter is None else max_iter,
        "tol": 3e-4 if tol is None else tol,
        "lipschitz": lipschitz,
    }
    planned, without_prox = max_iter is None, None
    if task is not Task.DEBLUR and (name in EXPLICIT or solver is None):
        # The warm start of compressed sensing runs FISTA, which needs a prox. That of deblurring runs HQS instead.
        explicit = solver or "hqs"
        steps = STEPS[task][explicit] if planned else max_iter
        without_prox = _without_prox(noise, explicit, strength, planned, common | {"max_iter": steps})
    sigma = rule.sigma(noise)
    warm_start: tuple[Solver[Any], ...] = ()
    if task is Task.DEBLUR:
        warm_start = _continuation(rule, noise, strength, mixed_precision=mixed_precision)
    else:
        warm_start = _fista_stages(noise, strength, lipschitz)
    return Preset(at_level(name, rule, noise, sigma, strength, **common), warm_start, planned, without_prox)


def _task(name: str) -> Task:
    """Return the task of a name; a `Task` is its own name.

    Raises:
        InputError: there is none.
    """
    try:
        return Task(name)
    except ValueError as error:
        raise unknown("task", name, [*Task]) from error


def noise_rule(task: Task | str) -> NoiseRule:
    """Return how the noise level of the prior and the weight of its regularizer follow from the measurement noise.

    Args:
        task: the inverse problem, a `Task` or its name.

    Raises:
        InputError: an unknown task.
    """
    return DEBLURRING if _task(task) is Task.DEBLUR else SENSING_RULE


def _without_prox(noise: float, name: str, strength: float, planned: bool, common: dict[str, Any]) -> Preset:
    """Return the preset of compressed sensing for priors with an explicit energy only: HQS, then the solver."""
    rule = SENSING_RULE
    final = at_level(name, rule, noise, rule.sigma(noise), strength, **common)
    return Preset(final, _hqs_stages(rule, noise, strength, _sensing_steps()), planned)


def at_level(
    name: str, rule: NoiseRule, noise: float, sigma: float, strength: float, **common: Any
) -> Solver[Any]:
    """Return a solver of a preset whose prior assumes the noise level ``sigma``.

    Args:
        name: one of `SOLVERS`.
        rule: how the weight of the regularizer follows from the noise.
        noise: standard deviation of the measurement noise.
        sigma: noise level of the prior.
        strength: multiplier of the prior's strength, see `preset`.
        common: further settings of the solver.
    """
    if name not in EXPLICIT:
        return PROXIMAL[name](sigma=sigma * strength, **common)
    lambda_reg = strength * rule.lambda_reg(noise, sigma)
    if name == "nmapg":
        return NMAPG(sigma=sigma, lambda_reg=lambda_reg, memory=NMAPG_MEMORY, **common)
    return EXPLICIT[name](sigma=sigma, lambda_reg=lambda_reg, **common)


def _sensing_steps() -> list[int]:
    """Return the steps of each warm-start solver of compressed sensing."""
    return [FIRST_STEPS] + [LATER_STEPS] * (SENSING_STAGES - 1)


def _continuation(
    rule: NoiseRule, noise: float, strength: float, *, mixed_precision: bool
) -> tuple[Solver[Any], ...]:
    """Return the warm start of deblurring: one step of HQS at each noise level; none at the largest levels."""
    sigma = rule.sigma(noise)
    if sigma >= WARM_START:
        return ()
    weight = strength * rule.lambda_reg(noise, sigma)
    return (
        Continuation(
            sigma=sigma,
            first_sigma=WARM_START,
            lambda_reg=weight,
            momentum=DEBLUR_MOMENTUM,
            self_ensemble=True,
            max_iter=DEBLUR_STEPS,
            mixed_precision=mixed_precision,
        ),
    )


def _hqs_stages(rule: NoiseRule, noise: float, strength: float, steps: list[int]) -> tuple[Solver[Any], ...]:
    """Return a warm start of one HQS per entry of ``steps``, with falling noise levels of the prior."""
    levels = _falling(WARM_START, rule.sigma(noise), len(steps))
    return tuple(
        HQS(sigma=level, lambda_reg=strength * rule.lambda_reg(noise, level), max_iter=count)
        for level, count in zip(levels, steps, strict=False)
    )


def _fista_stages(noise: float, strength: float, lipschitz: float | None) -> tuple[Solver[Any], ...]:
    """Return the warm start of compressed sensing: FISTA with falling noise levels of the prior."""
    steps = _sensing_steps()
    levels = _falling(WARM_START, SENSING_RULE.sigma(noise), len(steps))
    return tuple(
        FISTA(sigma=level * strength, max_iter=count, lipschitz=lipschitz)
        for level, count in zip(levels, steps, strict=False)
    )


def _falling(first: float, end: float, count: int) -> list[float]:
    """Return ``count`` levels, falling geometrically from ``first`` to just above ``end``; none if ``end >= first``."""
    if end >= first:
        return []
    return [first * (end / first) ** (i / count) for i in range(count)]


def _shifted(callback: Callback | None, done: int) -> Callback | None:
    """Return a callback whose step numbers include the ``done`` steps of the previous solvers."""
    if callback is None or done == 0:
        return callback
    return lambda step: callback(Step(step.number + done, step.active, step.state, step.residual))
