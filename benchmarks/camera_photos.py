"""Deblurring of photos that look like those of a camera: in linear light, as stored, and as `deblur` chooses.

    python benchmarks/camera_photos.py --data BSDS400 --step 40 --json camera.json

Each case takes the middle of an image, at most ``--crop`` pixels per side after the blur. Its sRGB values become light,
which is blurred beyond the frame by one of `BLURS`, in turn, and gets noise with gain and read noise. It is stored as a
JPEG file of quality 90 with halved chroma, in color, with an exposure time in its Exif data. With ``--contrast`` the
camera also applies a curve of more contrast, which gradprox does not know.

The command line restores each file without a kernel, with the true one, and with a wrong one (35 % larger, or turned by
30 degrees). The gain is the PSNR of the restored file less that of the JPEG file, against the sharp photo as the camera
would store it; 0 dB for a photo that is left out.

An interrupted run continues if its JSON file exists.
"""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import torch
import typer
from deepinv.loss.metric import PSNR
from PIL import ExifTags, Image
from torch import Tensor

from gradprox.cli.app import app
from gradprox.errors import InputError
from gradprox.files import write_json
from gradprox.images import images_in, read_color
from gradprox.images.srgb import to_display, to_linear_light
from gradprox.physics import blur_of_images, gaussian_noise, poisson_noise, read_kernel

# The true blur of a case, and a wrong one; None for a sharp photo.
BLURS = (
    ("motion:9:30", "motion:9:60"),
    ("disk:2", "disk:2.7"),
    ("motion:15:80", "motion:15:110"),
    None,
    ("disk:3", "disk:4.05"),
    ("motion:7:120", "motion:7:150"),
    ("motion:12:160", "motion:12:10"),
    None,
    ("disk:4", "disk:5.4"),
    ("motion:10:45", "motion:10:75"),
)
# Of light, where white is 1.
GAIN, READ = 2e-4, 1e-3
QUALITY, EXPOSURE = 90, 1 / 15
MODES = {"automatic": (), "light": ("--linear-light",), "stored": ("--no-linear-light",)}
KERNELS = ("estimated", "true", "wrong")
LEFT_OUT, WARNED = "left out", "warned"


def photographed(light: Tensor, contrast: float) -> Tensor:
    """Return the values that a camera stores: sRGB, mixed with a smooth step if there is ``contrast``, in [0, 1]."""
    shown = to_display(light).clamp(0, 1)
    return (1 - contrast) * shown + contrast * shown.square() * (3 - 2 * shown)


def take_photo(path: Path, blur: str | None, crop: int, contrast: float, seed: int, target: Path) -> Tensor:
    """Write the JPEG file of a case; return the sharp photo in its frame, ``(1, 3, H, W)``."""
    kernel = read_kernel(blur) if blur else torch.ones(1, 1, 1, 1)
    whole = read_color(path)
    height, width = (
        min(length, crop + side - 1) for length, side in zip(whole.shape[-2:], kernel.shape[-2:], strict=True)
    )
    top, left = (whole.shape[-2] - height) // 2, (whole.shape[-1] - width) // 2
    light = to_linear_light(whole[..., top : top + height, left : left + width])
    physics = blur_of_images("valid", kernel, (height, width), 3)
    generator = torch.Generator().manual_seed(seed)
    seen = poisson_noise(physics.A(light), GAIN, generator)
    seen = seen + gaussian_noise(seen, READ, generator)
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[int(ExifTags.Base.ExposureTime)] = EXPOSURE
    stored = (255 * photographed(seen, contrast)[0]).round().byte().numpy()
    Image.fromarray(np.moveaxis(stored, 0, -1)).save(target, quality=QUALITY, exif=exif)
    return photographed(physics.visible(light), contrast)


def restored(photo: Path, sharp: Tensor, options: tuple[str, ...]) -> dict[str, Any]:
    """Restore a file by the command line, and return the figures."""
    target, report = photo.with_name("restored.png"), photo.with_name("report.json")
    words = ["deblur", str(photo), "-o", str(target), "--json", str(report), "--overwrite", "--quiet"]
    app([*words, *options], standalone_mode=False)
    (found,) = json.loads(report.read_text(encoding="utf-8"))["images"]
    if "error" in found:
        return {LEFT_OUT: found["error"]}
    gain = float(PSNR()(read_color(target), sharp)) - float(PSNR()(read_color(photo), sharp))
    kept = ("linear_light", "estimated_noise", "estimated_kernel", "wrong_kernel_score", "seconds")
    figures = {"gain": gain} | {name: found[name] for name in kept if name in found}
    return figures | {WARNED: any("does not fit" in warning for warning in found.get("warnings", ()))}


def summary(cases: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the mean and the least gain, and the numbers of photos left out and warned of, by kernel and mode."""
    figures: dict[str, Any] = {}
    for kernel, blurred in (*product(KERNELS, (True,)), ("estimated", False)):
        for mode in MODES:
            name = f"{kernel} kernel, {mode}" if blurred else f"sharp photos, {mode}"
            chosen = [case for case in cases if (case["blur"] is not None) is blurred]
            rows = [
                case["results"][f"{kernel}, {mode}"]
                for case in chosen
                if f"{kernel}, {mode}" in case["results"]
            ]
            gains = [row.get("gain", 0.0) for row in rows]
            if rows:
                figures[name] = {
                    "photos": len(rows),
                    LEFT_OUT: sum(LEFT_OUT in row for row in rows),
                    WARNED: sum(row.get(WARNED, False) for row in rows),
                    "mean gain": fmean(gains),
                    "least gain": min(gains),
                }
    return figures


def main(
    data: Annotated[Path, typer.Option(help="Folder of images.")],
    report: Annotated[Path, typer.Option("--json", help="Write the figures to this file; continue from it.")],
    step: Annotated[int, typer.Option(help="Take every n-th image of the folder.")] = 1,
    first: Annotated[int, typer.Option(help="Leave out as many images of the folder.")] = 0,
    cases: Annotated[int, typer.Option(help="Number of cases.")] = 10,
    crop: Annotated[int, typer.Option(help="Largest side of a photo in pixels.")] = 192,
    contrast: Annotated[float, typer.Option(help="Share of the curve of more contrast, from 0 to 1.")] = 0.0,
    kernels: Annotated[list[str] | None, typer.Option("--kernel", help="estimated, true or wrong.")] = None,
    modes: Annotated[list[str] | None, typer.Option("--mode", help="automatic, light or stored.")] = None,
    model: Annotated[
        str | None, typer.Option(help="The model; that of the command line if not given.")
    ] = None,
) -> None:
    """Restore the missing photos, and print the summary."""
    settings = {"step": step, "first": first, "crop": crop, "contrast": contrast, "model": model}
    figures: dict[str, Any] = {"settings": settings, "summary": {}, "cases": []}
    if report.exists():
        figures = json.loads(report.read_text(encoding="utf-8"))
        if figures["settings"] != settings:
            raise InputError(f"{report}: was measured with {figures['settings']}: name another file")
    paths, known = images_in(data)[first::step], figures["cases"]
    for number in range(cases):
        path, blurs = paths[number % len(paths)], BLURS[number % len(BLURS)]
        if number == len(known):
            known.append({"image": path.name, "blur": blurs and blurs[0], "results": {}})
        results = known[number]["results"]
        given = {"estimated": ()} | (
            {"true": ("--kernel", blurs[0]), "wrong": ("--kernel", blurs[1])} if blurs else {}
        )
        with TemporaryDirectory() as folder:
            photo = Path(folder) / "photo.jpg"
            sharp = take_photo(path, blurs and blurs[0], crop, contrast, number, photo)
            for kernel, mode in product(kernels or KERNELS, modes or MODES):
                if kernel in given and f"{kernel}, {mode}" not in results:
                    options = (*given[kernel], *MODES[mode], *(("--model", model) if model else ()))
                    results[f"{kernel}, {mode}"] = restored(photo, sharp, options)
        figures["summary"] = summary(known)
        write_json(report, figures)
        typer.echo(json.dumps(known[number]))
    typer.echo(json.dumps(figures["summary"], indent=1))


if __name__ == "__main__":
    typer.run(main)
