r"""The modules of GradNet-M, stacked side by side into one activation.

The coefficients are ``z = (z_1, ..., z_M)``, one part for each module, with ``sigma_m = grad phi_m`` and
``P_m' = rho_m``. The stack ``sum_m c_m rho_m(phi_m(z_m)) sigma_m(z_m)`` is the gradient of
``sum_m c_m P_m(phi_m(z_m))`` (arXiv 2404.07361, section 5.2).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gradprox.networks.family.activation import Activation
from gradprox.networks.family.cascade import interval_product
from gradprox.networks.family.elementwise import inverse_softplus, softplus
from gradprox.networks.family.outer_derivatives import ConstantOuterDerivative, Interval, OuterDerivative


class ModuleStack(Activation):
    """Weighted modules side by side, each on its own channels.

    Args:
        activations: ``sigma_m``.
        outer_derivatives: ``rho_m``, one for each activation.
        monotone: whether the weights ``c_m`` are kept nonnegative. This needs monotone parts.

    Raises:
        ValueError: the stack is empty, the numbers of parts differ, or a part of a monotone stack is not monotone.
    """

    def __init__(
        self,
        activations: Sequence[Activation],
        outer_derivatives: Sequence[OuterDerivative],
        *,
        monotone: bool,
    ) -> None:
        if not activations or len(activations) != len(outer_derivatives):
            raise ValueError(
                f"a stack needs one outer derivative for each activation and at least one of both, "
                f"got {len(activations)} activations and {len(outer_derivatives)} outer derivatives"
            )
        super().__init__(sum(activation.width for activation in activations))
        for part in (*activations, *outer_derivatives):
            if monotone and not part.monotone:
                raise ValueError(f"a monotone network needs monotone parts; {type(part).__name__} is not")
        self.monotone = monotone
        self.activations = nn.ModuleList(activations)
        self.outer_derivatives = nn.ModuleList(outer_derivatives)
        ones = torch.ones(len(activations))
        # Linear combinations start with alternating signs, so that training need not find differences first.
        signs = torch.tensor([(-1.0) ** m for m in range(len(activations))])
        self.raw_weights = nn.Parameter(inverse_softplus(ones) if monotone else signs)

    def weights(self) -> Tensor:
        """Return ``c``, ``(M,)``."""
        return softplus(self.raw_weights) if self.monotone else self.raw_weights

    def gradient_at(self, x: Tensor) -> Tensor:
        """See `BlindGradientNetwork.gradient_at`."""
        outputs = []
        for weight, (activation, outer, z) in zip(self.weights(), self._parts(x), strict=True):
            output = weight * activation(z)
            # The potential may cost as much as the gradient, and a constant outer derivative ignores it.
            if not isinstance(outer, ConstantOuterDerivative):
                gains = outer.value(activation.site_potential(z))
                output = output * gains.repeat_interleave(activation.width // gains.shape[1], dim=1)
            outputs.append(output)
        return torch.cat(outputs, dim=1)

    def site_potential(self, z: Tensor) -> Tensor:
        """See `Activation.site_potential`: one group."""
        terms = [
            weight * outer.primitive(activation.site_potential(part)).sum(dim=1, keepdim=True)
            for weight, (activation, outer, part) in zip(self.weights(), self._parts(z), strict=True)
        ]
        return torch.stack(terms).sum(dim=0)

    def slope_range(self) -> tuple[Tensor, Tensor]:
        """See `Activation.slope_range`: bounds of ``c (rho Hess phi + rho' grad phi grad phi^T)``."""
        ranges = []
        for weight, (activation, outer) in zip(self.weights(), self._modules_in_order(), strict=True):
            lo, hi = (slope.to(weight) for slope in activation.slope_range())
            values = (weight.new_tensor(outer.range()[0]), weight.new_tensor(outer.range()[1]))
            lo, hi = interval_product(values, (lo, hi))
            rank_one = _outer_product_range(outer.slope_range(), activation.gradient_bound())
            ranges.append(interval_product((weight, weight), (lo + rank_one[0], hi + rank_one[1])))
        return torch.cat([lo for lo, _ in ranges]), torch.cat([hi for _, hi in ranges])

    def _modules_in_order(self) -> list[tuple[Activation, OuterDerivative]]:
        pairs = []
        for activation, outer in zip(self.activations, self.outer_derivatives, strict=True):
            assert isinstance(activation, Activation)  # noqa: S101  for the type checker
            assert isinstance(outer, OuterDerivative)  # noqa: S101  for the type checker
            pairs.append((activation, outer))
        return pairs

    def _parts(self, z: Tensor) -> list[tuple[Activation, OuterDerivative, Tensor]]:
        """Return each module with its channels of ``z``."""
        parts, first = [], 0
        for activation, outer in self._modules_in_order():
            parts.append((activation, outer, z.narrow(1, first, activation.width)))
            first += activation.width
        return parts


def _outer_product_range(slopes: Interval, gradient_bound: float) -> Interval:
    """Bound the eigenvalues of ``s g g^T`` for ``s`` in ``slopes`` and ``|g| <= gradient_bound``."""
    lo, hi = min(slopes[0], 0.0), max(slopes[1], 0.0)
    square = gradient_bound**2
    return (lo * square if lo else 0.0), (hi * square if hi else 0.0)
