"""The noise level of an image: given by ``--noise``, or estimated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradprox.cli.jobs import Record
from gradprox.errors import InputError

if TYPE_CHECKING:
    from gradprox.images import ImageData

UNKNOWN_LOSSES = (
    "the file was compressed with losses of unknown size, so the estimate of its noise may be far too low: give "
    "--noise if the result shows artifacts"
)


def level_of(image: ImageData, given: float | None, *, linear_light: bool = False) -> tuple[float, Record]:
    """Return the noise level of an image, and the figures and warnings to report.

    Args:
        image: from a file.
        given: the level of ``--noise``; None to estimate it.
        linear_light: whether the level is that of linear light.

    Raises:
        InputError: the image is too small for an estimate.
    """
    from gradprox.images.noise_estimation import compression_error, estimate_image_noise

    if given is not None:
        error = compression_error(image, linear_light=linear_light)
        return given, {"warnings": [too_low(given, error)]} if given < error / 2 else {}
    try:
        estimate = estimate_image_noise(image, linear_light=linear_light)
    except InputError as error:
        raise InputError(f"{error} by --noise") from error
    record: Record = {"estimated_noise": estimate.level}
    if estimate.compression:
        record["compression_error"] = estimate.compression
    elif image.metadata.encoding.lossy:
        record["warnings"] = [UNKNOWN_LOSSES]
    return estimate.level, record


def too_low(noise: float, error: float) -> str:
    """Return the warning that JPEG compression changed an image by more than the given noise."""
    return (
        f"--noise {255 * noise:.2f}/255 is below the error of JPEG compression, about {255 * error:.2f}/255: the "
        "result may show its blocks; leave --noise out to estimate both"
    )
