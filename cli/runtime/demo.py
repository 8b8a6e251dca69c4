"""``gradprox-runtime demo``: denoising and deblurring of a photo that comes with the package."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gradprox.cli import option_values
from gradprox.cli.groups import Report
from gradprox.cli.runtime.deblur import load_deblurring
from gradprox.cli.runtime.models import model_file
from gradprox.exported_models import default_model

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.table import Table

    Image = NDArray[np.float32]

KERNEL = "motion:9:30"
# The noise of the photo that is denoised, and of the one that is deblurred.
STRONG_NOISE, WEAK_NOISE = 25 / 255, 2.55 / 255
SEED = 0


def demo(
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder for the images.")] = Path(
        "gradprox-demo"
    ),
    *,
    report: Report,
) -> None:
    """Show denoising and deblurring on a sample photo, in some seconds.

    The photo is part of gradprox-runtime, so nothing is downloaded. The command writes the images before and after.

    Example:
      gradprox-runtime demo --out gradprox-demo
    """
    from gradprox.images import EXAMPLE_IMAGE, ImageData, read_image, write_image

    option_values.check_folder("--out", out)
    clean = read_image(EXAMPLE_IMAGE).array
    records = []
    for name, run in (("denoising", _denoising), ("deblurring", _deblurring)):
        began = time.perf_counter()
        sharp, before, after = run(clean)
        seconds = time.perf_counter() - began
        for kind, pixels in (("before", before), ("after", after)):
            write_image(out / f"{name}-{kind}.png", ImageData(pixels))
        psnr = {"psnr_before": _psnr(before, sharp), "psnr_after": _psnr(after, sharp)}
        records.append({"name": name, **psnr, "seconds": seconds})
    report.print(_table(records))
    report.print(f"images: {out}/", markup=False)
    report.write({"cases": records})


def _denoising(clean: Image) -> tuple[Image, Image, Image]:
    """Return the original, the noisy and the restored image."""
    from gradprox.export.runtime import OnnxDenoiser

    noisy = _noisy(clean, STRONG_NOISE)
    denoiser = OnnxDenoiser(model_file(default_model(clean.shape[1]), "denoise"))
    return clean, noisy, denoiser(noisy, STRONG_NOISE)


def _deblurring(clean: Image) -> tuple[Image, Image, Image]:
    """Return the original in the frame of the photo, the blurred and the restored photo."""
    from gradprox.kernels import read_kernel
    from gradprox.kernels.formulas import blurred

    kernel = read_kernel(KERNEL)
    photo = _noisy(blurred(clean, kernel), WEAK_NOISE)
    solver = load_deblurring(model_file(default_model(clean.shape[1]), "deblur"))
    margins = [
        slice(side // 2, side // 2 + length)
        for side, length in zip(kernel.shape, photo.shape[2:], strict=True)
    ]
    return clean[:, :, margins[0], margins[1]], photo, solver(photo, kernel, noise=WEAK_NOISE).x


def _noisy(image: Image, level: float) -> Image:
    import numpy as np

    noise: Image = np.random.default_rng(SEED).standard_normal(image.shape, dtype=np.float32)
    return (image + level * noise).astype(np.float32)


def _psnr(image: Image, clean: Image) -> float:
    import numpy as np

    return float(-10 * np.log10(np.square(image - clean, dtype=np.float64).mean()))


def _table(records: list[dict[str, Any]]) -> Table:
    from rich.table import Table

    table = Table()
    table.add_column("case")
    for heading in ("PSNR before", "PSNR after", "seconds"):
        table.add_column(heading, justify="right", no_wrap=True)
    for record in records:
        decibels = (f"{record[name]:.2f} dB" for name in ("psnr_before", "psnr_after"))
        table.add_row(record["name"], *decibels, f"{record['seconds']:.1f}")
    return table
