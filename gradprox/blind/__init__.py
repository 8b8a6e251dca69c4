"""Estimation of the blur kernel of a photo from the photo alone.

Begin with `estimate_kernel` (`estimate.py`). Kernels of one or two parameters (`families.py`) are found by how well
they explain the power spectrum of the photo (`photo_spectrum.py`). A kernel of any shape (`free_kernel.py`) is fitted
to the sharp edges of the image (`sharp_edges.py`, `kernel_step.py`), from coarse to fine. The mean of several such
fits is refined (`refinement.py`).
"""

from gradprox.blind.estimate import FAMILY_NAMES, LEAST_CONFIDENCE, KernelEstimate, estimate_kernel

__all__ = ["FAMILY_NAMES", "LEAST_CONFIDENCE", "KernelEstimate", "estimate_kernel"]
