"""``W^T g(W x + b) + a``: the building rule of every network of the family (arXiv 2404.07361, section 3).

How to read it: `AnalysisNetwork` has ``forward``, the potential and the Lipschitz bound that all networks of the family
share. GradNet-C and GradNet-M only choose ``g``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gradprox.batch import image_sum
from gradprox.networks.family.activation import Activation
from gradprox.networks.family.analysis import AnalysisOperator
from gradprox.networks.family.blind import BlindGradientNetwork


class AnalysisNetwork(BlindGradientNetwork):
    """The gradient of ``phi(W x + b) + <a, x>``, where ``g = grad phi``.

    Args:
        operator: ``W``, its exact adjoint, and the biases ``a`` and ``b``.
        inner: ``g``, a gradient network of the coefficients.
        nonexpansive: divide by the proven Lipschitz constant where it exceeds 1.
        centered: subtract the constant ``W^T g(b)``, so that the output at 0 is ``a``. Without it, each change of
            ``W`` during training shifts all outputs, and the shift grows with the dimension.

    Raises:
        ValueError: ``g`` does not fit the operator, or the network is to be nonexpansive and no Lipschitz constant
            is proven.
    """

    operator: AnalysisOperator
    inner: BlindGradientNetwork

    def __init__(
        self,
        operator: AnalysisOperator,
        inner: BlindGradientNetwork,
        *,
        nonexpansive: bool = False,
        centered: bool = False,
    ) -> None:
        super().__init__()
        if isinstance(inner, Activation) and inner.width != operator.hidden:
            raise ValueError(f"an activation of {inner.width} channels does not fit {operator.hidden}")
        if inner.channels not in (None, operator.hidden):
            raise ValueError(f"an inner network of {inner.channels} channels does not fit {operator.hidden}")
        self.operator = operator
        self.inner = inner
        self.monotone = inner.monotone
        self.channels = operator.channels
        self.nonexpansive = nonexpansive
        self.centered = centered
        if nonexpansive and not torch.isfinite(self._unscaled_bound()):
            raise ValueError(
                "nonexpansive needs a proven Lipschitz constant, and the slopes of these activations are unbounded"
            )

    def gradient_at(self, x: Tensor) -> Tensor:
        """See `BlindGradientNetwork.gradient_at`."""
        scale = self._scale()
        return scale * self._ridges(x) + self._offset(x, scale)

    def potential_at(self, x: Tensor) -> Tensor:
        """See `BlindGradientNetwork.potential_at`."""
        scale = self._scale()
        return scale * self.inner.potential(self.operator.analyze(x)) + image_sum(self._offset(x, scale) * x)

    def lipschitz_bound(self) -> float:
        """Return a bound of ``|W^T diag(slopes) W|``; at most 1 if nonexpansive."""
        bound = float(self._unscaled_bound().detach())
        return min(bound, 1.0) if self.nonexpansive else bound

    def _ridges(self, x: Tensor) -> Tensor:
        """Return ``W^T g(W x + b)``."""
        return self.operator.synthesize(self.inner(self.operator.analyze(x)), x)

    def _offset(self, x: Tensor, scale: Tensor | float) -> Tensor:
        """Return the constant part of the output, in a shape that broadcasts against ``x``."""
        offset = self.operator.offset(x)
        return offset - scale * self._ridges(torch.zeros_like(x[:1])) if self.centered else offset

    def _scale(self) -> Tensor | float:
        """Return the factor that makes a network nonexpansive; training differentiates it."""
        return 1 / self._unscaled_bound().clamp_min(1) if self.nonexpansive else 1.0

    def _unscaled_bound(self) -> Tensor:
        weight = self.operator.weight
        if not isinstance(self.inner, Activation):
            return (
                self.operator.gram_bound(weight.new_ones(self.operator.hidden)) * self.inner.lipschitz_bound()
            )
        lo, hi = (slope.to(weight) for slope in self.inner.slope_range())
        # NaN slopes yield an infinite bound, because NaN <= 0 is false.
        sides = [side.clamp_min(0) for side in (-lo, hi) if not bool((side.detach() <= 0).all())]
        if not all(bool(torch.isfinite(side).all()) for side in sides):
            return weight.new_tensor(float("inf"))
        bounds = [self.operator.gram_bound(side) for side in sides]
        return torch.stack(bounds).amax() if bounds else weight.new_zeros(())


class Composed(AnalysisNetwork):
    """``W^T g(W x + b) + a`` with any gradient network ``g``; monotone if ``g`` is."""
