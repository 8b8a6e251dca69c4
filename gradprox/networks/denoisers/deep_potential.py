r"""A deep gradient network: one gradient step on an explicit energy, the squared norm of a small U-Net.

    R(x, sigma) = sigma^2 <r, w r> / 2,    r = r(E x / sigma),
    D(x, sigma) = x - grad R(x, sigma) = x - sigma E^T J_r^T w r.

Here ``r`` is a convolutional network and ``J_r`` its Jacobian at ``E x / sigma``. ``E`` extends an image beyond its
borders to whole cells of the network. ``w`` is the share of each feature's pixels that lie in the image. Without this
weight, the energy would count the pixels that ``E`` repeats twice. ``D`` is the gradient of ``|x|^2/2 - R(x)``. Its
Jacobian is therefore symmetric for all weights, at borders too, because the reverse pass (`unet`) is the exact adjoint
of the forward pass. The energy is never negative.

``D`` is *not* monotone by construction: eigenvalues of the Hessian of ``R`` may exceed 1. So ``D`` is not proven to be
a proximal operator, and solvers use its energy with a line search. Gradient-step denoisers are due to
Hurault, Leclaire and Papadakis, "Gradient step denoiser for convergent plug-and-play", ICLR 2022. This network differs
in three ways. The reverse pass is written out, so no automatic differentiation is needed at run time. Images are
divided by the noise level. The first filters have zero mean, so ``D(x + c) = D(x) + c`` for every constant ``c``.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from gradprox.batch import image_sum, per_image
from gradprox.networks.base import GradientNetwork
from gradprox.networks.borders import add_back, mirrored_indices
from gradprox.networks.denoisers.conditioning import DEFAULT_LEVELS, SIGMA_FLOOR, NoiseKnots, NoiseLevels
from gradprox.networks.denoisers.unet import Scale
from gradprox.networks.tiling import Piece, Tile, tiles

# The first layer has filters of 6x6 taps and a stride of 2, so it needs two pixels beyond each border.
TAPS, STRIDE, MARGIN = 6, 2, 2
# The share of a color network's own random filters that a start from gray weights keeps. After 300 steps of training,
# 0.5 gives 0.05 to 0.24 dB more than 0 (noise 25 and 5 of 255).
OWN_HUES = 0.5
# Side of the tiles in pixels. A tile needs a halo of about 120 pixels, so small tiles would repeat most of the work.
TILE = 1024


class DeepPotentialConfig(BaseModel):
    """The architecture of a `DeepPotential` network.

    Attributes:
        kind: the architecture's name in files.
        channels: channels of the images: 1 (gray) or 3 (red, green and blue, restored together).
        widths: number of feature maps at each scale. The first scale has half the resolution of the image, and each
            further scale has half the resolution of the scale before it.
        blocks: number of residual blocks at each scale. Every scale but the coarsest has this number of blocks twice:
            before the coarser scales, and after them.
        noise_levels: knots between which biases are interpolated, on the scale of images in ``[0, 1]``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["deep-potential"] = "deep-potential"
    channels: Literal[1, 3] = 1
    widths: tuple[int, ...] = Field(default=(48, 96), min_length=1, max_length=5)
    blocks: tuple[int, ...] = Field(default=(2, 4), min_length=1, max_length=5)
    noise_levels: NoiseLevels = DEFAULT_LEVELS

    @field_validator("widths", "blocks")
    @classmethod
    def _positive(cls, counts: tuple[int, ...]) -> tuple[int, ...]:
        if not all(1 <= count <= 1024 for count in counts):
            raise ValueError(f"expected numbers from 1 to 1024, got {counts}")
        return counts

    @model_validator(mode="after")
    def _same_scales(self) -> DeepPotentialConfig:
        if len(self.widths) != len(self.blocks):
            raise ValueError(f"widths and blocks differ in length: {self.widths} and {self.blocks}")
        return self

    def build(self) -> DeepPotential:
        """Return a new network."""
        return DeepPotential(self)


class DeepPotential(GradientNetwork):
    """A gradient network with an explicit energy, the squared norm of a U-Net that depends on the noise level.

    Args:
        config: the architecture.
    """

    monotone = False
    tolerates_bfloat16 = True
    channels: int
    # Whether images are processed whole instead of in tiles.
    whole = False

    def __init__(self, config: DeepPotentialConfig) -> None:
        super().__init__()
        self.config = config
        self.channels = config.channels
        self.knots = NoiseKnots(config.noise_levels)
        width = config.widths[0]
        self.filters = nn.Parameter(
            torch.randn(width, config.channels, TAPS, TAPS) / (TAPS * math.sqrt(config.channels))
        )
        self.piece = Piece()
        self.scales = Scale(config.widths, config.blocks, len(self.knots))
        self.last = nn.Parameter(0.5 * torch.randn(width, width, 3, 3) / math.sqrt(9 * width))

    def take_over(self, trained: GradientNetwork) -> None:
        """Copy the weights of a trained network with the same scales.

        A color network repeats gray filters for all colors, and adds a share of the differences between colors that its
        own filters have. They are random in a new network. Without them, no feature would depend on hues at the start,
        and training would find such features slowly.

        Raises:
            ValueError: ``trained`` is of another class, its configuration differs in more than the channels, or it is
                in color and this network is gray.
        """
        if not isinstance(trained, DeepPotential):
            raise ValueError(f"{type(trained).__name__} is not a deep potential")
        if trained.config.model_copy(update={"channels": self.channels}) != self.config:
            raise ValueError(f"its configuration is {trained.config}, not {self.config}")
        if trained.channels not in (1, self.channels):
            raise ValueError("it restores colors, and this network gray images")
        weights = trained.state_dict()
        # All colors share one filter, scaled so that the norm, and so the noise level of the features, stays the same.
        spread = math.sqrt(trained.channels / self.channels)
        weights["filters"] = spread * weights["filters"].expand_as(self.filters)
        if trained.channels < self.channels:
            own = self.filters.detach()
            weights["filters"] = weights["filters"] + OWN_HUES * (own - own.mean(dim=1, keepdim=True))
        self.load_state_dict(weights)

    @property
    def cell(self) -> int:
        """Side in pixels of a cell of the coarsest scale; tiles and extended images consist of whole cells."""
        return STRIDE * 2 ** (len(self.config.widths) - 1)

    @property
    def radius(self) -> int:
        """Receptive radius of ``D`` in pixels: the radius of the forward pass plus that of its adjoint."""
        return 2 * (TAPS // 2 + STRIDE * (self.scales.radius + 1))

    @property
    def noise_range(self) -> tuple[float, float]:
        """See `GradientNetwork.noise_range`."""
        return self.config.noise_levels[0], self.config.noise_levels[-1]

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Return ``D(x)``; see `GradientNetwork.forward`."""
        return self.envelope_and_gradient(x, sigma)[1]

    def potential(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Return ``|x|^2/2 - R(x)`` of each image, ``(B,)``."""
        return image_sum(x * x) / 2 - self.envelope_and_gradient(x, sigma)[0]

    def lipschitz_bound(self) -> float:
        """Return infinity: the curvature of the energy is not bounded by construction."""
        return math.inf

    def export_form(self) -> DeepPotential:
        """See `GradientNetwork.export_form`."""
        form = copy.copy(self)
        form.whole = True
        return form

    def envelope_and_gradient(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Return the energy ``R(x)``, ``(B,)``, and ``D(x)``.

        Large images are cut into tiles. Each tile has a halo of `radius`, so the result is the same as without tiles.
        """
        rows, columns = (self._sources(length, x.device) for length in x.shape[-2:])
        extended = x.index_select(-2, rows).index_select(-1, columns)
        weights = self._shares(x)
        if self.whole:
            energy, gradient = self.inside(extended, sigma, weights)
            return energy, x - self._folded(gradient, rows, columns, x)
        cells = ((rows.numel() - 2 * MARGIN) // self.cell, (columns.numel() - 2 * MARGIN) // self.cell)
        whole = Tile(0, cells[0], 0, cells[1])
        halo = -(-self.radius // self.cell)
        energy, gradient = image_sum(torch.zeros_like(x)), torch.empty_like(extended)
        for tile in tiles(cells, max(1, (self.tile_size or TILE) // self.cell)):
            grown = tile.within(cells, halo)
            share, piece = self.inside(
                self._with_margins(grown, grown).of(extended),
                sigma,
                self._in_features(grown).of(weights),
                self._in_features(tile.relative_to(grown)),
            )
            energy = energy + share
            piece = self.piece(piece, tile.share(cells))
            kept = self._with_margins(tile, whole)
            kept.of(gradient)[...] = kept.relative_to(self._with_margins(grown, grown)).of(piece)
        return energy, x - self._folded(gradient, rows, columns, x)

    def inside(
        self, extended: Tensor, sigma: Tensor, weights: Tensor, counted: Tile | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the energy of extended images and its gradient, computed without tiles.

        Args:
            extended: images ``(B, channels, H + 2 MARGIN, W + 2 MARGIN)`` with a margin of `MARGIN` pixels, where ``H``
                and ``W`` are multiples of `cell`.
            sigma: noise levels, ``(1,)`` or ``(B,)``.
            weights: ``w``, ``(H / STRIDE, W / STRIDE)``.
            counted: the rectangle of features that the energy is summed over; all if not given.

        Returns:
            The energy, ``(B,)`` in double precision, and its gradient in the shape of ``extended``.
        """
        level = sigma.clamp_min(SIGMA_FLOOR)
        knots = self.knots.coordinates(level)
        filters = self.filters - self.filters.mean(dim=(2, 3), keepdim=True)
        unit = per_image(level, extended)
        with _full_precision(extended):
            # The channels-last layout makes convolutions on a CPU twice as fast.
            units = (extended / unit).contiguous(memory_format=torch.channels_last)
            h = F.conv2d(units, filters, stride=STRIDE)
        slopes: list[Tensor] = []
        r = F.conv2d(self.scales(h, knots, slopes), self.last, padding=1)
        weighted = weights.to(r.dtype) * r
        g = self.scales.adjoint(F.conv_transpose2d(weighted, self.last, padding=1), slopes)
        with _full_precision(extended):
            gradient = unit * F.conv_transpose2d(g.to(extended.dtype), filters, stride=STRIDE)
        terms = weighted * r
        energy = image_sum(terms if counted is None else counted.of(terms)) / 2
        return level.to(energy).square() * energy, gradient

    def _sources(self, length: int, device: torch.device) -> Tensor:
        """Return the pixel that each position of a line repeats, after mirroring to whole cells with a margin."""
        beyond = -length % self.cell
        return mirrored_indices(length, MARGIN, beyond + MARGIN, device)

    def _shares(self, x: Tensor) -> Tensor:
        """Return the share of each feature's pixels that lie in the image, ``(H / STRIDE, W / STRIDE)``."""

        def line(length: int) -> Tensor:
            whole = (length + self.cell - 1) // self.cell * self.cell
            first_pixels = STRIDE * torch.arange(whole // STRIDE, device=x.device)
            return (length - first_pixels).clamp(0, STRIDE).to(x.dtype) / STRIDE

        return line(x.shape[-2])[:, None] * line(x.shape[-1])

    def _in_features(self, tile: Tile) -> Tile:
        """Convert a tile from cells to features of the finest scale."""
        return Tile(*(self.cell // STRIDE * edge for edge in tile))

    def _with_margins(self, tile: Tile, outermost: Tile) -> Tile:
        """Convert a tile from cells to pixels of the extended image.

        The result includes the margin on each side where the tile touches the edge of ``outermost``.
        """
        top, bottom, left, right = (self.cell * edge + MARGIN for edge in tile)
        return Tile(
            top - MARGIN * (tile.top == outermost.top),
            bottom + MARGIN * (tile.bottom == outermost.bottom),
            left - MARGIN * (tile.left == outermost.left),
            right + MARGIN * (tile.right == outermost.right),
        )

    @staticmethod
    def _folded(gradient: Tensor, rows: Tensor, columns: Tensor, like: Tensor) -> Tensor:
        """Apply ``E^T``: add the gradient at each repeated pixel to the pixel that it repeats."""
        tall = add_back(gradient, columns, -1, like.shape[-1])
        return add_back(tall, rows, -2, like.shape[-2])


@contextmanager
def _full_precision(x: Tensor) -> Iterator[None]:
    """Disable automatic mixed precision: bfloat16 has too few digits to resolve noise next to an edge."""
    if not torch.is_autocast_enabled(x.device.type):
        yield
        return
    with torch.autocast(x.device.type, enabled=False):
        yield
