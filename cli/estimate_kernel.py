"""``gradprox estimate-kernel``: find the blur kernel of a photo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gradprox.cli import option_values, options
from gradprox.cli.groups import Batch
from gradprox.cli.jobs import Record, Work, in_words, run_batch
from gradprox.cli.kernel_search import (
    FAMILIES,
    KernelSearch,
    check_kernel_name,
    checked_search,
    write_kernel,
)
from gradprox.cli.linear_light import light_of
from gradprox.cli.meter import Watch
from gradprox.cli.model_choice import use_threads
from gradprox.cli.noise_levels import level_of
from gradprox.cli.paths import check_absent, planned_beside, readable_suffixes

if TYPE_CHECKING:
    from gradprox.images import ImageData, Stack

UNCERTAIN = (
    "no blur kernel explains the photo clearly (confidence {:.2f}): it may be sharp, lack texture, or be blurred "
    "differently from place to place"
)


@dataclass(frozen=True, kw_only=True)
class KernelEstimation:
    """A job (`gradprox.cli.jobs.Job`) that writes the kernel of each photo.

    Attributes:
        search: which kernels are considered.
        noise: standard deviation of the noise; estimated from each photo if None.
        linear_light: whether to convert sRGB values to light first, because light was blurred; None for photos of a
            camera (`gradprox.cli.linear_light`).
        previews: where to draw the kernel of each photo, by photo; empty for nowhere.
        replace_previews: whether these may exist already.
    """

    search: KernelSearch
    noise: float | None = None
    linear_light: bool | None = None
    previews: Mapping[Path, Path] = field(default_factory=dict)
    replace_previews: bool = False

    @property
    def steps(self) -> int:
        """The work is one step."""
        return 1

    @property
    def costs(self) -> None:
        """One step needs no relative cost."""

    def describe(self) -> dict[str, Any]:
        """Return the task and its settings, for a report."""
        settings = {"family": self.search.family, "size": self.search.size, "noise": self.noise}
        return {"task": "estimate-kernel", "settings": settings | {"linear_light": self.linear_light}}

    def open(self, threads: int | None = None) -> Work:
        """Return the function that works on one photo."""
        from gradprox.blind import LEAST_CONFIDENCE
        from gradprox.images import check_scale, open_stack
        from gradprox.images.srgb import to_linear_light

        use_threads(threads)

        def work(source: Path, target: Path, show: Watch) -> Record:
            preview = self.previews.get(source)
            if preview is not None:
                check_absent(preview, self.replace_previews)
            stack = open_stack(source)
            number, image = most_textured(stack)
            check_scale(image.pixels, source)
            light, choice = light_of(image, self.linear_light, noise_given=self.noise is not None)
            pixels = to_linear_light(image.pixels) if light else image.pixels
            level, record = level_of(image, self.noise, linear_light=light)
            found, figures = self.search.estimate(pixels, level, show.finished)
            if found.confidence < LEAST_CONFIDENCE:
                record["warnings"] = [*record.get("warnings", ()), UNCERTAIN.format(found.confidence)]
            write_kernel(target, found.kernel)
            if preview is not None:
                write_kernel(preview, found.kernel)
                record["preview"] = str(preview)
            note = in_words(figures)
            if stack.count > 1:
                record["image"] = number
                note += f", from image {number} of {stack.count}, which has the most texture"
            return record | choice | figures | {"note": note}

        return work


def most_textured(stack: Stack) -> tuple[int, ImageData]:
    """Return the image of a stack whose neighboring pixels differ most, and its number, from 1."""
    import numpy as np

    def texture(image: ImageData) -> float:
        gray = image.gray_array()[0, 0]
        return float(np.square(np.diff(gray, axis=0)).mean() + np.square(np.diff(gray, axis=1)).mean())

    if stack.count == 1:
        return 1, next(stack.images())
    return max(enumerate(stack.images(), start=1), key=lambda numbered: texture(numbered[1]))


def estimate_kernel(
    photos: options.Images,
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="The .npy, .npz, .png or .tif file to write, or a folder for several photos.",
            show_default=False,
        ),
    ],
    family: Annotated[
        str,
        typer.Option(
            autocompletion=options.completed(FAMILIES),
            metavar="NAME",
            help="disk (out of focus), gaussian (soft), motion (straight, of constant speed), free (any shape, for "
            "camera shake), or auto: the one that explains the photo best.",
        ),
    ] = "auto",
    size: Annotated[
        int | None,
        typer.Option(
            metavar="PIXELS",
            help="Largest side of the kernel, odd, at most 63.",
            show_default="found from the photo",
        ),
    ] = None,
    noise: options.EstimatedNoise = None,
    linear_light: options.LinearLight = None,
    preview: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="Also draw the kernel: an image file, or a folder for several photos. The largest value is white.",
            show_default=False,
        ),
    ] = None,
    *,
    batch: Batch,
) -> None:
    """Estimate the blur kernel of photos, from the photos alone.

    The blur must be the same in the whole photo. Of a stack, the image with the most texture is used. The confidence
    says whether the kernel can be trusted; a warning follows if it cannot. `gradprox deblur` without --kernel does this
    and restores the photo.

    Examples:
      gradprox estimate-kernel photo.jpg -o kernel.npy --preview kernel.png
      gradprox estimate-kernel photo.jpg --family motion -o kernel.png
    """
    search = checked_search("--family" if size is None else "--size", family, size)
    if Path(output).suffix and not option_values.is_folder_name(output):
        check_kernel_name(Path(output))
    same = f"{preview}: the kernel and its --preview need different names"
    previews = planned_beside(photos, output, preview, same, suffix=".png", output_suffix=".npy")
    job = KernelEstimation(
        search=search,
        noise=option_values.parse_given_level(noise),
        linear_light=linear_light,
        previews=previews,
        replace_previews=batch.overwrite or batch.resume,
    )
    run_batch(job, photos, output, batch, read=readable_suffixes(), write=".npy")
