r"""The posterior density of an image, known up to a constant because the energy of the prior is explicit.

Let ``y = A x + n`` with white Gaussian noise of level ``noise``, and let ``D`` be the posterior mean of an image with
noise of level ``sigma``. Tweedie's formula says ``D(x) - x = sigma^2 grad log p_sigma(x)``, where ``p_sigma`` is the
density of clean images, convolved with a Gaussian of deviation ``sigma`` (Robbins 1956; Efron, J. Am. Stat. Assoc.
2011). A prior has ``grad R = I - D``, so ``R / sigma^2 = -log p_sigma`` up to a constant. With ``f(x) = |A x - y|^2 /
2``, Bayes' rule is

    -log p(x | y) = f(x) / noise^2 + R(x) / sigma^2 = (f(x) + lambda R(x)) / noise^2,    lambda = (noise / sigma)^2.

So the objective ``F = f + lambda R`` of a solver, divided by ``noise^2``, is the negative logarithm of a posterior
density. This *temperature* ``noise^2`` makes ``f`` the likelihood, whatever ``lambda`` is. With another ``lambda``, the
prior is ``p_sigma`` to the power of ``lambda (sigma / noise)^2``. Presets use the power 0.45 times their strength,
which gives the best images: the density is then wider than that of Bayes' rule.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from deepinv.optim import DataFidelity
from deepinv.physics import LinearPhysics
from torch import Tensor

from gradprox.priors.contract import Prior
from gradprox.solvers import Task, build_data_term, smooth_state
from gradprox.solvers.arguments import check_arguments
from gradprox.solvers.data_term import FittedDataTerm, fitted
from gradprox.solvers.presets import noise_rule
from gradprox.solvers.settings import check_level, check_positive

# Images of up to this number of values keep the record of a pass for all products: it takes about 3 kB per value.
RECORDED = 512 * 512


@dataclass(frozen=True)
class Posterior:
    """The density ``exp(-U(x))`` with ``U = (f + lambda_reg R) / noise^2``; see the module's head.

    Attributes:
        data: ``f``, a data term with a Hessian: least squares, or `gradprox.solvers.ClippedL2`.
        prior: the denoiser that has the energy ``R``.
        noise: standard deviation of the measurement noise, on the scale of images in ``[0, 1]``.
        sigma: noise level of the prior, on the same scale.
        lambda_reg: weight of ``R`` beside ``f``; ``(noise / sigma)^2`` is Bayes' rule.

    Raises:
        InputError: a number is not positive.
    """

    data: FittedDataTerm
    prior: Prior
    noise: float
    sigma: float
    lambda_reg: float

    def __post_init__(self) -> None:
        """Refuse illegal settings."""
        check_level("noise", self.noise)
        check_level("sigma", self.sigma)
        check_positive("lambda_reg", self.lambda_reg)

    @classmethod
    def of(
        cls,
        y: Tensor,
        physics: LinearPhysics,
        prior: Prior,
        noise: float,
        *,
        sigma: float,
        lambda_reg: float | None = None,
        fidelity: DataFidelity | None = None,
    ) -> Posterior:
        """Return the posterior of the images that were measured as ``y``.

        Args:
            y: measurements, batch first.
            physics: the linear operator ``A``.
            prior: the denoiser.
            noise: standard deviation of the noise in ``y``, above 0.
            sigma: noise level of the prior.
            lambda_reg: weight of ``R``; that of Bayes' rule if not given.
            fidelity: the data term; ``|A x - y|^2 / 2`` if not given.

        Raises:
            InputError: an argument cannot be used.

        Example:
            >>> import torch
            >>> from gradprox import load_model
            >>> from gradprox.physics import CircularBlur, gaussian_kernel
            >>> physics = CircularBlur(gaussian_kernel(1.0), (24, 20))
            >>> y = physics(torch.rand(1, 1, 24, 20))
            >>> posterior = Posterior.of(y, physics, load_model("gray-fast"), noise=0.01, sigma=0.01)
            >>> posterior.energy(y).shape
            torch.Size([1])
        """
        check_arguments(y, physics, prior, fidelity, None)
        check_level("noise", noise)
        data = build_data_term(y, physics, fidelity, needs_norm=False)
        weight = (noise / sigma) ** 2 if lambda_reg is None else lambda_reg
        return cls(fitted(data), prior, noise, sigma, weight)

    @classmethod
    def of_preset(
        cls,
        task: Task | str,
        y: Tensor,
        physics: LinearPhysics,
        prior: Prior,
        noise: float,
        *,
        strength: float = 1.0,
        fidelity: DataFidelity | None = None,
    ) -> Posterior:
        """Return the posterior that `gradprox.solvers.preset` of a task stands for, with an explicit energy.

        ``sigma`` and ``lambda_reg`` are those of the preset with HQS, NMAPG or GD; the proximal solvers minimize
        another objective, whose curvature is not known. As in presets, noise below half a gray level of 8 bits is
        raised to it.

        Args:
            task: a `Task` or its name, for example ``"deblur"``.
            y: measurements, batch first.
            physics: the linear operator ``A``.
            prior: the denoiser.
            noise: standard deviation of the noise in ``y``.
            strength: multiplier of ``lambda_reg``.
            fidelity: the data term; ``|A x - y|^2 / 2`` if not given.

        Raises:
            InputError: an argument cannot be used.
        """
        rule = noise_rule(task)
        level, sigma = rule.level(noise), rule.sigma(noise)
        weight = strength * rule.lambda_reg(noise, sigma)
        return cls.of(y, physics, prior, level, sigma=sigma, lambda_reg=weight, fidelity=fidelity)

    def energy(self, x: Tensor) -> Tensor:
        """Return ``U(x)``, ``(B,)`` in double precision, up to a constant."""
        return self.energy_and_gradient(x)[0]

    @torch.no_grad()
    def energy_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``U(x)``, ``(B,)`` in double precision, and ``grad U(x)``."""
        state = smooth_state(self.data, self.prior, self.sigma, self.lambda_reg, x)
        return state.objective / self.noise**2, state.gradient / self.noise**2

    def hessian(self, x: Tensor) -> Callable[[Tensor], Tensor]:
        """Return the product ``v -> Hess U(x) v``, exact up to rounding: the Jacobian of ``D`` is differentiated.

        The Jacobian is symmetric. So for images of up to `RECORDED` values a product is a backward pass of one recorded
        forward pass. For larger ones it is the derivative in the direction ``v``, tile by tile, which keeps no record.
        """
        data, jacobian = self.data.hessian(x), self._jacobian(x)

        def product(v: Tensor) -> Tensor:
            return (data(v) + self.lambda_reg * (v - jacobian(v))) / self.noise**2

        return product

    def _jacobian(self, x: Tensor) -> Callable[[Tensor], Tensor]:
        """Return ``v -> J_D(x) v``."""

        def denoise(z: Tensor) -> Tensor:
            return self.prior(z, self.sigma)

        if x.numel() > RECORDED:

            @torch.no_grad()
            def along(v: Tensor) -> Tensor:
                with warnings.catch_warnings():
                    warnings.filterwarnings("ignore", ".*torch.jit.script")  # a script that jvp itself loads
                    product: Tensor = torch.func.jvp(denoise, (x,), (v,))[1]
                return product

            return along
        at = x.detach().clone().requires_grad_()
        with torch.enable_grad():
            denoised = denoise(at)
        return lambda v: torch.autograd.grad(denoised, at, v, retain_graph=True)[0]
