r"""The interface of shrinkages, which are gradients of convex functions ``G`` of filter coefficients.

Three modules implement it: `ridge`, `energy_gate` and `mixture`. Each shrinkage is built from a configuration with its
own fields. The field ``kind`` says which shrinkage a configuration belongs to.

The first two are gates: ``grad G(z) = z * g`` with gains ``g`` in ``[0, 1]``. The gains increase with the energy of the
coefficient itself (ridge) or of its neighbors in space and channel (energy gate). With energies ``e = (z / u)^2`` in
units ``u`` of the noise, a nonnegative coupling ``K`` and nondecreasing gates ``s >= 0`` with primitive ``S``,

    G(z) = u^2/2 * sum S(K e),        grad G(z) = z * K^T s(K e).

``S`` is convex and nondecreasing and ``K e`` is convex in ``z``, so ``G`` is convex. Its Hessian is
``diag(K^T s) + 2 diag(z/u) K^T diag(s') K diag(z/u)``. By Cauchy-Schwarz it is at most
``sup_t (s + 2 t s') * max column sum of K``. If columns sum to 1, it is at most 1 for the gates
``s = (1 - sqrt(c/t))_+``, which shrink groups of coefficients by their norm.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from torch import Tensor, nn

from gradprox.networks.denoisers.conditioning import NoiseKnots


def _odd(window: int) -> int:
    if window % 2 == 0:
        raise ValueError(f"window must be odd, got {window}")
    return window


# The side of a window around a coefficient, in taps.
Window = Annotated[int, Field(ge=1, le=31), AfterValidator(_odd)]


class ShrinkageConfig(BaseModel, ABC):
    """The settings of one kind of shrinkage; a subclass adds ``kind``, its name in files."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @abstractmethod
    def build(self, pairs: int, noise_gain: float, knots: NoiseKnots, planes: int = 1) -> Shrinkage:
        """Return a new shrinkage.

        Args:
            pairs: number of mirrored pairs of channels, over all planes.
            noise_gain: norm of a filter: noise of level ``sigma`` has standard deviation ``noise_gain * sigma`` in
                coefficients.
            knots: noise levels at which parameters are stored.
            planes: number of color planes.
        """


class Shrinkage(nn.Module, ABC):
    """The gradient of a convex function ``G`` of filter coefficients, symmetric under flips of mirrored pairs.

    Attributes:
        radius: number of coefficients on each side of its own position that an output depends on.
        noise_gain: norm of a filter, see `ShrinkageConfig.build`.
        knots: noise levels at which parameters are stored.
        planes: number of color planes.
        bounded: identity that marks gates or probabilities for `GradientNetwork.float32_boundary`. They are computed
            from energies in units of the noise, which reach 6e9. The largest float16 number is 65504.
    """

    radius: int
    noise_gain: float
    knots: NoiseKnots
    planes: int

    def __init__(self) -> None:
        super().__init__()
        self.bounded = nn.Identity()

    @abstractmethod
    def gradient(self, z: Tensor, sigma: Tensor) -> Tensor:
        """Return ``grad G(z)`` where it is known: ``(B, C, h, w)`` to ``(B, C, h - 2 radius, w - 2 radius)``."""

    @abstractmethod
    def gradient_and_density(self, z: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``grad G(z)`` and, at the same places, ``(B, 1, h', w')``, the terms whose sum is ``G(z)``."""

    @abstractmethod
    def slope_bound(self) -> float:
        """Return a proven upper bound of the eigenvalues of the Hessian of ``G``."""

    @abstractmethod
    def take_over(self, trained: Shrinkage) -> None:
        """Start from the weights of a trained shrinkage, as far as they fit.

        Raises:
            ValueError: the trained shrinkage is of another kind, or of a size that cannot be adapted.
        """

    def _unit(self, sigma: Tensor) -> Tensor:
        """Return the standard deviation of noise in ``z``, ``(S, 1, 1, 1)``."""
        return (self.noise_gain * sigma)[:, None, None, None]
