r"""Equilibrium networks: the exact prox of an explicit, weakly convex regularizer, found by iterations.

They take a backward (implicit) step, where the networks of `identity_path` take one forward (gradient) step. Let
``F(x) = x - W^T(z - grad G(z))``, ``z = W x``, be an `IdentityPath` network with ``Hess G <= 1 + k``. It is a gradient
step on the function ``R(x) = |W x|^2/2 - G(W x)``, and because ``|W| <= 1``,

    -k <= Hess R <= 1,        grad R(x) = x - F(x).

Choose ``m < 1`` and ``mu = m / k``. Then the objective ``E(x; y) = |x - y|^2/2 + mu R(x)`` has a Hessian between
``1 - m`` and ``1 + mu``. It has exactly one minimizer, and

    D(y) = argmin_x E(x; y) = prox_(mu R)(y)

is symmetric, monotone, and ``1/(1 - m)``-Lipschitz for every value of the weights. The distance of any ``x`` from
``D(y)`` is at most ``|grad E(x; y)| / (1 - m)``. Firm gates bound ``Hess G``. With them, ``R`` is a sum of Moreau
envelopes of minimax-concave penalties of groups. For penalties of single coefficients see Goujon, Neumayer and Unser,
"Learning weakly convex regularizers for convergent image-reconstruction algorithms", SIAM J. Imaging Sci. 2024.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor
from torch.autograd import forward_ad

from gradprox.batch import image_sum, per_image
from gradprox.networks.base import GradientNetwork
from gradprox.networks.denoisers.conditioning import SIGMA_FLOOR, check_precision
from gradprox.networks.denoisers.descent import Descent, advance, root_mean_square
from gradprox.networks.denoisers.energy_gate import EnergyGate, EnergyGatedConfig
from gradprox.networks.denoisers.gates import FirmGates
from gradprox.networks.denoisers.identity_path import IdentityPath, IdentityPathConfig
from gradprox.networks.denoisers.implicit import InverseHessianAt, WarmStart
from gradprox.networks.denoisers.implicit_functions import implicit_derivative, minimizer
from gradprox.networks.denoisers.ridge import RidgeShrinkage

# Rounding errors of the gradient, relative to ``1 + mu`` times the image, in units of the machine precision.
ROUNDING = 8
MAX_ITER = 1000
# Relative residual of the linear systems behind derivatives, in units of the machine precision.
LINEAR_ROUNDING = 100


class EquilibriumConfig(BaseModel):
    """The architecture of an `Equilibrium` network: everything but its weights.

    Attributes:
        kind: the architecture's name in files.
        regularizer: the one-pass network that is a gradient step on ``R``; its shrinkage has firm gates.
        start: one-pass network; the iterations start from its result, so that fewer are needed. None: they start from
            the image. The start changes the result within the tolerance only.
        weak_convexity: ``m``, between 0 and 1: ``mu R + m |.|^2/2`` is convex.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["equilibrium"] = "equilibrium"
    regularizer: IdentityPathConfig = IdentityPathConfig(
        shrinkage=EnergyGatedConfig(window=3, terms=3, gate_kind="firm")
    )
    start: IdentityPathConfig | None = None
    weak_convexity: float = Field(default=0.95, gt=0, lt=1)

    @model_validator(mode="after")
    def _consistent(self) -> EquilibriumConfig:
        if getattr(self.regularizer.shrinkage, "gate_kind", None) != "firm":
            raise ValueError(
                "the regularizer of an equilibrium needs gates of bounded slope: a ridge or energy-gated shrinkage "
                "with gate_kind firm"
            )
        if self.start is not None and self.start.channels != self.regularizer.channels:
            raise ValueError("start and regularizer must take the same channels")
        return self

    @property
    def channels(self) -> Literal[1, 3]:
        """Return the number of channels of the images."""
        return self.regularizer.channels

    @property
    def noise_levels(self) -> tuple[float, ...]:
        """Return the knots of the regularizer."""
        return self.regularizer.noise_levels

    def build(self) -> Equilibrium:
        """Return a new network."""
        return Equilibrium(self)


class Equilibrium(GradientNetwork):
    """The prox of an explicit regularizer as a convolutional mGradNet, conditional on the noise level.

    Each image is iterated until its gradient is small. In single precision the root mean square gradient must be at
    most ``tolerance * sigma`` plus rounding errors. Above the largest stored noise level the limit decreases again,
    because images are then fainter than the noise. In double precision the limit consists of rounding errors only.

    Derivatives are those of the minimizer, by the implicit function theorem. They exist with respect to images, noise
    levels and weights, in reverse and forward mode and under ``torch.func``. A product ``J v`` may be differentiated
    with respect to ``v``. Other second derivatives raise an error.

    Args:
        config: the architecture.

    Attributes:
        tolerance: limit of the gradient in single precision, relative to the noise level.
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
        """See `GradientNetwork.export_form`; exporters trace each method separately and write the loop themselves."""
        form = copy.deepcopy(self)
        form.regularizer = self.regularizer.export_form()
        form.start = None if self.start is None else self.start.export_form()
        return form

    def regularizer_weight(self, sigma: Tensor) -> Tensor:
        """Return ``mu = m / k`` at noise levels, of their shape."""
        shrinkage = self.regularizer.shrinkage
        assert isinstance(shrinkage, RidgeShrinkage | EnergyGate)  # noqa: S101  as the configuration demands
        assert isinstance(shrinkage.gates, FirmGates)  # noqa: S101
        return self.config.weak_convexity / shrinkage.gates.excess(shrinkage.knots.coordinates(sigma))

    def take_over(self, trained: GradientNetwork) -> None:
        """Copy a trained one-pass network into the start, if there is one, and its filters and coupling into ``R``.

        Raises:
            ValueError: the architecture of the trained network does not fit.
        """
        if self.start is not None:
            if not isinstance(trained, IdentityPath) or trained.config != self.config.start:
                raise ValueError("it is not the architecture of the start")
            self.start.load_state_dict(trained.state_dict())
        self.regularizer.take_over(trained)

    def objective(self, x: Tensor, y: Tensor, sigma: Tensor) -> Tensor:
        """Return ``E(x; y)`` of each image, ``(B,)``; images and noise levels are as in `forward`."""
        regularizer = self.regularizer.envelope_and_gradient(x, sigma)[0]
        return image_sum((x - y).square()) / 2 + self.regularizer_weight(sigma) * regularizer

    def objective_gradient(self, x: Tensor, y: Tensor, sigma: Tensor) -> Tensor:
        """Return the gradient of ``E(x; y)`` with respect to ``x``; images and noise levels are as in `forward`."""
        return x - y + per_image(self.regularizer_weight(sigma), x) * (x - self.regularizer(x, sigma))

    @property
    def noise_range(self) -> tuple[float, float]:
        """See `GradientNetwork.noise_range`."""
        return self.config.noise_levels[0], self.config.noise_levels[-1]

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Return ``D(x)``; see `GradientNetwork.forward`.

        Raises:
            ValueError: ``x`` is neither of float32 nor of float64.
            NotImplementedError: under ``torch.export``, which cannot trace the iterations.

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
        """Return ``D(x)`` with other tolerances than those of `forward`, for example in training.

        Args:
            x: as in `forward`.
            sigma: as in `forward`.
            tolerance: limit of the gradient in single precision, relative to the noise level.
            derivative_tolerance: relative residual of the linear systems behind derivatives in single precision; it is
                raised to rounding errors.
            warm: the results of the last solve of the same images; those of this solve replace them.

        Raises:
            NotImplementedError: as in `forward`.

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
        rounding = LINEAR_ROUNDING * torch.finfo(x.dtype).eps
        accuracy = rounding if x.dtype == torch.float64 else max(rounding, derivative_tolerance)
        inverse = InverseHessianAt(self._hessian_product, accuracy, warm)
        return solution + implicit_derivative(residual, solution, sigma, inverse)

    def _hessian_product(self, solution: Tensor, sigma: Tensor) -> Callable[[Tensor], Tensor]:
        """Return a function that multiplies with ``I + mu Hess R`` at a solution."""
        mu = per_image(self.regularizer_weight(sigma).detach(), solution)
        with torch.enable_grad():
            at = solution.detach().clone().requires_grad_()
            step = self.regularizer(at, sigma)

        def product(v: Tensor) -> Tensor:
            # The Jacobian of the step is symmetric, so reverse mode yields ``J v``.
            (stepped,) = torch.autograd.grad(step, at, v, retain_graph=True)
            return v + mu * (v - stepped)

        return product

    def _differentiates(self, *inputs: Tensor) -> bool:
        """Return whether derivatives may be needed. If not, `solve` saves one evaluation of the gradient."""
        tensors = (*inputs, *self.parameters())
        if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
            return True
        return any(forward_ad.unpack_dual(tensor).tangent is not None for tensor in tensors)

    @torch.no_grad()
    def minimize(
        self, y: Tensor, sigma: Tensor, tolerance: float, start: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the minimizers of ``E(.; y)``, and the number of steps that each took, ``(B,)``.

        Args:
            y: images, ``(B, C, H, W)``.
            sigma: noise levels, ``(1,)`` or ``(B,)``.
            tolerance: as in `solve`.
            start: images from which the iterations start; by default those of `first`.
        """
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
                # An image with NaN never converges, so its iteration ends.
                lost = per_image(size.isnan(), gradient)
                result[active[arrived]] = torch.where(lost, torch.nan, state.point)[arrived]
                kept = ~arrived
                active = active[kept]
                if not len(active):
                    return result, steps
                state, gradient = Descent(*(part[kept] for part in state)), gradient[kept]
                # One noise level for all images keeps depthwise convolutions fast.
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
        """Return the images from which the iterations start."""
        return y if self.start is None else self.start(y, sigma)

    def advance(self, state: Descent, gradient: Tensor, sigma: Tensor) -> Descent:
        """Take one step of the descent.

        Args:
            state: the state of the descent.
            gradient: the gradient of the objective at the state's point.
            sigma: as in `forward`.
        """
        return advance(state, gradient, 1 / (1 + self.regularizer_weight(sigma)), self.lipschitz_bound())

    def limits(self, y: Tensor, sigma: Tensor, tolerance: float) -> Tensor:
        """Return the root mean square gradient of each image, ``(B,)``, below which its iteration ends."""
        levels = sigma.clamp_min(SIGMA_FLOOR)
        # Above the last knot, images are faint compared with the noise. The tolerance decreases there, because it would
        # exceed the image otherwise.
        tolerance_levels = torch.minimum(levels, self.config.noise_levels[-1] ** 2 / levels)
        size = root_mean_square(y).clamp_min(1)
        rounding = ROUNDING * torch.finfo(y.dtype).eps * (1 + self.regularizer_weight(levels)) * size
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
