"""A small U-Net of residual blocks with an explicit reverse pass: products with its transposed Jacobian, exactly.

The forward pass appends the slope of every activation to a list, and the reverse pass pops the slopes from its end.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gradprox.networks.denoisers.conditioning import NoiseKnots

# The smallest slope of the activation. It is positive, so that no unit has a zero gradient.
LEAST_SLOPE = 0.1


class ResidualBlock(nn.Module):
    """A residual block ``h + K2 a(K1 h + b)`` with a bias ``b`` that depends on the noise level.

    The activation has the slope ``a'(z) = clamp(z, LEAST_SLOPE, 1)``. So ``a`` is piecewise quadratic with a continuous
    derivative, and ``grad R`` is locally Lipschitz continuous, which line searches need.
    """

    def __init__(self, width: int, knots: int) -> None:
        super().__init__()
        scale = math.sqrt(2 / (9 * width))
        self.first = nn.Parameter(scale * torch.randn(width, width, 3, 3))
        # Small initial weights make an untrained network nearly linear.
        self.second = nn.Parameter(0.1 * scale * torch.randn(width, width, 3, 3))
        self.bias = nn.Parameter(torch.full((knots, width), 0.5))

    def forward(self, h: Tensor, knots: Tensor, slopes: list[Tensor]) -> Tensor:
        """Return the block's output and append the slopes that `adjoint` needs.

        Args:
            h: features ``(B, C, H, W)``.
            knots: weights of the noise knots, ``(1 or B, J)``.
            slopes: the slopes of all blocks so far, in the order of the forward pass.
        """
        z = F.conv2d(h, self.first, padding=1)
        z = z + NoiseKnots.interpolate(self.bias, knots)[:, :, None, None].to(z.dtype)
        slope = z.clamp(LEAST_SLOPE, 1.0)
        slopes.append(slope)
        # a(z) = slope (z - slope / 2) + LEAST_SLOPE^2 / 2, in two operations.
        offset = z.new_tensor(LEAST_SLOPE**2 / 2)
        activated = torch.addcmul(offset, slope, torch.sub(z, slope, alpha=0.5))
        return h + F.conv2d(activated, self.second, padding=1)

    def adjoint(self, g: Tensor, slopes: list[Tensor]) -> Tensor:
        """Apply the transposed Jacobian of `forward` to ``g``; remove this block's slopes from the list's end."""
        inner = slopes.pop() * F.conv_transpose2d(g, self.second, padding=1)
        return g + F.conv_transpose2d(inner, self.first, padding=1)


class Scale(nn.Module):
    """The residual blocks of one scale and, between them, all coarser scales.

    Args:
        widths: feature maps at this scale and the coarser ones.
        blocks: residual blocks at this scale and the coarser ones.
        knots: number of noise knots.
    """

    def __init__(self, widths: tuple[int, ...], blocks: tuple[int, ...], knots: int) -> None:
        super().__init__()
        width = widths[0]
        self.before = nn.ModuleList(ResidualBlock(width, knots) for _ in range(blocks[0]))
        self.coarser: Scale | None = None
        if len(widths) > 1:
            self.coarser = Scale(widths[1:], blocks[1:], knots)
            self.down = nn.Parameter(torch.randn(widths[1], width, 2, 2) / math.sqrt(4 * width))
            self.up = nn.Parameter(0.5 * torch.randn(widths[1], width, 2, 2) / math.sqrt(widths[1]))
            self.after = nn.ModuleList(ResidualBlock(width, knots) for _ in range(blocks[0]))

    @property
    def radius(self) -> int:
        """Receptive radius in cells of this scale."""
        own = 2 * len(self.before)
        if self.coarser is None:
            return own
        # The change to coarse cells and back adds at most two cells.
        return 2 * own + 2 * self.coarser.radius + 2

    def forward(self, h: Tensor, knots: Tensor, slopes: list[Tensor]) -> Tensor:
        """Return the features after this scale; arguments as for `ResidualBlock.forward`."""
        for block in self.before:
            h = block(h, knots, slopes)
        if self.coarser is None:
            return h
        coarse = self.coarser(F.conv2d(h, self.down, stride=2), knots, slopes)
        h = h + F.conv_transpose2d(coarse, self.up, stride=2)
        for block in self.after:
            h = block(h, knots, slopes)
        return h

    def adjoint(self, g: Tensor, slopes: list[Tensor]) -> Tensor:
        """Apply the transposed Jacobian of `forward` to ``g``; see `ResidualBlock.adjoint`."""
        if self.coarser is not None:
            for block in _reversed(self.after):
                g = block.adjoint(g, slopes)
            coarse = self.coarser.adjoint(F.conv2d(g, self.up, stride=2), slopes)
            g = g + F.conv_transpose2d(coarse, self.down, stride=2)
        for block in _reversed(self.before):
            g = block.adjoint(g, slopes)
        return g


def _reversed(blocks: nn.ModuleList) -> Iterator[ResidualBlock]:
    return cast("Iterator[ResidualBlock]", reversed(blocks))
