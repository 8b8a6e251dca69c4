r"""Identity-path monotone gradient networks: one pass, ``D(x) = x - W^T psi(W x)``.

Let ``W`` be a filter bank with ``|W| <= 1``, ``z = W x`` its coefficients, and ``psi(z) = z - grad G(z)`` with a convex
function ``G``. Then

    D(x) = (I - W^T W) x + W^T grad G(W x)

is a sum of gradients of convex functions. So ``D`` is symmetric and monotone, for every value of the weights and every
noise level, and hence the proximal operator of some function (Gribonval and Nikolova, J. Math. Imaging Vis. 2020).

``grad G`` shrinks the coefficients. Three shrinkages can be chosen, see `shrinkage`.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from typing import Annotated, Literal

import torch
from pydantic import BaseModel, ConfigDict, Discriminator, Field, model_validator
from torch import Tensor, nn
from torch.func import functional_call

from gradprox.batch import any_true, image_sum
from gradprox.networks.base import GradientNetwork
from gradprox.networks.borders import crop, extend, period_weights
from gradprox.networks.denoisers.conditioning import (
    DEFAULT_LEVELS,
    SIGMA_FLOOR,
    NoiseKnots,
    NoiseLevels,
    check_precision,
)
from gradprox.networks.denoisers.energy_gate import EnergyGatedConfig
from gradprox.networks.denoisers.filters import MirrorFilterBank
from gradprox.networks.denoisers.mixture import MixtureConfig
from gradprox.networks.denoisers.ridge import RidgeConfig
from gradprox.networks.denoisers.shrinkage import Shrinkage
from gradprox.networks.tile_threads import Result, computed
from gradprox.networks.tiling import Piece, Tile, tiles

# Sides of the tiles in which an image is processed, in pixels. On a CPU the feature maps of a small tile stay in the
# cache, which is 2 to 3 times as fast as whole maps, and peak memory no longer grows with the number of maps. What a
# tile shares with its neighbors is computed again for each: a network that looks farther takes the larger tiles. A GPU
# needs larger tiles to be busy: they are 10 times as fast as small ones, and take a quarter of the memory of whole maps
# at a megapixel.
CPU_TILES = (128, 256)
GPU_TILE = 512
# Radius in pixels above which a network takes the larger tiles.
FAR = 20

# An image is faint if the noise level exceeds this multiple of its contrast.
FAINT = 2.0

AnyShrinkageConfig = Annotated[RidgeConfig | EnergyGatedConfig | MixtureConfig, Discriminator("kind")]


def tile_side(device: torch.device, radius: int) -> int:
    """Return the largest side of a tile, in pixels, for a network with this radius."""
    return CPU_TILES[radius > FAR] if device.type == "cpu" else GPU_TILE


class IdentityPathConfig(BaseModel):
    """The architecture of an `IdentityPath` network: everything but its weights.

    Attributes:
        kind: the architecture's name in files.
        channels: channels of the images: 1, gray, or 3, red, green and blue, which are restored together.
        kernel_size: side of the filters in taps, even.
        pairs: number of mirrored pairs of filters; None: all ``kernel_size^2 / 2``.
        shrinkage: how filter coefficients are shrunk, told apart by ``kind``: ``"ridge"`` shrinks each by itself,
            ``"energy-gated"`` by the energy around it, ``"mixture"``, the best denoiser, by the posterior mean under a
            mixture of Gaussians.
        noise_levels: knots between which parameters are interpolated, on the scale of images in ``[0, 1]``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["identity-path"] = "identity-path"
    channels: Literal[1, 3] = 1
    kernel_size: int = Field(default=8, ge=2, le=32, multiple_of=2)
    pairs: int | None = Field(default=None, ge=1, le=512)
    shrinkage: AnyShrinkageConfig = EnergyGatedConfig()
    noise_levels: NoiseLevels = DEFAULT_LEVELS

    @model_validator(mode="after")
    def _enough(self) -> IdentityPathConfig:
        most = self.kernel_size**2 // 2
        if (self.pairs or 0) > most:
            raise ValueError(
                f"pairs must be at most {most} for kernel_size {self.kernel_size}, got {self.pairs}"
            )
        return self

    def build(self) -> IdentityPath:
        """Return a new network."""
        return IdentityPath(self)


class IdentityPath(GradientNetwork):
    """A convolutional mGradNet with identity path, conditional on the noise level.

    Args:
        config: the architecture.

    Attributes:
        whole: whether images are processed whole instead of in tiles, with the same result and more memory.
    """

    monotone = True
    channels: int
    commutes_with_flips = True  # filters come in mirrored pairs that share their parameters

    def __init__(self, config: IdentityPathConfig) -> None:
        super().__init__()
        self.config = config
        self.channels = planes = config.channels
        self.bank = MirrorFilterBank(config.kernel_size, planes, config.pairs)
        # The filters of a tight frame whose squared norms sum to 1 have this norm each.
        noise_gain = 1 / math.sqrt(2 * self.bank.pairs)
        self.shrinkage: Shrinkage = config.shrinkage.build(
            planes * self.bank.pairs, noise_gain, NoiseKnots(config.noise_levels), planes
        )
        self.piece = Piece()
        self.whole = False

    def take_over(self, trained: GradientNetwork) -> None:
        """Start from the weights of a trained network, as far as they fit.

        Args:
            trained: a network of this class with as many pairs of filters, which are not larger, and the same kind of
                shrinkage; it may be one for gray images.

        Raises:
            ValueError: it does not fit.
        """
        if not isinstance(trained, IdentityPath):
            raise ValueError(f"{type(trained).__name__} is not a one-pass network")
        if trained.config.noise_levels != self.config.noise_levels:
            raise ValueError("its noise levels are others")
        self.bank.take_over(trained.bank.weight)
        self.shrinkage.take_over(trained.shrinkage)

    @property
    def radius(self) -> int:
        """Return how many pixels away an input can change an output."""
        return self.config.kernel_size - 1 + self.shrinkage.radius

    def export_form(self) -> IdentityPath:
        """See `GradientNetwork.export_form`."""
        form = copy.deepcopy(self)
        form.bank.fold()
        form.whole = True
        return form

    def float32_boundary(self) -> nn.Module:
        """See `GradientNetwork.float32_boundary`."""
        return self.shrinkage.bounded

    @property
    def noise_range(self) -> tuple[float, float]:
        """See `GradientNetwork.noise_range`."""
        return self.config.noise_levels[0], self.config.noise_levels[-1]

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Return ``D(x)``; see `GradientNetwork.forward`.

        Raises:
            ValueError: ``x`` is neither of float32 nor of float64.
        """
        check_precision(x)
        filters, extended = self.bank.filters(), extend(x, self.radius)
        if self.whole:
            return self.inside(extended, sigma, filters)
        out: Tensor | None = None
        size = (x.shape[-2], x.shape[-1])
        for tile, found in self._tile_by_tile(
            lambda part: self.inside(part, sigma, filters), extended, size, sigma
        ):
            # Made from a result: `x` may be outside a transform of torch.func that noise levels or weights are in.
            out = found.new_empty(x.shape) if out is None else out
            tile.of(out)[...] = self.piece(found, tile.share(size))
        assert out is not None  # noqa: S101  an image has a pixel
        return out

    def _tile_by_tile(
        self, compute: Callable[[Tensor], Result], extended: Tensor, size: tuple[int, int], sigma: Tensor
    ) -> Iterator[tuple[Tile, Result]]:
        """Yield the tiles of an image of ``size``, and what ``compute`` makes of each with its margin."""
        return computed(
            lambda tile: compute(tile.grown(self.radius).of(extended)),
            tiles(size, self.tile_size or tile_side(extended.device, self.radius)),
            (extended, sigma, *self.parameters()),
        )

    def inside(self, extended: Tensor, sigma: Tensor, filters: Tensor) -> Tensor:
        """Return ``D`` without tiles, at the pixels that are `radius` or more from the border of ``extended``.

        Args:
            extended: ``(B, channels, H + 2 radius, W + 2 radius)``.
            sigma: noise levels, ``(1,)`` or ``(B,)``.
            filters: the result of ``bank.filters()``.

        Returns:
            ``(B, channels, H, W)``.
        """
        z = self.bank.analyze(extended, filters)
        kept = self.shrinkage.gradient(z, sigma.clamp_min(SIGMA_FLOOR))
        return crop(extended, self.radius) - self.bank.synthesize(self._interior(z) - kept, filters)

    def potential(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Return ``Phi(x) = |x|^2/2 - |W x|^2/2 + G(W x)`` of each image, ``(B,)``."""
        return image_sum(x * x) / 2 - self.envelope_and_gradient(x, sigma)[0]

    def lipschitz_bound(self) -> float:
        """Return ``max(1, sup Hess G)``: ``J = I - W^T W + W^T Hess G W`` and ``W^T W <= I``."""
        return max(1.0, self.shrinkage.slope_bound())

    def envelope_and_gradient(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``|W x|^2/2 - G(W x)``, ``(B,)``, and ``D(x)``, from one analysis of ``x``.

        The envelope of faint images is computed in double precision, because nearly equal terms cancel in it.

        Raises:
            ValueError: ``x`` is neither of float32 nor of float64.
        """
        check_precision(x)
        if self._are_faint(x, sigma):
            exact, denoised = self._in_double_precision(x, sigma)
            return exact, denoised.to(x.dtype)
        filters, extended = self.bank.filters(), extend(x, self.radius)
        if self.whole:
            return self.inside_with_envelope(extended, sigma, filters)
        envelope = image_sum(torch.zeros_like(x))
        out: Tensor | None = None
        size = (x.shape[-2], x.shape[-1])
        for tile, (share, found) in self._tile_by_tile(
            lambda part: self.inside_with_envelope(part, sigma, filters), extended, size, sigma
        ):
            out = found.new_empty(x.shape) if out is None else out  # as in `forward`
            tile.of(out)[...] = self.piece(found, tile.share(size))
            envelope = envelope + share
        assert out is not None  # noqa: S101  as there
        return envelope, out

    def _are_faint(self, x: Tensor, sigma: Tensor) -> bool:
        """Return whether an image of single precision has a contrast far below the noise level.

        Energies in units of the noise are then so small that the envelope would lose its digits.
        """
        if self.whole or torch.compiler.is_compiling() or x.dtype == torch.float64:
            return False
        if x.device.type == "mps":  # it has no double precision
            return False
        contrast = x.detach().flatten(1).std(dim=1, correction=0)
        return any_true(sigma.detach() > FAINT * contrast)

    def _in_double_precision(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Return `envelope_and_gradient`, computed in double precision with the weights of this network."""
        weights = {f"network.{name}": weight.double() for name, weight in self.named_parameters()}
        found: tuple[Tensor, Tensor] = functional_call(_Envelope(self), weights, (x.double(), sigma.double()))
        return found

    def inside_with_envelope(self, extended: Tensor, sigma: Tensor, filters: Tensor) -> tuple[Tensor, Tensor]:
        """Return the share of the pixels inside in ``|W x|^2/2 - G(W x)``, ``(B,)``, and the result of `inside`."""
        terms, out = self.inside_with_terms(extended, sigma, filters)
        return self._sum_over_period(terms, (out.shape[-2], out.shape[-1])), out

    def inside_with_terms(self, extended: Tensor, sigma: Tensor, filters: Tensor) -> tuple[Tensor, Tensor]:
        """Return the terms of ``|W x|^2/2 - G(W x)`` for each position of the filters, and the result of `inside`.

        The terms ``(B, 1, h, w)`` are those of all filters that touch the pixels inside.
        """
        z = self.bank.analyze(extended, filters)
        kept, density = self.shrinkage.gradient_and_density(z, sigma.clamp_min(SIGMA_FLOOR))
        coefficients = self._interior(z)
        out = crop(extended, self.radius) - self.bank.synthesize(coefficients - kept, filters)
        # Subtracting pixel by pixel avoids the difference of two large sums, which would keep their rounding errors.
        return coefficients.square().sum(dim=1, keepdim=True) / 2 - density, out

    def _interior(self, z: Tensor) -> Tensor:
        """Crop ``z`` to the coefficients of filters that touch the pixels inside."""
        return crop(z, self.shrinkage.radius)

    def _sum_over_period(self, terms: Tensor, size: tuple[int, int]) -> Tensor:
        """Sum terms over the coefficients of a quarter of the mirrored torus (see `borders`).

        Neighboring tiles share the coefficients on their common edge. Each counts them half, so the sums of all tiles
        add up to that of the whole image.
        """
        for dim, length in zip((-2, -1), size, strict=True):
            first, weights = period_weights(length, self.config.kernel_size, terms)
            scale = weights[:, None] if dim == -2 else weights
            terms = terms.narrow(dim, first, weights.shape[0]) * scale
        return image_sum(terms)


class _Envelope(nn.Module):
    """Calls a network's `envelope_and_gradient`, so that other weights can be put in its place."""

    def __init__(self, network: IdentityPath) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        return self.network.envelope_and_gradient(x, sigma)
