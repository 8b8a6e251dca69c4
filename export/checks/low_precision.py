"""The effect of low precision on a denoiser: its distance from the network, and its Jacobian.

A function that rounds is a staircase, and its derivatives are meaningless. Differences over the steps of an 8-bit image
are not. They are taken at a flat gray image with a quarter of the largest noise that the network was trained for. The
gates are closed there and the network is linear, so that any asymmetry is due to rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradprox.export.checks.jacobian import jacobian_figures, neighbors

STEP = 1 / 255


@dataclass(frozen=True, kw_only=True)
class LowPrecisionFigures:
    """Figures of an exported denoiser in low precision. They are measured on a CPU, and nothing is required of them.

    Other hardware rounds in other places.

    Attributes:
        psnr: PSNR of its results against those of the network, in dB on the scale [0, 1]; the lowest of all cases.
        step: the step of the differences, in pixel values.
        symmetry_defect: ``max |J - J^T| / |J|_2`` of the Jacobian from such differences.
        smallest_eigenvalue: smallest eigenvalue of its symmetric part, relative to ``|J|_2``.
        network_symmetry_defect: the symmetry defect of the network in double precision.
        network_smallest_eigenvalue: the smallest eigenvalue of the network in double precision.
    """

    psnr: float
    step: float
    symmetry_defect: float
    smallest_eigenvalue: float
    network_symmetry_defect: float
    network_smallest_eigenvalue: float

    def rows(self) -> list[tuple[str, str, str]]:
        """Return the figures in the form of `Report.rows`."""
        step = f"by steps of 1/{1 / self.step:.0f}"
        return [
            ("PSNR against the network, dB", f"{self.psnr:.1f}", "measured, the lowest of all cases"),
            (
                f"{step}, symmetry defect",
                f"{self.symmetry_defect:.1e}",
                f"measured; the network: {self.network_symmetry_defect:.1e}",
            ),
            (
                f"{step}, smallest eigenvalue",
                f"{self.smallest_eigenvalue:.1e}",
                f"measured; the network: {self.network_smallest_eigenvalue:.1e}",
            ),
        ]


def measure_low_precision(
    rounded: Callable[[NDArray[Any]], NDArray[Any]],
    network: Callable[[NDArray[Any]], NDArray[Any]],
    shape: tuple[int, int, int],
    level: float,
    psnr: float,
) -> LowPrecisionFigures:
    """Measure two maps of images ``(B, *shape)``, float32, side by side.

    Args:
        rounded: the exported denoiser at noise ``level``.
        network: the network at noise ``level``.
        shape: channels, height and width of the image.
        level: the largest noise level of the network.
        psnr: the PSNR to report.
    """
    y = 0.5 + level / 4 * np.random.default_rng(1).standard_normal(shape)
    images = neighbors(y, STEP).astype(np.float32)
    defect, smallest = jacobian_figures(rounded(images), STEP)
    network_defect, network_smallest = jacobian_figures(network(images), STEP)
    return LowPrecisionFigures(
        psnr=psnr,
        step=STEP,
        symmetry_defect=defect,
        smallest_eigenvalue=smallest,
        network_symmetry_defect=network_defect,
        network_smallest_eigenvalue=network_smallest,
    )
