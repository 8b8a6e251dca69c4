"""Maps of the uncertainty of restored images: the part that `gradprox deblur`, `denoise` and `recover` share."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from gradprox.cli.frames import Draw
from gradprox.cli.groups import Batch
from gradprox.cli.jobs import Record
from gradprox.cli.model_choice import ModelChoice
from gradprox.cli.paths import check_absent, planned_beside
from gradprox.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from gradprox.images import ImageData
    from gradprox.priors import Uncertainty as PosteriorDeviation

# The deviation that is drawn white, on the scale of images in [0, 1].
WHITE = 0.1
# The work of a map, in steps of a solver: for the bar of the progress.
MAP_STEPS = 200
# The name of the work, beside the bar.
ERROR_MAP = "error map"
# Chains of Langevin sampling, and the steps of burn-in for each sample of a chain.
CHAINS, BURN_IN = 4, 0.25


class FindDeviations(Protocol):
    """Estimates the deviations of a restored image."""

    def __call__(self, *, report: Callable[[float], None]) -> PosteriorDeviation:
        """Return them, and tell ``report`` the finished share."""


Uncertainty = Annotated[
    str | None,
    typer.Option(
        metavar="PATH",
        help="Also write a map of the uncertainty: the posterior standard deviation of each pixel, if the noise level, "
        f"the model and, in deblurring, the kernel are right. In an image, white is a deviation of {WHITE} or more; "
        ".npy holds the deviations. A file, or a folder for several. Takes about 12 times as long as the restoration "
        "with the default model for gray images, and longer with others: 20 seconds for 128x128 pixels.",
        show_default=False,
    ),
]

Samples = Annotated[
    int | None,
    typer.Option(
        min=2,
        metavar="N",
        help=f"Estimate the --uncertainty from N samples of each of {CHAINS} Langevin chains with a Metropolis test, "
        "instead of the curvature at the restored image. Exact for many samples, but not calibrated. A sample takes "
        f"about {CHAINS} passes of the model; 2000 is a start. The report says whether the chains agree.",
        show_default=False,
    ),
]


@dataclass(frozen=True)
class ErrorMaps:
    """The maps of a batch.

    Attributes:
        files: where to write the map of each input, by input; empty for nowhere.
        replace: whether these may exist already.
        samples: number of samples of each Langevin chain; None estimates the deviations from the curvature.
    """

    files: Mapping[Path, Path] = field(default_factory=dict)
    replace: bool = False
    samples: int | None = None

    @classmethod
    def beside(
        cls,
        inputs: Sequence[Path],
        output: str,
        uncertainty: str | None,
        batch: Batch,
        samples: int | None = None,
        *,
        output_suffix: str | None = None,
        read: Sequence[str] | None = None,
    ) -> ErrorMaps:
        """Return the maps that ``--uncertainty`` asks for; see `gradprox.cli.paths.planned_beside`.

        Raises:
            InputError: a map is an output, or there are samples and no maps.
        """
        if samples is not None and uncertainty is None:
            raise InputError("--samples: is for the map of --uncertainty, which is missing")
        same = f"{uncertainty}: the image and its --uncertainty need different names"
        files = planned_beside(
            inputs, output, uncertainty, same, suffix=".png", output_suffix=output_suffix, read=read
        )
        return cls(files, batch.overwrite or batch.resume, samples)

    @property
    def steps(self) -> int:
        """The work of a map, in steps of a solver."""
        if not self.files:
            return 0
        return MAP_STEPS if self.samples is None else CHAINS * (self.burn_in + self.samples)

    @property
    def burn_in(self) -> int:
        """The steps of each chain before its samples."""
        return 1 + math.ceil(BURN_IN * (self.samples or 0))

    def check_model(self, model: ModelChoice) -> None:
        """Refuse a model without derivatives, if there are maps.

        Raises:
            InputError: it has none.
        """
        if self.files and model.provider is not None:
            raise InputError(
                "--uncertainty: it needs derivatives, which ONNX Runtime lacks: leave --provider out"
            )

    def check_target(self, source: Path) -> None:
        """Refuse an existing map that must not be replaced.

        Raises:
            InputError: it exists.
        """
        if source in self.files:
            check_absent(self.files[source], self.replace)

    def drawing(
        self,
        source: Path,
        find: FindDeviations,
        show: Callable[[float], None],
        in_frame: Callable[[Tensor], Tensor] = lambda deviation: deviation,
    ) -> Draw:
        """Return the function that estimates the map of an input.

        Args:
            source: the input.
            find: returns the deviations, ``(1, C, H, W)``.
            show: called with the finished share of the map.
            in_frame: takes the deviations to those of the pixels of the output.
        """

        def draw() -> tuple[ImageData, Record]:
            from gradprox.images import ARRAY_SUFFIXES, ImageData

            began = time.perf_counter()
            found = find(report=show)
            deviation = in_frame(found.deviation).cpu()
            numbers = self.files[source].suffix.lower() in ARRAY_SUFFIXES
            return ImageData(deviation, 32) if numbers else ImageData(deviation / WHITE), {
                "mean_deviation": float(deviation.mean()),
                "mean_deviation_error": float(in_frame(found.error).mean()),
                "uncertainty_seconds": time.perf_counter() - began,
                **figures(found),
            }

        return draw


def figures(found: PosteriorDeviation) -> Record:
    """Return what a report says about an estimate."""
    from gradprox.posterior import LaplaceDeviation, SampledDeviation

    if isinstance(found, LaplaceDeviation):
        return {"uncertainty_probes": found.probes, "least_curvature": float(found.curvature)}
    assert isinstance(found, SampledDeviation)  # noqa: S101  there is no other kind
    return {"acceptance": float(found.acceptance.mean()), "r_hat": found.r_hat}


def shown_deviation(light: Tensor, deviation: Tensor) -> Tensor:
    """Return deviations of linear light as those of sRGB values: half the range that they span there."""
    from gradprox.images.srgb import to_display

    return (to_display(light + deviation) - to_display(light - deviation)) / 2
