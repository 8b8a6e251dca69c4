"""``gradprox kernel``: write a blur kernel as an image or as numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gradprox.cli import options
from gradprox.cli.groups import Report
from gradprox.cli.kernel_search import check_kernel_name, write_kernel
from gradprox.cli.paths import check_absent

if TYPE_CHECKING:
    from torch import Tensor


def kernel(
    description: Annotated[str, typer.Argument(help=options.KERNELS, show_default=False)],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="A .png or .tif image (16 bits; the largest value is white), or a .npy or .npz array.",
            show_default=False,
        ),
    ],
    overwrite: options.Overwrite = False,
    *,
    report: Report,
) -> None:
    """Write a blur kernel to a file, as an image or as an array.

    The kernel is padded to odd sides, and its sum is 1. `gradprox deblur --kernel` reads all of these files.

    Examples:
      gradprox kernel motion:15:45 -o k.png
      gradprox kernel measured.mat:psf -o k.npy
    """
    check_kernel_name(output)
    check_absent(output, overwrite)

    from gradprox.physics import read_kernel

    given = read_kernel(description)
    odd = odd_sides(given)
    write_kernel(output, odd)
    figures = {"output": str(output), **_figures(odd)}
    height, width = odd.shape[-2:]
    padded = "" if odd.shape == given.shape else ", padded to odd sides"
    down, across = figures["center"]
    report.print(
        f"{description} -> {output}  {height}x{width}{padded}, center of mass {down:+.2f} down, "
        f"{across:+.2f} right, standard deviations {figures['spread'][0]:.2f} and "
        f"{figures['spread'][1]:.2f} pixels",
        markup=False,
    )
    report.write(figures)


def odd_sides(kernel: Tensor) -> Tensor:
    """Return a kernel ``(1, 1, h, w)`` with zeros after even sides: the same blur, centered on a pixel.

    An even side ``h`` is centered at ``h // 2``, which is the middle of ``h + 1``.
    """
    import torch

    height, width = kernel.shape[-2:]
    return torch.nn.functional.pad(kernel, (0, 1 - width % 2, 0, 1 - height % 2))


def _figures(kernel: Tensor) -> dict[str, list[float]]:
    """Return size, center of mass and standard deviations, vertically and horizontally from the middle."""
    import torch

    density = kernel[0, 0].double()
    centers, spreads = [], []
    for axis, side in enumerate(density.shape):
        weights = density.sum(dim=1 - axis)
        offsets = torch.arange(side, dtype=torch.float64) - side // 2
        center = float(weights @ offsets)
        centers.append(center)
        spreads.append(float((weights @ (offsets - center).square()).sqrt()))
    return {"size": list(density.shape), "center": centers, "spread": spreads}
