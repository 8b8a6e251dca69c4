r"""The modules of GradNet-M, as one activation of stacked coefficients.

With ``z = (z_1, ..., z_M)``, ``sigma_m = grad phi_m`` and ``P_m' = rho_m``, the modules
``sum_m c_m rho_m(phi_m(z_m)) sigma_m(z_m)`` are the gradient of ``sum_m c_m P_m(phi_m(z_m))``
(arXiv 2404.07361, section 5.2).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gradprox.networks.family.activation import Activation
from gradprox.networks.family.cascade import interval_product
from gradprox.networks.family.elementwise import inverse_softplus, softplus
from gradprox.networks.family.outer_derivatives import Interval, One, Rho


class Modules(Activation):
    """Weighted, transformed activations side by side, each on its own channels.

    Args:
        activations: ``sigma_m``.
        rhos: ``rho_m``, as many.
        monotone: whether the weights ``c_m`` are kept nonnegative; needs monotone activations and transforms.

    Raises:
        ValueError: there is no module, or a part of a monotone network is not monotone.
    """

    def __init__(self, activations: Sequence[Activation], rhos: Sequence[Rho], *, monotone: bool) -> None:
        if not activations or len(activations) != len(rhos):
            raise ValueError(f"got {len(activations)} activations and {len(rhos)} transforms")
        super().__init__(sum(activation.width for activation in activations))
        for part in (*activations, *rhos):
            if monotone and not part.monotone:
                raise ValueError(f"a monotone network needs monotone modules; {type(part).__name__} is not")
        self.monotone = monotone
        self.activations = nn.ModuleList(activations)
        self.rhos = nn.ModuleList(rhos)
        ones = torch.ones(len(activations))
        # Linear combinations start with both signs, or differences of modules would have to be found first.
        signs = torch.tensor([(-1.0) ** m for m in range(len(activations))])
        self.raw_weights = nn.Parameter(inverse_softplus(ones) if monotone else signs)

    def weights(self) -> Tensor:
        """Return ``c``, ``(M,)``."""
        return softplus(self.raw_weights) if self.monotone else self.raw_weights

    def gradient_at(self, x: Tensor) -> Tensor:
        """See `BlindGradientNetwork.gradient_at`."""
        outputs = []
        for weight, (activation, rho, z) in zip(self.weights(), self._parts(x), strict=True):
            output = weight * activation(z)
            # The plain module does without its potential, which may cost as much as the gradient.
            if not isinstance(rho, One):
                gains = rho.value(activation.site_potential(z))
                output = output * gains.repeat_interleave(activation.width // gains.shape[1], dim=1)
            outputs.append(output)
        return torch.cat(outputs, dim=1)

    def site_potential(self, z: Tensor) -> Tensor:
        """See `Activation.site_potential`: one group."""
        terms = [
            weight * rho.primitive(activation.site_potential(part)).sum(dim=1, keepdim=True)
            for weight, (activation, rho, part) in zip(self.weights(), self._parts(z), strict=True)
        ]
        return torch.stack(terms).sum(dim=0)

    def slope_range(self) -> tuple[Tensor, Tensor]:
        """See `Activation.slope_range`: bounds of ``c (rho Hess phi + rho' grad phi grad phi^T)``."""
        ranges = []
        for weight, activation, rho in zip(self.weights(), self.activations, self.rhos, strict=True):
            assert isinstance(activation, Activation)  # noqa: S101  for the type checker
            assert isinstance(rho, Rho)  # noqa: S101  for the type checker
            lo, hi = (slope.to(weight) for slope in activation.slope_range())
            values = (weight.new_tensor(rho.range()[0]), weight.new_tensor(rho.range()[1]))
            lo, hi = interval_product(values, (lo, hi))
            outer = _outer_product_range(rho.slope_range(), activation.gradient_bound())
            ranges.append(interval_product((weight, weight), (lo + outer[0], hi + outer[1])))
        return torch.cat([lo for lo, _ in ranges]), torch.cat([hi for _, hi in ranges])

    def _parts(self, z: Tensor) -> list[tuple[Activation, Rho, Tensor]]:
        """Return each module with its channels of ``z``."""
        parts, first = [], 0
        for activation, rho in zip(self.activations, self.rhos, strict=True):
            assert isinstance(activation, Activation)  # noqa: S101  for the type checker
            assert isinstance(rho, Rho)  # noqa: S101  for the type checker
            parts.append((activation, rho, z.narrow(1, first, activation.width)))
            first += activation.width
        return parts


def _outer_product_range(slopes: Interval, gradient_bound: float) -> Interval:
    """Bound the eigenvalues of ``s g g^T`` for ``s`` in ``slopes`` and ``|g| <= gradient_bound``."""
    lo, hi = min(slopes[0], 0.0), max(slopes[1], 0.0)
    square = gradient_bound**2
    return (lo * square if lo else 0.0), (hi * square if hi else 0.0)
