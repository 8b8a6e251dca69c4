"""Analysis operators ``x -> W x + b`` with the exact adjoint ``W^T`` and a proven bound of the norm.

``W^T g(W x + b)`` is the gradient of ``phi(W x + b)`` for any linear ``W`` and ``g = grad phi`` (arXiv 2404.07361,
section 3). This requires that ``W^T`` is the exact adjoint, at image borders too.

How to read it: `AnalysisOperator` is the contract and `Dense` its matrix form; `convolution` has the form for images.
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
        channels: number of channels of its images, or None if it takes tensors of any shape.
        weight: the entries of ``W``: a matrix or filters.
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
            weights: one nonnegative number per coefficient channel, ``(hidden,)``.
        """


class Dense(AnalysisOperator):
    """A matrix ``W`` of ``hidden x dim`` entries. Inputs of any shape with ``dim`` entries are flattened.

    Args:
        dim: number of entries of an input.
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
        # With |W^T W| = 1 coefficients are too small for the curved part of an activation. With coefficients of order
        # one, outputs grow with their number. The geometric mean of both scales trains fastest.
        scale = min(1.0, dim / hidden) ** 0.25 / math.sqrt(dim)
        self.weight = nn.Parameter(torch.randn(hidden, dim) * scale)
        # Random biases place the bends of the activations at different points.
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
        """Return the largest eigenvalue of the Gram matrix, increased by a bound of its rounding error."""
        gram = self.weight.T @ (weights[:, None] * self.weight)
        slack = 10 * max(self.weight.shape) * torch.finfo(gram.dtype).eps
        largest: Tensor = torch.linalg.eigvalsh(gram)[-1]
        return largest * (1 + slack)
