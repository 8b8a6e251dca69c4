"""Forward operators with proven norms: `deepinv` physics, ready for its solvers and ours."""

from gradprox.problems.compressed_sensing import BlockSensing, HadamardSensing, gaussian_matrix
from gradprox.problems.deblurring import CircularBlur, ValidBlur
from gradprox.problems.kernels import (
    disk_kernel,
    gaussian_kernel,
    motion_kernel,
    read_kernel,
    read_kernels,
)
from gradprox.problems.norms import squared_norm

__all__ = [
    "BlockSensing",
    "CircularBlur",
    "HadamardSensing",
    "ValidBlur",
    "disk_kernel",
    "gaussian_kernel",
    "gaussian_matrix",
    "motion_kernel",
    "read_kernel",
    "read_kernels",
    "squared_norm",
]
