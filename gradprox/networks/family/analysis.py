"""Analysis operators ``x -> W x + b`` with the exact adjoint ``W^T`` and a proven norm: what networks share.

``W^T g(W x + b)`` is the gradient of ``phi(W x + b)`` for any linear ``W`` and ``g = grad phi``, provided that
``W^T`` is the adjoint to the last pixel (arXiv 2404.07361, section 3).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class AnalysisOperator(nn.Module, ABC):
    """An affine map from inputs ``(B, ...)`` to coefficients ``(B, hidden, *sites)``.

    Attributes:
        hidden: number of coefficient channels.
        channels: of the images it takes, or None if it takes tensors of any shape.
        weight: the numbers that make up ``W``.
        bias: ``b``, ``(hidden,)``, or None.
        output_bias: ``a``, the constant that a network adds to ``W^T g(W x + b)``.
    """

    hidden: int
    channels: int | None
    weight: nn.Parameter
    bias: nn.Parameter | None
    output_bias: nn.Parameter

    @abstractmethod
    def analyze(self, x: Tensor) -> Tensor:
        """Return ``W x + b``, ``(B, hidden, *sites)``."""

    @abstractmethod
    def synthesize(self, z: Tensor, x: Tensor) -> Tensor:
        """Return ``W^T z``, of the shape of ``x``."""

    @abstractmethod
    def offset(self, x: Tensor) -> Tensor:
        """Return the output bias ``a`` in a shape that broadcasts against ``x``."""

    @abstractmethod
    def gram_bound(self, weights: Tensor) -> Tensor:
        """Return a proven, differentiable upper bound of ``|W^T diag(weights) W|``.

        Args:
            weights: one nonnegative number a coefficient channel, ``(hidden,)``.
        """


class Dense(AnalysisOperator):
    """A matrix ``W`` of ``hidden x dim`` entries; inputs of any shape with ``dim`` entries are flattened.

    Args:
        dim: entries of an input.
        hidden: number of coefficients.
        bias: whether coefficients have a bias.

    Raises:
        ValueError: a size is not positive.
    """

    channels = None

    def __init__(self, dim: int, hidden: int, *, bias: bool = True) -> None:
        super().__init__()
        if min(dim, hidden) < 1:
            raise ValueError(f"dim and hidden must be positive, got {dim} and {hidden}")
        self.dim, self.hidden = dim, hidden
        # Between |W^T W| = 1, with coefficients too small to bend an activation, and coefficients of order one, with
        # outputs that grow with their number: halfway trains fastest.
        scale = min(1.0, dim / hidden) ** 0.25 / math.sqrt(dim)
        self.weight = nn.Parameter(torch.randn(hidden, dim) * scale)
        # Spread biases let the activations bend in different places from the start.
        self.bias = nn.Parameter(torch.randn(hidden)) if bias else None
        self.output_bias = nn.Parameter(torch.zeros(dim))

    def analyze(self, x: Tensor) -> Tensor:
        """See `AnalysisOperator.analyze`."""
        if x.shape[1:].numel() != self.dim:
            raise ValueError(f"expected inputs of {self.dim} entries, got a shape of {tuple(x.shape)}")
        return nn.functional.linear(x.flatten(1), self.weight, self.bias)

    def synthesize(self, z: Tensor, x: Tensor) -> Tensor:
        """See `AnalysisOperator.synthesize`."""
        return (z @ self.weight).view(x.shape)

    def offset(self, x: Tensor) -> Tensor:
        """See `AnalysisOperator.offset`."""
        return self.output_bias.view(x.shape[1:])

    def gram_bound(self, weights: Tensor) -> Tensor:
        """Return the largest eigenvalue of the Gram matrix, raised by what rounding may have taken from it."""
        gram = self.weight.T @ (weights[:, None] * self.weight)
        slack = 10 * max(self.weight.shape) * torch.finfo(gram.dtype).eps
        largest: Tensor = torch.linalg.eigvalsh(gram)[-1]
        return largest * (1 + slack)
