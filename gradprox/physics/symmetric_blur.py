r"""Blur of an image that continues, beyond its frame, as its own mirror image (half-sample symmetry).

``A = V E``: ``E`` continues the image symmetrically (the edge pixel comes twice), and ``V`` convolves and keeps the
pixels where the kernel fits. ``A^T = E^T V^T``, where ``E^T`` folds the margin back: exact.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gradprox.networks.borders import mirrored_indices
from gradprox.physics.checks import Shape, Size, check_kernel
from gradprox.physics.contract import LinearMap
from gradprox.physics.cosine_transform import cosine_transform, inverse_cosine_transform
from gradprox.physics.forward_operator import ForwardOperator
from gradprox.physics.starts import margins
from gradprox.physics.valid_blur import ValidBlur

# How many proven bounds of the norm are computed, and the smallest weight in them.
BOUNDS = 10
LEAST_WEIGHT = 0.01


class SymmetricBlur(ForwardOperator):
    """Convolution with a symmetric boundary, from ``(H, W)`` to ``(H, W)``.

    The cosine transform diagonalizes it where the kernel is symmetric in both directions, like a Gaussian or a disk
    (Ng, Chan and Tang, SIAM J. Sci. Comput. 1999): norm and least squares then have closed forms. For other kernels
    solvers use conjugate gradients.

    Args:
        kernel: ``(1 or B, 1 or C, h, w)``, one for all, or one for each image or channel.
        size: ``(H, W)`` of the images.

    Raises:
        InputError: the kernel is larger than the image, or is not finite.
    """

    rows: Tensor
    columns: Tensor
    eigenvalues: Tensor | None

    def __init__(self, kernel: Tensor, size: Size) -> None:
        super().__init__()
        check_kernel(kernel, size)
        self.size = size
        height, width = kernel.shape[-2:]
        self.inside = ValidBlur(kernel, (size[0] + height - 1, size[1] + width - 1))
        self.register_buffer("rows", mirrored_indices(size[0], *margins(height), kernel.device))
        self.register_buffer("columns", mirrored_indices(size[1], *margins(width), kernel.device))
        eigenvalues = _eigenvalues(kernel.double(), size) if _is_symmetric(kernel) else None
        self._squared_norm = None if eigenvalues is None else float(eigenvalues.abs().max()) ** 2
        self.register_buffer("eigenvalues", None if eigenvalues is None else eigenvalues.to(kernel.dtype))

    @property
    def image_shape(self) -> Shape:
        """See `ForwardOperator.image_shape`."""
        return self.inside.image_shape[0], *self.size

    @property
    def measurement_shape(self) -> Shape:
        """See `ForwardOperator.measurement_shape`."""
        return self.image_shape

    @property
    def images(self) -> int | None:
        """See `ForwardOperator.images`."""
        return self.inside.images

    def A(self, x: Tensor, **_: object) -> Tensor:
        """Blur ``(B, C, H, W)``."""
        self.check_images(x)
        return self.inside.A(x[..., self.rows, :][..., self.columns])

    def A_adjoint(self, y: Tensor, **_: object) -> Tensor:
        """Apply ``A^T`` to ``(B, C, H, W)``."""
        self.check_measurements(y)
        extended = self.inside.A_adjoint(y)
        folded = extended.new_zeros(*extended.shape[:2], self.size[0], extended.shape[3])
        folded.index_add_(2, self.rows, extended)
        return folded.new_zeros(*folded.shape[:2], *self.size).index_add_(3, self.columns, folded)

    def squared_norm(self) -> float:
        """Return ``|A|^2``: exact for symmetric kernels, else a proven upper bound."""
        if self._squared_norm is None:
            self._squared_norm = _bound(self.inside.filter, self.size)
        return self._squared_norm

    def initial(self, y: Tensor) -> Tensor:
        """Return ``y``, the blurred image itself."""
        self.check_measurements(y)
        return y

    def regularized_inverse(self, z: Tensor, y: Tensor, weight: float) -> Tensor | None:
        """Return ``argmin_x |A x - y|^2 + weight |x - z|^2`` where the kernel is symmetric, else None."""
        values = self.eigenvalues
        if values is None:
            return None
        self.check_measurements(y)
        coefficients = values * cosine_transform(y) + weight * cosine_transform(z)
        return inverse_cosine_transform(coefficients / (values.square() + weight))


def _is_symmetric(kernel: Tensor) -> bool:
    """Return whether a kernel is its own mirror image in both directions, up to rounding of its type."""
    tolerance = 2 * torch.finfo(kernel.dtype).eps * float(kernel.abs().max())
    return all(kernel.shape[dim] % 2 for dim in (-2, -1)) and all(
        torch.allclose(kernel, kernel.flip(dim), rtol=0, atol=tolerance) for dim in (-2, -1)
    )


def _eigenvalues(kernel: Tensor, size: Size) -> Tensor:
    """Return ``sum_ij k[i, j] cos(pi u i / H) cos(pi v j / W)`` with ``i`` and ``j`` counted from the center."""
    rows, columns = (_cosines(n, length, kernel) for n, length in zip(size, kernel.shape[-2:], strict=True))
    return rows @ kernel @ columns.T


def _cosines(length: int, kernel_length: int, like: Tensor) -> Tensor:
    frequency = torch.arange(length, dtype=like.dtype, device=like.device) * (torch.pi / length)
    offset = torch.arange(kernel_length, dtype=like.dtype, device=like.device) - kernel_length // 2
    return torch.cos(frequency[:, None] * offset)


def _bound(kernel: Tensor, size: Size) -> float:
    """Bound ``|A|^2`` by ``max_i (M p)_i / p_i`` for positive ``p``, with the ``M = A^T A`` of the kernel ``|k|``.

    ``M`` is nonnegative, so this holds for every such ``p``; with the dominant eigenvector of ``M`` it is ``|M|``
    itself (Collatz and Wielandt; Horn and Johnson, *Matrix Analysis*, 8.1). The powers of ``M`` approach that
    eigenvector.
    """
    physics = SymmetricBlur(kernel.double().abs(), size)
    weights = torch.ones(*kernel.shape[:2], *size, dtype=torch.float64, device=kernel.device)
    smallest = float("inf")
    for _ in range(BOUNDS):
        weights, bound = next_bound(physics, weights)
        smallest = min(smallest, float(bound))
    return smallest


def next_bound(physics: LinearMap, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``M p``, scaled, for the weights ``p``, ``(1, 1, H, W)``, and ``max_i (M p)_i / p_i``; see `_bound`."""
    product = physics.A_adjoint(physics.A(weights))
    scaled = product / product.amax(dim=(-2, -1), keepdim=True)
    return scaled.clamp_min(LEAST_WEIGHT), (product / weights).max()
