"""What low precision does to a denoiser: how far it is from its network, and what is left of its Jacobian.

A function that rounds is a staircase, whose derivatives say nothing. Its differences do, over steps as large as
those that an image of 8 bits has; and where the network itself is linear, all they show is rounding: at a flat gray
image with a quarter of the largest noise that the network was trained for, whose gates are closed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradprox.export.checks.differences import jacobian_figures, neighbors

STEP = 1 / 255


@dataclass(frozen=True, kw_only=True)
class Rounding:
    """What was measured, and claimed by nobody, of an exported denoiser that computes in low precision.

    ONNX Runtime on a CPU was measured. Other hardware rounds in other places.

    Attributes:
        psnr: of its results against those of the network, in dB on the scale [0, 1]; the lowest of all cases.
        step: of the differences, in pixel values.
        symmetry_defect: of the Jacobian from such differences, ``max |J - J^T| / |J|_2``.
        smallest_eigenvalue: of its symmetric part, relative to ``|J|_2``.
        network_symmetry_defect: the same of the network in double precision.
        network_smallest_eigenvalue: the same of the network in double precision.
    """

    psnr: float
    step: float
    symmetry_defect: float
    smallest_eigenvalue: float
    network_symmetry_defect: float
    network_smallest_eigenvalue: float

    def rows(self) -> list[tuple[str, str, str]]:
        """Return figures as `Report.rows` does."""
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


def measure_rounding(
    rounded: Callable[[NDArray[Any]], NDArray[Any]],
    network: Callable[[NDArray[Any]], NDArray[Any]],
    shape: tuple[int, int, int],
    level: float,
    psnr: float,
) -> Rounding:
    """Measure two maps of images ``(B, *shape)``, float32, side by side at noise ``level``."""
    y = 0.5 + level / 4 * np.random.default_rng(1).standard_normal(shape)
    images = neighbors(y, STEP).astype(np.float32)
    (defect, smallest), (own_defect, own_smallest) = (
        jacobian_figures(operator(images), STEP) for operator in (rounded, network)
    )
    return Rounding(
        psnr=psnr,
        step=STEP,
        symmetry_defect=defect,
        smallest_eigenvalue=smallest,
        network_symmetry_defect=own_defect,
        network_smallest_eigenvalue=own_smallest,
    )
