"""The two-dimensional convex field on the unit square (arXiv 2404.07361, section 6), with error images.

python benchmarks/paper/field_2d.py --json field_2d.json --image field_2d.png
python benchmarks/paper/field_2d.py --literal
"""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path

import torch
from contest import (
    BASELINES,
    CONVEX_BASELINES,
    GENERAL,
    MONOTONE,
    Training,
    compete,
    competition,
    lead,
    write,
)
from torch import Tensor, nn


def convex_field(x: Tensor) -> Tensor:
    """Return the gradient of ``x1^4 + x1^2/2 + x1 x2/2 + 3 x2^2/2 - x2^3/3``."""
    a, b = x.unbind(dim=1)
    return torch.stack([4 * a**3 + a + b / 2, a / 2 + 3 * b - b**2], dim=1)


def literal_field(x: Tensor) -> Tensor:
    """Return the gradient of ``x1^4 + x1^2/2 + x1 x2^2 + 3 x2^2 - x2^3/3``, the second reading of the formula."""
    a, b = x.unbind(dim=1)
    return torch.stack([4 * a**3 + a + b**2, 2 * a * b + 6 * b - b**2], dim=1)


def sample(count: int, generator: torch.Generator) -> Tensor:
    """Draw points uniformly from the unit square."""
    return torch.rand(count, 2, generator=generator)


def draw(path: Path, errors: dict[str, Tensor]) -> None:
    """Write an image of ``log10 |error|`` over the square for each network."""
    from matplotlib import pyplot as plt

    rows = math.ceil(len(errors) / 4)
    figure, axes = plt.subplots(rows, 4, figsize=(12, 3 * rows), layout="constrained")
    for axis, (name, error) in zip(axes.flat, errors.items(), strict=False):
        image = axis.imshow(
            error.log10(), origin="lower", extent=(0, 1, 0, 1), vmin=-6, vmax=-2, cmap="magma"
        )
        axis.set_title(name, fontsize=9)
    for axis in axes.flat[len(errors) :]:
        axis.axis("off")
    figure.colorbar(image, ax=axes, label="log10 of the error's length")
    figure.savefig(path, dpi=100)
    plt.close(figure)


def main() -> None:
    """Run the experiment."""
    parser = competition(__doc__, 300)
    parser.add_argument("--literal", action="store_true", help="the literal reading of the formula")
    parser.add_argument("--image", type=Path)
    options = parser.parse_args()
    field = literal_field if options.literal else convex_field
    line = (torch.arange(100, dtype=torch.float64) + 0.5) / 100
    grid = torch.cartesian_prod(line, line)
    images: dict[str, Tensor] = {}

    def keep_errors(name: str, network: nn.Module, seed: int) -> dict[str, float]:
        with torch.no_grad():
            error = torch.linalg.vector_norm(network(grid) - field(grid), dim=1)
        if seed == 0:
            images[name] = error.view(100, 100).T
        return {"largest_error": float(error.max())}

    settings = Training(lbfgs_steps=options.steps)
    results = compete(
        MONOTONE | GENERAL | CONVEX_BASELINES | BASELINES,
        2,
        field,
        sample,
        settings,
        budget=options.budget,
        seeds=options.seeds,
        only=options.only,
        inspect=keep_errors,
    )
    report = {"field": field.__name__, "training": asdict(settings), "results": results}
    write(options.json, report | lead(results))
    if options.image is not None:
        draw(options.image, images)


if __name__ == "__main__":
    main()
