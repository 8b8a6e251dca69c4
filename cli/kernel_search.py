"""The blur kernel of a photo, estimated for a command: its options, its record and its file."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradprox.cli.option_values import check_choice
from gradprox.errors import InputError, unknown

if TYPE_CHECKING:
    from torch import Tensor

    from gradprox.blind import KernelEstimate

# Listed here because `gradprox.blind` imports torch.
FAMILIES = ("auto", "disk", "gaussian", "motion", "free")
AUTO = "auto"
# The files of kernels: images of 16 bits, and arrays.
KERNEL_SUFFIXES = (".png", ".tif", ".tiff", ".npy", ".npz")


@dataclass(frozen=True)
class KernelSearch:
    """Which kernels are considered.

    Attributes:
        family: one of `FAMILIES`.
        size: largest side in pixels; found if None.
    """

    family: str = AUTO
    size: int | None = None

    def estimate(
        self, pixels: Tensor, noise: float, report: Callable[[float], None] | None = None
    ) -> tuple[KernelEstimate, dict[str, Any]]:
        """Return the kernel of an image ``(1, C, H, W)`` with noise of standard deviation ``noise``, and its record."""
        from gradprox.blind import estimate_kernel

        began = time.perf_counter()
        found = estimate_kernel(pixels, noise, family=self.family, size=self.size, callback=report)
        return found, {
            "family": found.family,
            "parameters": list(found.parameters),
            "size": found.size,
            "confidence": found.confidence,
            "seconds": time.perf_counter() - began,
        }


def parse_search(kernel: str | None) -> KernelSearch | None:
    """Read ``auto``, ``auto:FAMILY`` or ``auto:FAMILY:SIZE``; None for any other kernel.

    Raises:
        InputError: the family or the size is unknown.
    """
    if kernel is None:
        return KernelSearch()
    name, *rest = kernel.split(":")
    if name != AUTO:
        return None
    family, size = (*rest, None, None)[:2]
    if family and family not in FAMILIES:
        raise unknown("--kernel", f"{AUTO}:{family}", [f"{AUTO}:{name}" for name in FAMILIES if name != AUTO])
    if len(rest) > 2 or (size is not None and not size.isdecimal()):
        raise InputError(
            f"--kernel {kernel}: write auto, auto:FAMILY or auto:FAMILY:SIZE, for example auto:free:31"
        )
    return checked_search("--kernel", family or AUTO, None if size is None else int(size))


def checked_search(option: str, family: str, size: int | None) -> KernelSearch:
    """Return a search.

    Raises:
        InputError: the family or the size is unknown.
    """
    check_choice(option, family, FAMILIES)
    if size is not None and (size % 2 == 0 or not 3 <= size <= 63):
        raise InputError(
            f"{option}: the size of a kernel is an odd number of pixels from 3 to 63, got {size}"
        )
    return KernelSearch(family, size)


def check_kernel_name(target: Path) -> None:
    """Refuse the name of a file that `write_kernel` does not write: images of 8 bits would round the kernel.

    Raises:
        InputError: it has another suffix than those of `KERNEL_SUFFIXES`.
    """
    if target.suffix.lower() not in KERNEL_SUFFIXES:
        raise InputError(f"{target}: the name must end in one of {' '.join(KERNEL_SUFFIXES)}")


def write_kernel(target: Path, kernel: Tensor) -> None:
    """Write a kernel as an array, or as an image whose largest value is white."""
    from gradprox.images import ARRAY_SUFFIXES, ImageData, write_image

    numbers = target.suffix.lower() in ARRAY_SUFFIXES
    write_image(
        target, ImageData(kernel.cpu(), 32) if numbers else ImageData(kernel.cpu() / kernel.max().cpu(), 16)
    )
