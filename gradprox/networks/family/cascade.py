r"""The cascade of GradNet-C as an activation: several layers, each of which acts on single coefficients.

For the coefficient ``u`` the layers are ``z_0 = beta_0 u + b_0`` and ``z_l = beta_l u + b_l + alpha_l
sigma_l(z_(l-1))``, and the output is ``alpha_L sigma_L(z_(L-1))`` (arXiv 2404.07361, section 5.1). The derivative with
respect to ``u`` is a sum of products of ``alpha``, ``beta`` and slopes. It is nonnegative if all of these are.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gradprox.networks.family.elementwise import Elementwise, inverse_softplus, softplus
from gradprox.networks.family.quadrature import integrate


class Cascade(Elementwise):
    """Scalar cascades, one per channel.

    Nested activations have no elementary primitive. The potential is therefore a one-dimensional quadrature per
    coefficient, accurate to about 100 units of rounding.

    Args:
        layers: ``sigma_1`` to ``sigma_L``, all of the same width.
        monotone: whether ``alpha`` and ``beta`` are kept nonnegative. This needs monotone layers.

    Raises:
        ValueError: there is no layer, widths differ, or a layer of a monotone cascade is not monotone.
    """

    def __init__(self, layers: Sequence[Elementwise], *, monotone: bool) -> None:
        if len({layer.width for layer in layers}) != 1:
            raise ValueError("a cascade needs at least one layer, and all layers need the same width")
        super().__init__(layers[0].width)
        for layer in layers:
            if not isinstance(layer, Elementwise):
                raise ValueError(
                    f"a cascade needs elementwise activations; {type(layer).__name__} is not elementwise"
                )
            if monotone and not layer.monotone:
                raise ValueError(f"a monotone cascade needs monotone layers; {type(layer).__name__} is not")
        self.monotone = monotone
        self.layers = nn.ModuleList(layers)
        shape = (len(layers), self.width)
        alpha, beta = torch.ones(shape), 1 + 0.1 * torch.randn(shape).clamp(-5, 5)
        self.raw_alpha = nn.Parameter(inverse_softplus(alpha) if monotone else alpha)
        self.raw_beta = nn.Parameter(inverse_softplus(beta) if monotone else beta)
        self.biases = nn.Parameter(torch.randn(shape))

    def table(self) -> Tensor:
        """Return ``alpha``, ``beta``, ``b`` and the tables of the layers, stacked in this order."""
        alpha, beta = self._gains()
        tables = [layer.table() for layer in self._layers()]
        return torch.cat([alpha, beta, self.biases, *(table for table in tables if len(table))])

    def function(self, t: Tensor, table: Tensor) -> Tensor:
        """See `Elementwise.function`."""
        depth = len(self.layers)
        alpha, beta, biases = table[:depth], table[depth : 2 * depth], table[2 * depth : 3 * depth]
        row = 3 * depth
        carried = torch.zeros_like(t)
        for index, layer in enumerate(self._layers()):
            rows = len(layer.table())
            z = beta[index] * t + biases[index] + carried
            carried = alpha[index] * layer.function(z, table[row : row + rows])
            row += rows
        return carried

    def primitive(self, t: Tensor, table: Tensor) -> Tensor:
        """See `Elementwise.primitive`; the primitive is 0 at 0."""
        rows = table.expand(len(table), *t.shape).flatten(1)

        def integrand(points: Tensor, owner: Tensor) -> Tensor:
            return self.function(points, rows[:, owner, None])

        return integrate(integrand, t.flatten()).view(t.shape)

    def slope_range(self) -> tuple[Tensor, Tensor]:
        """See `Activation.slope_range`: interval arithmetic through the layers."""
        alpha, beta = self._gains()
        lo, hi = torch.zeros_like(beta[0]), torch.zeros_like(beta[0])
        for index, layer in enumerate(self._layers()):
            lo, hi = lo + beta[index], hi + beta[index]
            slopes = tuple(slope.to(beta) for slope in layer.slope_range())
            lo, hi = interval_product((lo, hi), (slopes[0], slopes[1]))
            lo, hi = interval_product((lo, hi), (alpha[index], alpha[index]))
        return lo, hi

    def gradient_bound(self) -> float:
        """See `Activation.gradient_bound`."""
        alpha, _ = self._gains()
        last = self._layers()[-1].gradient_bound()
        return float(alpha[-1].detach().abs().max()) * last

    def _layers(self) -> list[Elementwise]:
        return [layer for layer in self.layers if isinstance(layer, Elementwise)]

    def _gains(self) -> tuple[Tensor, Tensor]:
        if self.monotone:
            return softplus(self.raw_alpha), softplus(self.raw_beta)
        return self.raw_alpha, self.raw_beta


def interval_product(a: tuple[Tensor, Tensor], b: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Return the smallest and the largest product of a number in interval ``a`` and a number in interval ``b``.

    Ends may be infinite. Zero times infinity is zero, because an end of zero silences an unbounded slope.
    """
    corners = torch.stack([torch.where((x == 0) | (y == 0), 0.0, x * y) for x in a for y in b])
    return corners.amin(dim=0), corners.amax(dim=0)
