"""A network in tiles, inside a graph: a ``Loop`` over the tiles of all images, with the result of a whole pass.

`Cut` extends the images by the border rule of the network, and says where the tiles lie. The network computes one tile
with its halo in each turn of the loop. `Join` puts the tiles together. So the memory no longer grows with the number of
feature maps, and the maps of a tile stay in the cache.

All tiles of an image have the same size, at most `SIDE` pixels a side. In the last ones, positions beyond the image do
not count.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from onnx import NodeProto, TensorProto, helper
from torch import Tensor, nn
from torch.export import Dim
from torch.nn import functional as F

from gradprox.batch import image_sum
from gradprox.export.graph.loop import loop_around, split
from gradprox.export.graph.tracing import Example, Piece
from gradprox.networks import IdentityPath
from gradprox.networks.borders import mirrored_indices

# Largest side of a tile in pixels, without its halo. For a megapixel in gray, 128 takes 1.3 times as long; 512 takes
# 1.1 times as long and twice the memory; the whole image at once takes 1.2 times as long and eleven times the memory.
SIDE = 256


class Cut(nn.Module):
    """The part before the loop.

    Args:
        network: the network.
        side: largest side of a tile in pixels.
    """

    def __init__(self, network: IdentityPath, side: int) -> None:
        super().__init__()
        self.channels, self.radius, self.side = network.channels, network.radius, side

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the extended images, the inside of tiles, and the number of tiles of all images, a scalar.

        The images ``(B, C, H, W)`` become ``(N, c, ...)``, where the network restores ``c`` channels together. The
        inside of tiles is 1 for the lines of each tile that are in the image, and 0 for others: one table of rows,
        ``(tiles down, height of a tile)``, and one of columns.
        """
        planes = images.reshape(-1, self.channels, images.shape[-2], images.shape[-1])
        inside = []
        for dim in (-2, -1):
            length = images.shape[dim]
            count = (length + self.side - 1) // self.side
            size = (length + count - 1) // count
            lines = torch.arange(count * size)
            inside.append((lines < torch.full((), length)).to(images.dtype).reshape(count, size))
            beyond = count * size - length
            sources = mirrored_indices(length, self.radius, beyond + self.radius)
            planes = planes.index_select(dim, sources)
        total = torch.full((), planes.shape[0] * inside[0].shape[0] * inside[1].shape[0], dtype=torch.long)
        return planes, *inside, total


class Place(nn.Module):
    """The place of one tile.

    Args:
        network: the network.
    """

    def __init__(self, network: IdentityPath) -> None:
        super().__init__()
        self.radius = network.radius

    def forward(self, number: Tensor, rows: Tensor, columns: Tensor) -> tuple[Tensor, ...]:
        """Return where the tile ``number`` begins and ends, with its halo, and how much its filters count.

        The first two are ``(image, row, column)``. The weights are those of rows and of columns of filters: each pixel
        of the image counts half for the filter before it and half for the one after it, so the sums of all tiles add
        up to that of the whole image (`gradprox.networks.borders.period_weights`).
        """
        down, across = (torch.full((), table.shape[0], dtype=torch.long) for table in (rows, columns))
        height, width = (torch.full((), table.shape[1], dtype=torch.long) for table in (rows, columns))
        image, row, column = number // (down * across), number // across % down, number % across
        first = torch.stack((image, row * height, column * width))
        last = torch.stack(
            (image + 1, (row + 1) * height + 2 * self.radius, (column + 1) * width + 2 * self.radius)
        )
        weights = []
        for table, place in ((rows, row), (columns, column)):
            inside = table.index_select(0, place.reshape(1))[0]
            weights.append((F.pad(inside, (0, 1)) + F.pad(inside, (1, 0))) / 2)
        return first, last, *weights


class Compute(nn.Module):
    """The network at one tile.

    Args:
        network: the network, in its `export_form`.
    """

    def __init__(self, network: IdentityPath) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, patch: Tensor, sigma: Tensor, row_weights: Tensor, column_weights: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the restored tile ``(1, c, h, w)`` and its share of the energy, ``(1,)``, for a tile with its halo."""
        network = self.network
        terms, out = network.inside_with_terms(patch, sigma, network.bank.filters())
        # The filters between and around the pixels inside; others only touch them.
        first = network.config.kernel_size // 2 - 1
        terms = terms.narrow(-2, first, row_weights.shape[0]).narrow(-1, first, column_weights.shape[0])
        return out, image_sum(terms * row_weights[:, None] * column_weights)


class Join(nn.Module):
    """The part after the loop.

    Args:
        network: the network.
    """

    def __init__(self, network: IdentityPath) -> None:
        super().__init__()
        self.channels = network.channels

    def forward(
        self, images: Tensor, rows: Tensor, columns: Tensor, tiles: Tensor, shares: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the restored images and their energies, ``(B,)``, from the results of all tiles.

        The images of the first part give the shape. The tiles are ``(n, 1, c, h, w)`` and the shares ``(n, 1)``.
        """
        (down, height), (across, width) = rows.shape, columns.shape
        batch, _, whole_height, whole_width = images.shape
        grid = tiles.reshape(-1, down, across, self.channels, height, width).permute(0, 3, 1, 4, 2, 5)
        planes = grid.reshape(-1, self.channels, down * height, across * width)
        planes = planes.narrow(-2, 0, whole_height).narrow(-1, 0, whole_width)
        return planes.reshape(images.shape), shares.reshape(batch, -1).sum(dim=1)


class Placing(Protocol):
    """`gradprox.export.graph.parts.Parts.place`."""

    def __call__(self, part: str, scope: str, names: Mapping[str, str]) -> list[NodeProto]: ...  # noqa: D102


def tile_nodes(
    place: Placing, scope: str, images: str, sigma: str, denoised: str, energy: str | None
) -> list[NodeProto]:
    """Return the nodes that compute a network in tiles.

    Args:
        place: returns the nodes of one of the modules of `tile_pieces`.
        scope: prefix of all names inside.
        images: name of the images.
        sigma: name of the noise level.
        denoised: name of the result.
        energy: name of the energies; None if they are not needed.
    """
    loop, plain = f"{scope}/each_tile", "" if energy else "_without_energy"
    inside = [
        *place("place_tile", scope, {"tile_number": f"{loop}/number"}),
        helper.make_node(
            "Slice",
            [*(f"{scope}/{name}" for name in ("extended", "tile_first", "tile_last")), "tile_axes"],
            [f"{scope}/patch"],
            name=f"{scope}/patch",
        ),
        *place(f"compute_tile{plain}", scope, {"sigma": sigma}),
    ]
    # The parameters at a noise level are the same for all tiles.
    before, inside = split(inside, {f"{loop}/number"})
    inside.append(helper.make_node("Identity", ["begin"], [f"{loop}/goes_on"], name=f"{loop}/goes_on"))
    rows, kinds = {f"{scope}/tiles": f"{scope}/tile"}, {f"{scope}/tiles": TensorProto.FLOAT}
    joined = {"images": images, "new_denoised": denoised}
    if energy is not None:
        rows[f"{scope}/shares"] = f"{scope}/share"
        joined["energy"] = energy
    return [
        *place("cut", scope, {"images": images}),
        *before,
        loop_around(
            inside,
            loop,
            steps=f"{scope}/tile_count",
            begin="begin",
            go_on=f"{loop}/goes_on",
            carried=(),
            rows=rows,
            kinds=kinds,
        ),
        *place(f"join{plain}", scope, joined),
    ]


def tile_pieces(network: IdentityPath, side: int = SIDE) -> dict[str, Piece]:
    """Return the modules of a network in tiles of at most ``side`` pixels a side."""
    form = network.export_form()
    tables = ("tile_rows", "tile_columns")
    weights = ("tile_row_weights", "tile_column_weights")
    return {
        "cut": Piece(Cut(form, side), ("images",), ("extended", *tables, "tile_count")),
        "place_tile": Piece(Place(form), ("tile_number", *tables), ("tile_first", "tile_last", *weights)),
        "compute_tile": Piece(Compute(form), ("patch", "sigma", *weights), ("tile", "share")),
        "join": Piece(Join(form), ("images", *tables, "tiles", "shares"), ("new_denoised", "energy")),
    }


def tile_examples(network: IdentityPath, side: int = SIDE) -> dict[str, Example]:
    """Return the inputs of these modules to trace with, apart from the noise level."""
    channels, halo = network.channels, 2 * network.radius
    # Images of two tiles a side, because exporters take a size of 1 for a constant.
    height, width, count = side // 2 + 2, side // 2 + 3, 4 * (3 if channels > 1 else 6)
    any_size, any_table, any_line = {2: Dim.AUTO, 3: Dim.AUTO}, {0: Dim.AUTO, 1: Dim.AUTO}, {0: Dim.AUTO}
    any_images = {0: Dim.AUTO} | any_size | ({1: Dim.AUTO} if channels == 1 else {})
    return {
        "images": Example(torch.zeros(3, max(channels, 2), 2 * height, 2 * width), any_images),
        "tile_rows": Example(torch.ones(2, height), any_table),
        "tile_columns": Example(torch.ones(2, width), any_table),
        "tile_number": Example(torch.tensor(3), {}),
        "tile_row_weights": Example(torch.ones(height + 1), any_line),
        "tile_column_weights": Example(torch.ones(width + 1), any_line),
        "patch": Example(torch.zeros(1, channels, height + halo, width + halo), any_size),
        "tiles": Example(
            torch.zeros(count, 1, channels, height, width), {0: Dim.AUTO, 3: Dim.AUTO, 4: Dim.AUTO}
        ),
        "shares": Example(torch.zeros(count, 1, dtype=torch.float64), any_line),
    }
