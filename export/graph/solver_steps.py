"""The parts that exported solvers share, as torch modules: the network, and the beginning and end of a step.

The formulas are those of `gradprox.solvers`: its functions are traced, and none is written a second time. Graphs check
no settings; `gradprox.export.runtime.OnnxSolver` does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gradprox.batch import per_image
from gradprox.export.graph.fit_steps import Tensors
from gradprox.networks.denoisers.config import ImageNetwork
from gradprox.priors import NetworkPrior
from gradprox.priors.contract import Sigma
from gradprox.solvers.line_search import shorter
from gradprox.solvers.state import State, relative_change

MAX_ITER, CONVERGED, NON_FINITE, STALLED = range(4)  # the order of `gradprox.export.runtime.solver.STATUS`


def names_of(kind: type[State]) -> tuple[str, ...]:
    """Return the names of the values of a state."""
    return tuple(field.name for field in fields(kind))


def values_of(state: State) -> Tensors:
    """Return the values of a state; copies, because a graph may return no value twice, and none of its inputs."""
    return tuple(getattr(state, name).clone() for name in names_of(type(state)))


class GraphPrior(NetworkPrior):
    """A prior whose input is not checked: a graph cannot raise an error that depends on values."""

    @property
    def is_prox(self) -> bool:
        """See `Prior`."""
        return self.network.monotone

    def _fold(self, y: Tensor, sigma: Sigma) -> tuple[Tensor, Tensor]:
        levels = torch.as_tensor(sigma)
        if self.network.channels != 1:
            return y, levels
        batch, channels, height, width = y.shape
        return y.reshape(batch * channels, 1, height, width), levels


class Network(nn.Module):
    """The network of the prior, with its energy.

    Args:
        network: the network, in single precision.
    """

    def __init__(self, network: ImageNetwork) -> None:
        super().__init__()
        self.prior = GraphPrior(network.export_form())

    def forward(self, new: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``D`` and ``R`` at the images ``new``."""
        return self.prior.denoise_with_energy(new, sigma)


class ComputedPrior:
    """A prior that returns what another part of the graph has computed.

    Args:
        denoised: ``D`` at the images that it is asked for.
        energy: ``R`` there, ``(B,)``.
    """

    def __init__(self, denoised: Tensor, energy: Tensor) -> None:
        self.found = denoised, energy

    def denoise_with_energy(self, y: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        """See `gradprox.priors.contract.Prior`."""
        return self.found


class FirstState(nn.Module):
    """The state before the first step.

    Args:
        make: returns the state for the values of a point.
    """

    def __init__(self, make: Callable[[Tensors], State]) -> None:
        super().__init__()
        self.make = make

    def forward(self, point: Tensors) -> Tensors:
        """Return the values of the state."""
        return values_of(self.make(point))


class Trial(nn.Module):
    """The beginning of a trial of a line search."""

    def length(self, tried: Tensor, open_before: Tensor, proven: Tensor | float) -> Tensor:
        """Return the lengths of this trial: images without an acceptable step, ``open_before``, take a shorter one."""
        return torch.where(open_before, shorter(tried, proven), tried)


class Begin(nn.Module):
    """The counter before the first step of a solver."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the statuses, ``(B,)``."""
        return torch.zeros(x.shape[0], dtype=torch.long)


class Record(nn.Module):
    """The end of a step: the decision which images stop.

    Args:
        kind: the class of the solver's states.
    """

    def __init__(self, kind: type[State]) -> None:
        super().__init__()
        self.kind = kind

    def forward(
        self, new: Tensors, state: Tensors, status: Tensor, steps: Tensor, tol: Tensor
    ) -> tuple[Tensor, ...]:
        """Return whether any image goes on, the next state, and one row of each history, ``(B,)``."""
        after, before = self.kind(*new), self.kind(*state)
        tolerance = tol.double() * after.step_fraction
        result = judge(*(after.x, before.x, after.objective, status, steps), tolerance, after.is_stalled)
        return (
            result.go_on,
            # ONNX Runtime cannot choose bools. The only one, `stalled`, is not needed after this step.
            *(
                a.clone() if a.dtype == torch.bool else torch.where(per_image(result.accepted, a), a, b)
                for a, b in zip(new, state, strict=True)
            ),
            result.status,
            result.steps,
            result.objective,
            result.residual,
        )


class Judgment(NamedTuple):
    """What follows from a step, per image.

    Attributes:
        go_on: whether any image takes a further step, a scalar.
        accepted: whether the new image replaces the old one, ``(B,)``.
        status: 0 while an image goes on, else why it stopped, ``(B,)``.
        steps: steps taken, ``(B,)``.
        objective: the objective after this step, NaN for images that had stopped before, ``(B,)``.
        residual: the relative change of this step, likewise.
    """

    go_on: Tensor
    accepted: Tensor
    status: Tensor
    steps: Tensor
    objective: Tensor
    residual: Tensor


def judge(
    new: Tensor,
    x: Tensor,
    objective: Tensor,
    status: Tensor,
    steps: Tensor,
    tol: Tensor,
    stalled: Tensor,
) -> Judgment:
    """Decide which images stop after a step, as `gradprox.solvers.driver.run` does.

    Args:
        new: the images after the step.
        x: the images before it.
        objective: the objective after it, ``(B,)``.
        status: the statuses before it, ``(B,)``.
        steps: the step counts before it, ``(B,)``.
        tol: the tolerance, ``(1,)`` or ``(B,)``.
        stalled: the images for which no step was found, ``(B,)``.
    """
    residual = relative_change(new, x)
    running = status == MAX_ITER
    finite = torch.isfinite(objective) & torch.isfinite(residual)
    stopped = torch.where(stalled, STALLED, torch.where(residual <= tol, CONVERGED, MAX_ITER))
    stopped = torch.where(finite, stopped, NON_FINITE)
    new_status = torch.where(running, stopped, status)
    return Judgment(
        (new_status == MAX_ITER).any(),
        # An image that has stopped stays as it is, and so does one whose step is not finite.
        running & finite,
        new_status,
        steps + running.long(),
        torch.where(running, objective, torch.nan),
        torch.where(running, residual.to(objective), torch.nan),
    )
