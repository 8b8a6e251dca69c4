"""``gradprox deblur``: undo a blur that is known, or estimated from the photo."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from gradprox.cli import option_values, options
from gradprox.cli.error_maps import ErrorMaps, Samples, Uncertainty, shown_deviation
from gradprox.cli.frames import CHANNELS, TOGETHER, Channels, Restored, RestoreImage
from gradprox.cli.groups import Batch
from gradprox.cli.jobs import Record, in_words, run_batch
from gradprox.cli.kernel_search import AUTO, check_kernel_name, parse_search
from gradprox.cli.kernel_search import write_kernel as write_kernel_file
from gradprox.cli.linear_light import light_of
from gradprox.cli.meter import Watch
from gradprox.cli.model_choice import ModelChoice, Priors
from gradprox.cli.paths import check_absent, planned_beside, readable_suffixes
from gradprox.cli.restoration import ImageRestoration
from gradprox.cli.signal_noise import noise_of, parse_noise
from gradprox.cli.tuning import DeblurringTuning
from gradprox.errors import InputError

if TYPE_CHECKING:
    from deepinv.optim import DataFidelity
    from torch import Tensor, nn

    from gradprox.images import ImageData
    from gradprox.physics.boundaries import AnyBlur
    from gradprox.signal_noise import SignalNoise

# The solvers whose data term may have weights and inequalities; None is the default, HQS.
WEIGHTING_SOLVERS = (None, "hqs", "nmapg")
DOES_NOT_FIT = (
    "the kernel does not fit the image: the residual is not noise, or the result rings; try {}another length, radius "
    "or angle, or a larger --noise"
)

NO_KERNEL = (
    "left out, because no blur kernel explains the photo clearly (confidence {:.2f}): it may be sharp, lack texture, "
    "or be blurred differently from place to place; give the --kernel if you know it, or add --force"
)
NOT_EXPLAINED = (
    "left out, because its restoration does not fit the {}: the photo may be sharp, or be blurred "
    "differently from place to place; give the --kernel if you know it, or add --force"
)
# Added to both where the photo was converted to light: an edited photo may be blurred in stored values.
EDITED = ", or --no-linear-light if the photo was edited after it was taken"
# Of 58 shakes, 13 had an error ratio above 2. Of the 53 with high confidence, 2 had one above 3 (docs/figures.md).
SHAKE = (
    "the estimated kernel is a camera shake, and one of five such estimates is inaccurate: look at the result, and "
    "compare it with that of --kernel auto:motion or auto:disk"
)


@dataclass(frozen=True, kw_only=True)
class Deblurring(ImageRestoration):
    """Undo the same blur in each image.

    Attributes:
        kernel: the value of ``--kernel``; ``auto`` estimates the kernel of each image.
        noise: standard deviation of the noise, or its gain and read noise; in light if ``linear_light``. Estimated from
            each image if None.
        boundary: one of `gradprox.physics.BOUNDARIES`.
        linear_light: whether to convert sRGB values to light first, because light was blurred; None for photos of a
            camera (`gradprox.cli.linear_light`).
        refine_kernel: whether to scale and turn the kernel to fit each image.
        clipping: whether white and black pixels may have been clipped.
        force: whether to restore with an estimated kernel of low confidence.
        kernel_files: where to write the estimated kernel of each image, by image; empty for nowhere.
        replace_kernels: whether these may exist already.
    """

    kernel: str
    noise: float | SignalNoise | None = None
    boundary: str = "valid"
    linear_light: bool | None = None
    refine_kernel: bool = False
    clipping: bool = True
    force: bool = False
    kernel_files: Mapping[Path, Path] = field(default_factory=dict)
    replace_kernels: bool = False
    task = "deblur"
    name = "deblur"
    reported = ("kernel", "noise", "boundary", "linear_light", "refine_kernel", "clipping", "channels")

    def single(self) -> Mapping[Path, str]:
        """Return why files with a `kernel_files` must hold one image."""
        reason = "holds several images, each with a kernel of its own: leave --write-kernel out"
        return dict.fromkeys(self.kernel_files, reason)

    def restorer(self, priors: Priors) -> RestoreImage:
        """Read the kernel, and return the function that restores one image."""
        from gradprox.images import check_scale
        from gradprox.images.srgb import to_display, to_linear_light
        from gradprox.physics import read_kernel
        from gradprox.solvers.deblurring import deblur_images

        search = parse_search(self.kernel)
        known = read_kernel(self.kernel).to(priors.device) if search is None else None

        def restore(image: ImageData, source: Path, show: Watch) -> Restored:
            priors.follow(show.piece)
            if source in self.kernel_files:
                check_absent(self.kernel_files[source], self.replace_kernels)
            check_scale(image.pixels, source)  # as stored: light passes the limit sooner
            light, choice = light_of(image, self.linear_light, noise_given=self.noise is not None)
            pixels = to_linear_light(image.pixels) if light else image.pixels
            prior = priors.of(pixels.shape[1])
            noise, record = noise_of(image, self.noise, constant=not self.weighting, linear_light=light)
            if known is not None:
                self.check_size(known, pixels)
            blurred = pixels.to(priors.device)
            level, weights = weighted(blurred, noise, prior)
            given, estimated = (
                (known, {}) if known is not None else self.estimated(source, pixels, level, show, light=light)
            )
            record |= choice
            warnings = [*record.get("warnings", ()), *estimated.get("warnings", ())]
            given, record = given.to(priors.device), record | estimated
            preset = self.preset(level)
            kernel, changes = self.refined(blurred, given, level) if self.refine_kernel else (given, {})
            share = image.clipped_share() if self.clipping and self.weighting else 0.0
            fidelity = data_fidelity(weights, clipped=share > 0)
            restored, result = deblur_images(
                blurred, kernel, prior, preset, boundary=self.boundary, fidelity=fidelity, callback=show
            )
            if light:
                restored = to_display(restored)
            fit = self.kernel_fit(image, kernel, result.x, level, light=light)
            if estimated and fit.get("warnings") and not self.force:
                said = NOT_EXPLAINED.format(in_words(estimated["estimated_kernel"]))
                raise InputError(said + (EDITED if light else ""))
            solved = self.solved(prior, preset, result)
            warnings += fit.get("warnings", ())
            record |= changes | solved | fit | ({"warnings": warnings} if warnings else {})
            record |= {"clipped_pixels": share} if share else {}
            draw = None
            if source in self.maps.files:
                physics = self.blur(kernel, pixels)
                find = self.deviations(blurred, physics, prior, level, result, fidelity)
                in_frame = functools.partial(self.in_frame, physics, result.x, light=light)
                draw = self.maps.drawing(source, find, self.second_part(priors, show), in_frame)
            return Restored(image.with_pixels(restored.cpu()), record, draw)

        return restore

    def check_size(self, kernel: Tensor, photo: Tensor) -> None:
        """Refuse a kernel that does not fit into a photo ``(1, C, H, W)``.

        Raises:
            InputError: it is larger.
        """
        (height, width), (rows, columns) = photo.shape[-2:], kernel.shape[-2:]
        if rows > height or columns > width:
            raise InputError(
                f"--kernel {self.kernel}: spans {columns}x{rows} pixels (width x height), more than the photo, "
                f"{width}x{height}: give lengths in pixels of the photo, or a smaller kernel file"
            )

    @property
    def weighting(self) -> bool:
        """Whether the solver takes data terms with weights and inequalities, beside least squares."""
        return self.tuning.factor is not None and self.tuning.solver in WEIGHTING_SOLVERS

    def blur(self, kernel: Tensor, photo: Tensor) -> AnyBlur:
        """Return the physics of a photo ``(1, C, H, W)``."""
        from gradprox.physics import blur_of_photos

        return blur_of_photos(self.boundary, kernel, (photo.shape[-2], photo.shape[-1]), photo.shape[1])

    def in_frame(self, physics: AnyBlur, x: Tensor, deviation: Tensor, *, light: bool) -> Tensor:
        """Return deviations of the restored image ``x``, perhaps of light, as those of the values that are written."""
        seen = physics.visible(deviation)
        return shown_deviation(physics.visible(x), seen) if light else seen

    def estimated(
        self, source: Path, pixels: Tensor, noise: float, show: Watch, *, light: bool
    ) -> tuple[Tensor, Record]:
        """Return the estimated kernel of an image, perhaps of light, and its figures, for a report.

        Raises:
            InputError: the confidence is low.
        """
        from gradprox.blind import LEAST_CONFIDENCE

        search = parse_search(self.kernel)
        assert search is not None  # noqa: S101  the caller has checked
        found, figures = search.estimate(pixels, noise, functools.partial(show.preparing, "blur kernel"))
        if found.confidence < LEAST_CONFIDENCE and not self.force:
            raise InputError(NO_KERNEL.format(found.confidence) + (EDITED if light else ""))
        if source in self.kernel_files:
            write_kernel_file(self.kernel_files[source], found.kernel)
        warning = {"warnings": [SHAKE]} if found.family == "free" else {}
        return found.kernel, {"estimated_kernel": figures} | warning

    def refined(self, pixels: Tensor, kernel: Tensor, noise: float) -> tuple[Tensor, Record]:
        """Return the kernel that fits an image better, and its changes, for a report."""
        from gradprox.noise_rule import LEAST_NOISE
        from gradprox.physics import refine_kernel

        found = refine_kernel(pixels, kernel, max(noise, LEAST_NOISE))
        return found.kernel, {"kernel_scale": found.scale, "kernel_turn": found.turn}

    def kernel_fit(
        self, image: ImageData, kernel: Tensor, x: Tensor, noise: float, *, light: bool = False
    ) -> Record:
        """Return the test of the kernel by the restored image ``x``, for a report; empty where it does not apply.

        It applies to the regularization of the preset and to white noise of known level. The noise of ``light`` grows
        with the signal, so stored values are compared. Their noise level is estimated, so a given one, that of light,
        is not judged. The error of compression is unknown in formats other than JPEG.
        """
        from gradprox.images.noise_estimation import compression_error, estimate_image_noise
        from gradprox.images.srgb import to_display
        from gradprox.noise_rule import LEAST_NOISE
        from gradprox.physics import LARGEST_FITTING_SCORE, wrong_kernel_score

        compression = compression_error(image)
        unknown = (light and self.noise is not None) or (image.metadata.encoding.lossy and compression == 0)
        if self.tuning.factor != 1 or unknown:
            return {}
        y = image.pixels.to(x)
        if light:
            noise = estimate_image_noise(image).level
        level = max(noise, compression, LEAST_NOISE)
        curve = to_display if light else None
        score = float(wrong_kernel_score(y, x, self.blur(kernel, y), level, curve=curve))
        if math.isnan(score):
            return {}
        record: Record = {"wrong_kernel_score": score}
        if score > LARGEST_FITTING_SCORE:
            advice = "--no-linear-light, " if light else "--linear-light for a camera photo, "
            advice += "" if self.refine_kernel else "--refine-kernel, "
            record["warnings"] = [DOES_NOT_FIT.format(advice)]
        return record


def weighted(pixels: Tensor, noise: float | SignalNoise, prior: nn.Module) -> tuple[float, Tensor | None]:
    """Return the noise level of a photo ``(1, C, H, W)``, and the weights of its pixels; None if all weigh the same."""
    if isinstance(noise, float):
        return noise, None
    import torch

    from gradprox.noise import StabilizedDenoiser, weighted_noise

    with torch.no_grad():
        signal = StabilizedDenoiser(prior, noise.gain, noise.read)(pixels)
    found = weighted_noise(signal, noise)
    return found.level, found.weights


def data_fidelity(weights: Tensor | None, *, clipped: bool) -> DataFidelity | None:
    """Return the data term of a photo; None for least squares."""
    from gradprox.solvers import ClippedL2, WeightedL2

    if clipped:
        return ClippedL2(weights=weights)
    return None if weights is None else WeightedL2(weights)


def deblur(
    images: options.Images,
    output: options.Output,
    kernel: options.KernelOrEstimate = None,
    noise: options.EstimatedSignalNoise = None,
    boundary: options.Boundary = "valid",
    linear_light: options.LinearLight = None,
    refine_kernel: options.RefineKernel = False,
    clipping: options.Clipping = True,
    write_kernel: options.WriteKernel = None,
    force: options.Force = False,
    uncertainty: Uncertainty = None,
    samples: Samples = None,
    channels: Channels = TOGETHER,
    *,
    tuning: DeblurringTuning,
    model: ModelChoice,
    batch: Batch,
) -> None:
    """Deblur photos.

    The kernel is the blurred image of a single point of light (the point spread function). Describe it as gaussian,
    motion or disk, or give a file with a measured kernel. `gradprox kernel` draws the kernel of a description. Without
    --kernel, it is estimated from each photo, and photos without a clear kernel are left out. Photos of a camera are
    restored in linear light, which is what was blurred, unless --noise is given; see --linear-light.

    Examples:
      gradprox deblur photo.jpg -o sharp.png
      gradprox deblur photo.jpg --kernel gaussian:1.6 --noise 0.01 -o sharp.png
      gradprox deblur 'shots/*.png' --kernel motion:15:45 -o restored --resume
      gradprox deblur photo.jpg --kernel disk:2 -o sharp.png --uncertainty uncertain.png
    """
    chosen = AUTO if kernel is None else kernel
    if parse_search(chosen) is None and (write_kernel is not None or force):
        raise InputError(
            f"--kernel {kernel}: --write-kernel and --force are for estimated kernels: use --kernel auto"
        )
    option_values.check_choice("--boundary", boundary, options.BOUNDARIES)
    option_values.check_choice("--channels", channels, CHANNELS)
    if parse_search(chosen) is None:
        option_values.check_kernel(chosen)
    given = parse_noise(noise)
    same = f"{write_kernel}: the image and its --write-kernel need different names"
    files = planned_beside(images, output, write_kernel, same, suffix=".npy")
    for file in files.values():
        check_kernel_name(file)
    job = Deblurring(
        kernel=chosen,
        noise=given,
        boundary=boundary,
        linear_light=linear_light,
        refine_kernel=refine_kernel,
        clipping=clipping,
        force=force,
        kernel_files=files,
        replace_kernels=batch.overwrite or batch.resume,
        maps=ErrorMaps.beside(images, output, uncertainty, batch, samples),
        channels=channels,
        resume=batch.resume,
        tuning=tuning,
        model=model,
    )
    if noise is not None and noise.startswith("gain:") and not job.weighting:
        raise InputError(
            f"--noise {noise}: gain and read noise need --solver hqs or nmapg, and a number as --strength: change "
            "them, or give one noise level"
        )
    run_batch(job, images, output, batch, read=readable_suffixes(), beside=job.maps.files)
