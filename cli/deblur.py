"""``gradprox deblur``: undo a known blur."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradprox.cli import options
from gradprox.cli.batch import plan_outputs, restore_files

if TYPE_CHECKING:
    from gradprox.images import Picture
    from gradprox.solvers import Callback, Result


def deblur(
    images: options.Images,
    kernel: options.Kernel,
    output: options.Output,
    noise: options.Noise = "0.01",
    boundary: options.Boundary = "valid",
    solver: options.Solver = None,
    strength: options.Strength = 1.0,
    steps: options.Steps = None,
    tol: options.Tol = None,
    model: options.Model = "gray",
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
    json: options.Json = None,
) -> None:
    """Undo a known blur.

    Examples: gradprox deblur photo.jpg --kernel gaussian:1.6 --noise 0.01 -o sharp.png;
    gradprox deblur shots/*.png --kernel motion:15:45 -o restored
    """
    level = options.parse_level(noise)
    pairs = plan_outputs(images, output, overwrite)

    from gradprox.problems import read_kernel
    from gradprox.solvers.deblurring import deblur_pictures
    from gradprox.solvers.presets import Task, preset

    algorithm = preset(Task.DEBLUR, level, solver=solver, strength=strength, max_steps=steps, tol=tol)
    blur = read_kernel(kernel)
    prior, place = options.open_model(model, device)

    def restore(picture: Picture, show: Callback) -> tuple[Picture, Result]:
        restored, result = deblur_pictures(
            picture.pixels.to(place), blur.to(place), prior, algorithm, boundary=boundary, callback=show
        )
        return picture.with_pixels(restored.cpu()), result

    restore_files(pairs, restore, algorithm.max_steps, quiet=quiet, report=json)
