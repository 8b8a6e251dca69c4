"""Forward operators with proven norms: `deepinv` physics, ready for its solvers and ours."""

from gradprox.problems.compressed_sensing import BlockSensing, HadamardSensing, gaussian_matrix
from gradprox.problems.deblurring import CircularBlur, ValidBlur, check_kernel_fits
from gradprox.problems.kernels import (
    disk_kernel,
    gaussian_kernel,
    motion_kernel,
    read_kernel,
    read_kernels,
)
from gradprox.problems.measurement_file import (
    Sampling,
    Sensing,
    read_matrix,
    read_measurements,
    write_measurements,
)
from gradprox.problems.noise import gaussian_noise
from gradprox.problems.norms import squared_norm
from gradprox.problems.start import initial_picture

__all__ = [
    "BlockSensing",
    "CircularBlur",
    "HadamardSensing",
    "Sampling",
    "Sensing",
    "ValidBlur",
    "check_kernel_fits",
    "disk_kernel",
    "gaussian_kernel",
    "gaussian_matrix",
    "gaussian_noise",
    "initial_picture",
    "motion_kernel",
    "read_kernel",
    "read_kernels",
    "read_matrix",
    "read_measurements",
    "squared_norm",
    "write_measurements",
]
