"""The filter bank of image networks: an analysis operator with exact adjoint and proven norm, closed under flips."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gradprox.networks.denoisers.color_planes import from_planes, to_planes
from gradprox.networks.fourier_bound import fourier_norm_bound


def mirrored_cosines(kernel_size: int) -> tuple[Tensor, Tensor]:
    """Rearrange the two-dimensional DCT basis into oriented filters, without its constant filter.

    The product of cosines with frequencies ``(2a, 2b)`` plus that with ``(2a+1, 2b+1)`` is a diagonal wave that is
    unchanged by a turn of 180 degrees. Its mirror image is the difference of the two products. The products with
    ``(2a, 2b+1)`` and ``(2a+1, 2b)`` give waves that change their sign. Together with their mirror images, these
    filters span the same space as the DCT without the constant, and are still a tight frame.

    Returns:
        The filters ``(kernel_size^2 / 2, kernel_size, kernel_size)``, and their parities ``(kernel_size^2 / 2,)``: 1 if
        a turn of 180 degrees leaves the filter unchanged, -1 if it changes the sign. The filters have unit norm, except
        for the first, which has lost its constant part and has norm 0.71.
    """
    taps = torch.arange(kernel_size, dtype=torch.float64) + 0.5
    frequencies = torch.arange(kernel_size, dtype=torch.float64)
    basis = torch.cos(torch.pi / kernel_size * frequencies[:, None] * taps) * math.sqrt(2 / kernel_size)
    basis[0] /= math.sqrt(2)
    products = torch.einsum("ui,vj->uvij", basis, basis)
    products[0, 0] = 0
    even, odd = slice(0, None, 2), slice(1, None, 2)
    symmetric = (products[even, even] + products[odd, odd]).flatten(0, 1)
    antisymmetric = (products[even, odd] + products[odd, even]).flatten(0, 1)
    filters = torch.cat([symmetric, antisymmetric]) / math.sqrt(2)
    parities = torch.cat([torch.ones(len(symmetric)), -torch.ones(len(antisymmetric))])
    return filters.to(torch.get_default_dtype()), parities


class MirrorFilterBank(nn.Module):
    r"""Zero-mean filters in mirrored pairs, scaled so that the analysis operator ``W`` has ``|W| <= 1``.

    Each stored filter is even or odd under a turn of 180 degrees, and comes with its horizontal mirror image. So the
    bank is closed, up to signs, under horizontal and vertical flips, as exact borders demand (see `borders`). All color
    planes (see `color_planes`) have the same filters. The first half of the coefficients of a plane belongs to the
    stored filters, the second half to the mirrored ones.

    Args:
        kernel_size: side of the filters in taps; even.
        planes: number of color planes, 1 or 3.
        pairs: number of mirrored pairs. None takes the whole cosine basis, ``kernel_size^2 / 2`` pairs; a smaller
            number takes the lowest frequencies, half of them even and half odd.
    """

    parities: Tensor
    folded: Tensor | None

    def __init__(self, kernel_size: int, planes: int = 1, pairs: int | None = None) -> None:
        super().__init__()
        if kernel_size < 2 or kernel_size % 2:
            raise ValueError(f"kernel_size must be even and at least 2, got {kernel_size}")
        self.kernel_size = kernel_size
        self.planes = planes
        filters, parities = mirrored_cosines(kernel_size)
        if pairs is not None:
            if not 1 <= pairs <= len(filters):
                raise ValueError(
                    f"{kernel_size}x{kernel_size} filters come in 1 to {len(filters)} pairs, got {pairs}"
                )
            half = torch.arange(kernel_size // 2)
            order = (half[:, None] + half).flatten().argsort(stable=True)
            # Half of them even and half odd, as in the whole basis.
            even, odd = (order[: (pairs + turn) // 2].sort().values for turn in (1, 0))
            kept = torch.cat([even, len(order) + odd])
            filters, parities = filters[kept], parities[kept]
        self.weight = nn.Parameter(filters)
        self.register_buffer("parities", parities[:, None, None], persistent=False)
        self.register_buffer("folded", None, persistent=False)

    @property
    def pairs(self) -> int:
        """Return the number of mirrored pairs of filters."""
        return self.weight.shape[0]

    @property
    def channels(self) -> int:
        """Return the number of coefficients per pixel: those of all planes, mirrored filters included."""
        return self.planes * 2 * self.pairs

    def filters(self) -> Tensor:
        """Return the filters ``(2 pairs, 1, k, k)``, whose analysis operator has a norm of at most 1 at any size."""
        if self.folded is not None:
            return self.folded
        turned = (self.weight + self.parities * self.weight.flip(-1, -2)) / 2
        centered = turned - turned.mean(dim=(-1, -2), keepdim=True)
        bank = torch.cat([centered, centered.flip(-1)])
        bound = fourier_norm_bound(bank).clamp_min(torch.finfo(bank.dtype).tiny)
        return (bank / bound)[:, None]

    def fold(self) -> None:
        """Make the filters constant, so that exporters fold them; later changes of the weights have no effect."""
        self.folded = self.filters().detach()

    def take_over(self, filters: Tensor) -> None:
        """Start from filters ``(pairs, k, k)``, surrounded by zeros where these are larger.

        The filters may have any norm and mean, as stored weights do.

        Raises:
            ValueError: their number differs, or they are larger.
        """
        wider = self.kernel_size - filters.shape[-1]
        if len(filters) != self.pairs or wider < 0:
            raise ValueError(
                f"{len(filters)} pairs of {filters.shape[-1]}x{filters.shape[-1]} filters do not fit "
                f"{self.pairs} of {self.kernel_size}x{self.kernel_size}"
            )
        with torch.no_grad():
            if wider:
                # `filters` subtracts the mean: without doing so first, the surrounding zeros would not stay zeros.
                filters = filters - filters.mean(dim=(-1, -2), keepdim=True)
            self.weight.copy_(F.pad(filters, (wider // 2,) * 4))

    def analyze(self, x: Tensor, filters: Tensor) -> Tensor:
        """Apply ``W`` where filters fit inside: ``(B, planes, H, W)`` to ``(B, channels, H - k + 1, W - k + 1)``."""
        # Planes become images of the batch: grouped convolutions would be slower.
        z = F.conv2d(to_planes(x).flatten(0, 1)[:, None], filters)
        return z.view(x.shape[0], -1, *z.shape[2:])

    def synthesize(self, z: Tensor, filters: Tensor) -> Tensor:
        """Apply ``W^T`` where all coefficients are known.

        Args:
            z: coefficients, ``(B, channels, h, w)``.
            filters: the result of `filters`.

        Returns:
            ``(B, planes, h - k + 1, w - k + 1)``.
        """
        # A convolution sums over channels and rows; the k columns are then shifted and added. On a CPU this is four
        # times as fast as one convolution onto a single channel.
        turned = filters.flip(-2).squeeze(1).permute(2, 0, 1)[..., None]
        columns = F.conv2d(z.reshape(-1, filters.shape[0], *z.shape[2:]), turned)
        k = filters.shape[-1]
        width = z.shape[-1] - k + 1
        x = columns[:, :1, :, k - 1 : k - 1 + width]
        for j in range(1, k):
            x = x + columns[:, j : j + 1, :, k - 1 - j : k - 1 - j + width]
        return from_planes(x.reshape(z.shape[0], self.planes, *x.shape[2:]))
