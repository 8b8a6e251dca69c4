"""The options that several of these benchmarks share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[Path | None, typer.Option(help="Folder of images; the demo's image if not given.")]
Kernel = Annotated[str, typer.Option(help="The blur kernel, as for gradprox deblur.")]
Model = Annotated[str, typer.Option(help="The prior.")]
Crop = Annotated[int, typer.Option(help="Pixels per side, from the middle.")]
Count = Annotated[int | None, typer.Option(help="Number of images; all if not given.")]
Json = Annotated[Path | None, typer.Option(help="Write the figures to this file.")]
