r"""Equilibrium networks: the exact prox of an explicit, weakly convex regularizer, the twin of the one-pass form.

An `IdentityPath` network ``F(x) = x - W^T(z - grad G(z))``, ``z = W x``, with ``Hess G <= 1 + k`` is a gradient step
on ``R(x) = |W x|^2/2 - G(W x)``, and as ``|W| <= 1``,

    -k <= Hess R <= 1,        grad R(x) = x - F(x).

With ``mu = m / k`` and ``m < 1`` the objective ``E(x; y) = |x - y|^2/2 + mu R(x)`` has a Hessian between ``1 - m`` and
``1 + mu``: it has one minimizer, and

    D(y) = argmin_x E(x; y) = prox_(mu R)(y)

is symmetric, monotone, and ``1/(1 - m)``-Lipschitz for every value of the weights; ``|grad E(x; y)| / (1 - m)`` bounds
the distance of any ``x`` from ``D(y)``. Gates that bound ``Hess G`` make ``R`` a sum of Moreau
envelopes of minimax-concave penalties of groups; for single coefficients see Goujon, Neumayer and Unser, "Learning
weakly convex regularizers for convergent image-reconstruction algorithms", SIAM J. Imaging Sci. 2024.
"""

from __future__ import annotations

import copy
import warnings
from typing import Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor
from torch.autograd import forward_ad

from gradprox.batch import image_sum, per_image
from gradprox.networks.base import GradientNetwork
from gradprox.networks.denoisers.conditioning import SIGMA_FLOOR, check_precision
from gradprox.networks.denoisers.energy_gate import EnergyGate, EnergyGatedConfig
from gradprox.networks.denoisers.gates import FirmGates
from gradprox.networks.denoisers.identity_path import IdentityPath, IdentityPathConfig
from gradprox.networks.denoisers.implicit import InverseHessian, WarmStart, implicit_derivative, minimizer
from gradprox.networks.denoisers.ridge import RidgeShrinkage

# What rounding leaves of gradients of terms as large as ``1 + mu`` times the image, in units of the precision.
ROUNDING = 8
MAX_ITER = 1000
# Steps without a fall of the gradient's norm by that share, after which only steps of proven length are taken.
PATIENCE, FALL = 10, 0.1
# Relative residual of the linear systems behind derivatives, in units of the precision.
LINEAR_ROUNDING = 100


class EquilibriumConfig(BaseModel):
    """The architecture of an `Equilibrium` network: everything but its weights.

    Attributes:
        kind: the architecture's name in files.
        regularizer: the one-pass network that is a gradient step on ``R``; its shrinkage has firm gates.
        start: the one-pass network whose result the iterations start from, so that fewer are needed; None: they start
            from the image. It changes the result within the tolerance only.
        weak_convexity: ``m``, between 0 and 1: ``mu R + m |.|^2/2`` is convex.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["equilibrium"]
    regularizer: IdentityPathConfig = IdentityPathConfig(
        shrinkage=EnergyGatedConfig(window=3, terms=3, gate_kind="firm")
    )
    start: IdentityPathConfig | None = None
    weak_convexity: float = Field(default=0.95, gt=0, lt=1)

    @model_validator(mode="after")
    def _consistent(self) -> EquilibriumConfig:
        if getattr(self.regularizer.shrinkage, "gate_kind", None) != "firm":
            raise ValueError(
                "the regularizer of an equilibrium needs gates of bounded slope: set gate_kind to firm"
            )
        if self.start is not None and self.start.channels != self.regularizer.channels:
            raise ValueError("start and regularizer must take the same channels")
        return self

    @property
    def channels(self) -> Literal[1, 3]:
        """Return how many channels its images have."""
        return self.regularizer.channels

    @property
    def noise_levels(self) -> tuple[float, ...]:
        """Return the knots of the regularizer."""
        return self.regularizer.noise_levels

    def build(self) -> Equilibrium:
        """Return a new network."""
        return Equilibrium(self)


class Descent(NamedTuple):
    """Where the iterations of each image are.

    Attributes:
        point: the images now, ``(B, C, H, W)``.
        gradient: at the point before; zero at first.
        length: of the step from there, ``(B,)``.
        size: root mean square gradient when it last fell, ``(B,)``.
        age: steps since then, ``(B,)``.
    """

    point: Tensor
    gradient: Tensor
    length: Tensor
    size: Tensor
    age: Tensor

    @classmethod
    def from_point(cls, point: Tensor) -> Descent:
        """Return the state before the first step."""
        ones = torch.ones_like(point[:, 0, 0, 0])
        return cls(point, torch.zeros_like(point), ones, ones * torch.inf, 0 * ones)


class Equilibrium(GradientNetwork):
    """A convolutional mGradNet that minimizes, conditional on the noise level; see this module's text.

    Each image is iterated until its gradient is small: of root mean square ``tolerance * sigma``, and what
    rounding leaves, in single precision; to rounding in double precision. Derivatives are those of the minimizer, by
    the implicit function theorem: with respect to images and weights, and once more with respect to what they are
    multiplied with (products ``J v``); second derivatives with respect to images and weights are not to be had
    this way.

    Args:
        config: the architecture.

    Attributes:
        tolerance: of the iterations in single precision, relative to the noise level.
    """

    monotone = True
    channels: int
    commutes_with_flips = True  # filters come in mirrored pairs that share their parameters

    def __init__(self, config: EquilibriumConfig) -> None:
        super().__init__()
        self.config = config
        self.channels = config.channels
        self.regularizer = IdentityPath(config.regularizer)
        # The start changes no derivative, so training would not change its weights.
        self.start = None if config.start is None else IdentityPath(config.start).requires_grad_(False)
        self.tolerance = 0.01

    def export_form(self) -> Equilibrium:
        """See `GradientNetwork.export_form`. Exporters unroll its iterations: what they trace is one step."""
        form = copy.deepcopy(self)
        form.regularizer = self.regularizer.export_form()
        form.start = None if self.start is None else self.start.export_form()
        return form

    def strength(self, sigma: Tensor) -> Tensor:
        """Return ``mu = m / k`` at noise levels, of their shape."""
        shrinkage = self.regularizer.shrinkage
        assert isinstance(shrinkage, RidgeShrinkage | EnergyGate)  # noqa: S101  as the configuration demands
        assert isinstance(shrinkage.gates, FirmGates)  # noqa: S101
        return self.config.weak_convexity / shrinkage.gates.excess(shrinkage.knots.coordinates(sigma))

    def take_over(self, trained: IdentityPath) -> None:
        """Start from a trained one-pass network: it becomes the start, and gives the regularizer filters and coupling.

        Raises:
            ValueError: it does not fit.
        """
        if self.start is not None:
            if trained.config != self.config.start:
                raise ValueError("it is not the architecture of the start")
            self.start.load_state_dict(trained.state_dict())
        self.regularizer.take_over(trained)

    def objective(self, x: Tensor, y: Tensor, sigma: Tensor) -> Tensor:
        """Return ``E(x; y)`` of each image, ``(B,)``; all as in `forward`."""
        regularizer = self.regularizer.envelope_and_gradient(x, sigma)[0]
        return image_sum((x - y).square()) / 2 + self.strength(sigma) * regularizer

    def objective_gradient(self, x: Tensor, y: Tensor, sigma: Tensor) -> Tensor:
        """Return the gradient of ``E(x; y)`` with respect to ``x``; all as in `forward`."""
        return x - y + per_image(self.strength(sigma), x) * (x - self.regularizer(x, sigma))

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Return ``D(x)``; see `GradientNetwork.forward`.

        Warns:
            RuntimeWarning: an image has not reached the tolerance in `MAX_ITER` steps.
        """
        check_precision(x)
        return self.solve(x, sigma, self.tolerance)

    def solve(
        self,
        x: Tensor,
        sigma: Tensor,
        tolerance: float,
        derivative_tolerance: float = 0.0,
        warm: WarmStart | None = None,
    ) -> Tensor:
        """Return ``D(x)`` to another tolerance than the network's own, as in training.

        Args:
            x: as in `forward`.
            sigma: as in `forward`.
            tolerance: of the iterations in single precision, relative to the noise level.
            derivative_tolerance: of derivatives in single precision: the relative residual of their linear systems,
                not below rounding.
            warm: from the last solve of the same images; what this one finds replaces it.

        Warns:
            RuntimeWarning: as in `forward`.
        """
        if torch.compiler.is_exporting():
            raise NotImplementedError(
                "torch.export cannot trace an equilibrium, because the number of its iterations depends on the image; "
                "gradprox.export writes them as a loop"
            )
        before = None if warm is None else warm.solution
        solution = minimizer(lambda y, level: self.minimize(y, level, tolerance, before)[0], x, sigma)
        if warm is not None:
            warm.solution = solution
        if not self._differentiates(x, sigma):
            return solution
        residual = self.objective_gradient(solution, x, sigma)
        inverse = _HessianAt(self, derivative_tolerance, warm)
        return solution + implicit_derivative(residual, solution, sigma, inverse)

    def _differentiates(self, *inputs: Tensor) -> bool:
        """Return whether a derivative may be asked for: otherwise one evaluation of the gradient is saved."""
        tensors = (*inputs, *self.parameters())
        if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
            return True
        return any(forward_ad.unpack_dual(tensor).tangent is not None for tensor in tensors)

    @torch.no_grad()
    def minimize(
        self, y: Tensor, sigma: Tensor, tolerance: float, start: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the minimizers of ``E(.; y)`` and how many steps each took, ``(B,)``; `first` is the usual start."""
        result = (self.first(y, sigma) if start is None else start).clone()
        limits = self.limits(y, sigma, tolerance)
        steps = torch.zeros(len(y), dtype=torch.long, device=y.device)
        active = torch.arange(len(y), device=y.device)
        state, level = Descent.from_point(result), sigma
        for _ in range(MAX_ITER):
            gradient = self.objective_gradient(state.point, y[active], level)
            size = root_mean_square(gradient)
            arrived = ~(size > limits[active])
            if bool(arrived.any()):
                # Not a number is no arrival, but never gets better.
                lost = per_image(size.isnan(), gradient)
                result[active[arrived]] = torch.where(lost, torch.nan, state.point)[arrived]
                kept = ~arrived
                active = active[kept]
                if not len(active):
                    return result, steps
                state, gradient = Descent(*(part[kept] for part in state)), gradient[kept]
                # One level for all keeps depthwise convolutions fast.
                level = level if len(sigma) == 1 else level[kept]
            steps[active] += 1
            state = self.advance(state, gradient, level)
        result[active] = state.point
        warnings.warn(
            f"{len(active)} of {len(y)} images are short of the tolerance after {MAX_ITER} steps",
            RuntimeWarning,
            stacklevel=4,
        )
        return result, steps

    def first(self, y: Tensor, sigma: Tensor) -> Tensor:
        """Return where the iterations start."""
        return y if self.start is None else self.start(y, sigma)

    def advance(self, state: Descent, gradient: Tensor, sigma: Tensor) -> Descent:
        """Take one gradient step, of a length that follows from how the last one changed the gradient.

        That is ``<s, d> / |d|^2`` for the change ``s`` of the point and ``d`` of the gradient (Barzilai and Borwein,
        IMA J. Numer. Anal. 1988), between ``1/(1 + mu)`` and ``1/(1 - m)``, the inverse bounds of the Hessian. Such
        steps are few, but nobody proved that they always arrive. The shortest do: each leaves at most
        ``1 - (1 - m)/(1 + mu)`` of the gradient's norm. So they take over when that norm has not fallen by a tenth
        for `PATIENCE` steps, until it has.

        Args:
            state: of the descent.
            gradient: of the objective, at the state's point.
            sigma: as in `forward`.
        """
        size = root_mean_square(gradient)
        fell = size < (1 - FALL) * state.size
        age = torch.where(fell, 0.0, state.age + 1)
        change = state.gradient - gradient
        ratio = (state.gradient * change).flatten(1).sum(dim=1) / change.square().flatten(1).sum(dim=1)
        shortest = (1 / (1 + self.strength(sigma))).to(ratio).expand_as(ratio)
        length = (state.length * ratio).clamp_max(self.lipschitz_bound())
        length = torch.where((length > shortest) & (age < PATIENCE), length, shortest)
        point = state.point - per_image(length, gradient) * gradient
        return Descent(point, gradient, length, torch.where(fell, size, state.size), age)

    def limits(self, y: Tensor, sigma: Tensor, tolerance: float) -> Tensor:
        """Return the root mean square gradient of each image, ``(B,)``, below which its iteration ends."""
        levels = sigma.clamp_min(SIGMA_FLOOR)
        # Beyond the last knot images are faint compared with the noise. The tolerance then decreases, or it would
        # exceed the image.
        tolerance_levels = torch.minimum(levels, self.config.noise_levels[-1] ** 2 / levels)
        size = root_mean_square(y).clamp_min(1)
        rounding = ROUNDING * torch.finfo(y.dtype).eps * (1 + self.strength(levels)) * size
        return rounding if y.dtype == torch.float64 else tolerance * tolerance_levels + rounding

    def potential(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Return ``Phi(y) = |y|^2/2 - min_x E(x; y)`` of each image, ``(B,)``."""
        return image_sum(x * x) / 2 - self.envelope_and_gradient(x, sigma)[0]

    def lipschitz_bound(self) -> float:
        """Return ``1/(1 - m)``: the Jacobian is the inverse of ``I + mu Hess R >= 1 - m``."""
        return 1 / (1 - self.config.weak_convexity)

    def envelope_and_gradient(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``min E(.; x)``, ``(B,)``, and ``D(x)``."""
        solution = self(x, sigma)
        return self.objective(solution, x, sigma), solution


class _HessianAt:
    """Multiplies with the inverse of ``I + mu Hess R(x)``; see `implicit.Inverse`.

    Args:
        network: the equilibrium.
        tolerance: relative residual of the linear systems in single precision, not below rounding.
        warm: see `InverseHessian`.
    """

    def __init__(self, network: Equilibrium, tolerance: float, warm: WarmStart | None) -> None:
        self._network = network
        self._tolerance = tolerance
        self._warm = warm
        self._known: tuple[Tensor, InverseHessian] | None = None

    def __call__(self, right: Tensor, solution: Tensor, sigma: Tensor) -> Tensor:
        """Return ``H^-1 right``."""
        # The Hessian is recorded once for all vectors that it is multiplied with.
        if self._known is None or self._known[0].data_ptr() != solution.data_ptr():
            self._known = solution, self._record(solution, sigma)
        return self._known[1](right)

    def _record(self, solution: Tensor, sigma: Tensor) -> InverseHessian:
        mu = per_image(self._network.strength(sigma).detach(), solution)
        with torch.enable_grad():
            at = solution.detach().clone().requires_grad_()
            step = self._network.regularizer(at, sigma)

        def hessian(v: Tensor) -> Tensor:
            # The step's Jacobian is symmetric: its transposed product is its product.
            (product,) = torch.autograd.grad(step, at, v, retain_graph=True)
            return v + mu * (v - product)

        rounding = LINEAR_ROUNDING * torch.finfo(solution.dtype).eps
        exact = solution.dtype == torch.float64
        return InverseHessian(hessian, rounding if exact else max(rounding, self._tolerance), self._warm)


def root_mean_square(x: Tensor) -> Tensor:
    """Return that of each image of ``(B, ...)``, ``(B,)``."""
    return x.square().flatten(1).mean(dim=1).sqrt()
