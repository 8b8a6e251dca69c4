"""Blur kernels as arrays ``(h, w)`` that sum to one, without torch.

Begin with `read_kernel`, which takes a description such as ``motion:15:45``, or a file. `formulas` computes kernels
from numbers, `descriptions` reads them from text and files. `gradprox.physics` has the same functions for tensors.
"""

from gradprox.kernels.descriptions import read_kernel, read_kernels
from gradprox.kernels.formulas import disk_kernel, gaussian_kernel, motion_kernel

__all__ = ["disk_kernel", "gaussian_kernel", "motion_kernel", "read_kernel", "read_kernels"]
