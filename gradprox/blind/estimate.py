"""The blur kernel of a photo, from the photo alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gradprox.blind.confidence import confidence_of
from gradprox.blind.families import FAMILIES, Member, best_member, no_blur
from gradprox.blind.free_search import best_free_kernel
from gradprox.blind.photo_spectrum import BLOCK, PhotoSpectrum
from gradprox.blind.textured_part import textured_part
from gradprox.errors import InputError, unknown
from gradprox.images.image_data import LUMA
from gradprox.kernels.descriptions import description_of
from gradprox.noise_rule import LEAST_NOISE
from gradprox.scales import check_noise

FAMILY_NAMES = ("auto", *FAMILIES, "free")
# Estimates below this confidence should not be used. See `gradprox.blind.confidence`.
LEAST_CONFIDENCE = 0.5
# Sides of the part of a photo whose spectrum is looked at, and of the part whose edges are.
SPECTRUM_SIDE, EDGES_SIDE = 1024, 512
# A free kernel must explain this much more than a family. Blurred light and JPEG compression fit no model exactly, and
# the many values of a free kernel fit the rest: on BSDS400 it explained up to 1.25 times as much as the motion that
# blurred the photo. Where the blur was a shake, it explained more than six times as much as each family.
FREE_GAIN = 2.0
# Share of the work that the families of few parameters take, and their shares of that: there are many motions.
PARAMETRIC_SHARE = 0.25
SHARES = {"disk": 0.09, "gaussian": 0.07, "motion": 0.84}


@dataclass(frozen=True)
class KernelEstimate:
    """The blur kernel of a photo.

    Attributes:
        kernel: ``(1, 1, h, w)`` with odd sides, nonnegative, of sum 1, with its center of mass in the middle.
        family: ``"disk"``, ``"gaussian"``, ``"motion"`` or ``"free"``.
        parameters: radius, standard deviation, or length and angle (degrees, counter-clockwise from the right), in
            pixels; empty for a free kernel.
        size: the larger side of the kernel in pixels.
        confidence: in ``[0, 1]``; below `LEAST_CONFIDENCE` the kernel should not be used. The photo may be sharp, have
            no texture, or have a blur that no kernel of the family explains.
    """

    kernel: Tensor
    family: str
    parameters: tuple[float, ...]
    size: int
    confidence: float

    @property
    def description(self) -> str | None:
        """The kernel in the syntax of ``gradprox deblur --kernel``, for example ``motion:11.2:30``; None if free."""
        return description_of(self.family, self.parameters) if self.parameters else None


def estimate_kernel(
    y: Tensor,
    noise: float,
    *,
    family: str = "auto",
    size: int | None = None,
    callback: Callable[[float], None] | None = None,
) -> KernelEstimate:
    """Estimate the blur kernel of a photo.

    The blur must be the same everywhere in the photo. Nothing is drawn at random: the same photo gives the same kernel.

    Args:
        y: a blurred photo ``(1, 1, H, W)`` or, in color, ``(1, 3, H, W)``, with values in ``[0, 1]``. Of a color photo,
            the luma is used, and of a large photo, the part with the most texture.
        noise: standard deviation of the noise in each channel; 0 is taken as the error of 8-bit rounding.
        family: ``"disk"`` (out of focus), ``"gaussian"``, ``"motion"`` (straight, of constant speed), ``"free"`` (any
            shape, for camera shake), or ``"auto"`` to choose by how well each explains the photo.
        size: largest side of the kernel in pixels, odd; if not given, a side that is large enough is found.
        callback: receives the finished share of the work, in ``[0, 1]``.

    Raises:
        InputError: not one gray or color photo, values that are not finite, a side below 64 pixels, an unknown family,
            or a noise level or a size that cannot be used.
    """
    _check(y, noise, family, size)
    gray = y if y.shape[1] == 1 else (y * y.new_tensor(LUMA).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
    gray = gray.detach().cpu()
    level = noise if y.shape[1] == 1 else noise * float(torch.tensor(LUMA).norm())
    report = callback or (lambda _: None)
    names = [name for name in FAMILIES if family in ("auto", name)]
    with torch.no_grad():
        spectrum = PhotoSpectrum.of(textured_part(gray, SPECTRUM_SIDE), max(level, LEAST_NOISE))
        sharp = float(spectrum.evidence([no_blur()]))
        found = []
        whole = sum(SHARES[name] for name in names) / (PARAMETRIC_SHARE if family == "auto" else 1.0)
        done = 0.0
        for name in names:
            part = _Part(report, done / whole, SHARES[name] / whole)
            found.append(best_member(spectrum, name, size, part))
            done += SHARES[name]
            report(done / whole)
        if family in ("auto", "free"):
            start = 0.0 if family == "free" else PARAMETRIC_SHARE
            edges = textured_part(gray, EDGES_SIDE)
            found.append(best_free_kernel(edges, spectrum, size, _Part(report, start, 1 - start)))
    best = chosen(found, sharp)
    free = next((member for member in found if member.family == "free"), None)
    confidence = confidence_of(spectrum, best, sharp, free)
    side = max(best.kernel.shape[-2:])
    return KernelEstimate(best.kernel, best.family, best.parameters, side, confidence)


def chosen(found: Sequence[Member], sharp: float) -> Member:
    """Return the kernel that explains a photo best.

    Evidence grows with the number of pixels, and so does the part of it that comes from errors of the model. So a free
    kernel is compared by its gain over no blur, of which it needs `FREE_GAIN` times that of the best family.

    Args:
        found: the best kernels of their families.
        sharp: the evidence of no blur.
    """
    best = max(found, key=lambda member: member.evidence)
    simple = [member for member in found if member.family != "free"]
    if best.family != "free" or not simple:
        return best
    second = max(simple, key=lambda member: member.evidence)
    return best if best.evidence - sharp > FREE_GAIN * (second.evidence - sharp) else second


@dataclass(frozen=True)
class _Part:
    """Reports a part of the work, which begins at one share of the whole and takes another."""

    report: Callable[[float], None]
    begin: float
    size: float

    def __call__(self, share: float) -> None:
        """Receive the finished share of this part."""
        self.report(self.begin + share * self.size)


def _check(y: Tensor, noise: float, family: str, size: int | None) -> None:
    if y.ndim != 4 or y.shape[0] != 1 or y.shape[1] not in (1, 3):
        raise InputError(f"give one photo (1, 1 or 3, H, W) to estimate its blur, got {tuple(y.shape)}")
    if not bool(torch.isfinite(y).all()):
        raise InputError("the photo contains NaN or infinite values")
    if not 0 <= noise < float("inf"):
        raise InputError(f"the noise level must be finite and not negative, got {noise:g}")
    check_noise("noise level", noise)
    if family not in FAMILY_NAMES:
        raise unknown("family", family, FAMILY_NAMES)
    if size is not None and (size % 2 == 0 or not 3 <= size < BLOCK):
        raise InputError(f"size {size}: give an odd number of pixels from 3 to {BLOCK - 1}")
