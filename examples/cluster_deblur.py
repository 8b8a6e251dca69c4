"""Deblur a folder of photos on a Ray cluster, or with two processes on this machine: pip install "gradprox[ray]".

python cluster_deblur.py photos motion:15:45 sharp --workers 2

All machines of the cluster must see both folders. Outputs appear whole or not at all, and Ray gives the photo of a lost
worker to another one; so no photo is lost, and a second run processes only what is missing.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import gradprox
from gradprox.images import images_in, read_image, write_image
from gradprox.images.noise_estimation import estimate_image_noise
from gradprox.physics import read_kernel
from gradprox.solvers.deblurring import deblur_images
from gradprox.solvers.presets import Task, preset


class Deblurrer:
    """A process of the cluster: it loads the models once, then deblurs photo by photo."""

    def __init__(self, kernel: str) -> None:
        self.kernel = read_kernel(kernel)
        self.priors = {1: gradprox.load_model("gray-deep"), 3: gradprox.load_model("color-deep")}

    def __call__(self, row: dict[str, Any]) -> dict[str, str]:
        """Deblur the photo ``source`` into the file ``target``; return the name and the outcome."""
        name = Path(row["source"]).name
        try:
            photo = read_image(row["source"])
            prior = self.priors[photo.pixels.shape[1]]
            solver = preset(Task.DEBLUR, estimate_image_noise(photo).level)
            sharp, result = deblur_images(photo.pixels, self.kernel, prior, solver)
            write_image(row["target"], photo.with_pixels(sharp))
        except (gradprox.InputError, OSError) as error:
            return {"name": name, "outcome": f"error: {error}"}
        return {"name": name, "outcome": result.status[0].value}


def main() -> None:
    """Deblur the photos that have no output yet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument("kernel")
    parser.add_argument("output", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()

    photos = images_in(arguments.photos.resolve())
    targets = [arguments.output.resolve() / photo.name for photo in photos]
    rows = [
        {"source": str(photo), "target": str(target)}
        for photo, target in zip(photos, targets, strict=True)
        if not target.exists()
    ]
    if not rows:
        return
    import ray.data

    # One photo per block: a worker is given one photo at a time, and a lost one again.
    files = ray.data.from_items(rows, override_num_blocks=len(rows))
    worker: Any = Deblurrer  # a class is created once per process, then its object is called for each row
    done = files.map(worker, fn_constructor_args=(arguments.kernel,), concurrency=arguments.workers)
    outcomes = done.take_all()
    for row in outcomes:
        print(row["name"], row["outcome"])
    raise SystemExit(any(row["outcome"].startswith("error") for row in outcomes))


if __name__ == "__main__":
    main()
