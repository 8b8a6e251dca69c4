"""``W^T g(W x + b) + a``: the building rule behind every network of the family (arXiv 2404.07361, section 3)."""

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
        operator: ``W``, with its exact adjoint, and the biases.
        inner: ``g``, itself a gradient network of the coefficients.
        nonexpansive: divide by the proven Lipschitz constant wherever it exceeds 1.
        centered: subtract the constant ``W^T g(b)``, so that the output at 0 is ``a``. Otherwise every change of
            ``W`` in a training shifts all outputs together, the more the larger the dimension.

    Raises:
        ValueError: ``g`` does not fit the operator; or a nonexpansive network is asked for, and no Lipschitz
            constant is proven.
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
            raise ValueError("no Lipschitz constant is proven for these activations: none to divide by")

    def gradient_at(self, x: Tensor) -> Tensor:
        """See `BlindGradientNetwork.gradient_at`."""
        scale = self._scale()
        return scale * self._ridges(x) + self._offset(x, scale)

    def potential_at(self, x: Tensor) -> Tensor:
        """See `BlindGradientNetwork.potential_at`."""
        scale = self._scale()
        return scale * self.inner.potential(self.operator.analyze(x)) + image_sum(self._offset(x, scale) * x)

    def lipschitz_bound(self) -> float:
        """Return the bound of ``W^T diag(slopes) W``, at most 1 if nonexpansive."""
        bound = float(self._unscaled_bound().detach())
        return min(bound, 1.0) if self.nonexpansive else bound

    def _ridges(self, x: Tensor) -> Tensor:
        """Return ``W^T g(W x + b)``."""
        return self.operator.synthesize(self.inner(self.operator.analyze(x)), x)

    def _offset(self, x: Tensor, scale: Tensor | float) -> Tensor:
        """Return the constant part, the gradient of the linear term, in a shape that broadcasts against ``x``."""
        offset = self.operator.offset(x)
        return offset - scale * self._ridges(torch.zeros_like(x[:1])) if self.centered else offset

    def _scale(self) -> Tensor | float:
        """Return what makes the constant at most 1, differentiably: training sees it."""
        return 1 / self._unscaled_bound().clamp_min(1) if self.nonexpansive else 1.0

    def _unscaled_bound(self) -> Tensor:
        weight = self.operator.weight
        if not isinstance(self.inner, Activation):
            return (
                self.operator.gram_bound(weight.new_ones(self.operator.hidden)) * self.inner.lipschitz_bound()
            )
        lo, hi = (slope.to(weight) for slope in self.inner.slope_range())
        # Written so that slopes that are not numbers give no bound, rather than none to worry about.
        sides = [side.clamp_min(0) for side in (-lo, hi) if not bool((side.detach() <= 0).all())]
        if not all(bool(torch.isfinite(side).all()) for side in sides):
            return weight.new_tensor(float("inf"))
        bounds = [self.operator.gram_bound(side) for side in sides]
        return torch.stack(bounds).amax() if bounds else weight.new_zeros(())


class Composed(AnalysisNetwork):
    """``W^T g(W x + b) + a`` with any gradient network ``g``; monotone where ``g`` is."""
