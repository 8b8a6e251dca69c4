"""Forward operators with proven norms: `deepinv` physics, ready for its solvers and ours."""

from gradprox.problems.block_sensing import BlockSensing, gaussian_matrix
from gradprox.problems.boundaries import BOUNDARIES, blur_of_photos, blur_of_pictures
from gradprox.problems.deblurring import CircularBlur, ValidBlur
from gradprox.problems.denoising import Denoising
from gradprox.problems.inpainting import Inpainting
from gradprox.problems.kernels import (
    disk_kernel,
    gaussian_kernel,
    motion_kernel,
    read_kernel,
    read_kernels,
)
from gradprox.problems.measurement_file import (
    SAMPLINGS,
    Sampling,
    Sensing,
    read_matrix,
    read_measurements,
    write_measurements,
)
from gradprox.problems.mri import SingleCoilMRI
from gradprox.problems.noise import gaussian_noise, poisson_level, poisson_noise
from gradprox.problems.norms import squared_norm
from gradprox.problems.patterns import CosineSensing, FourierSensing, HadamardSensing, StructuredSensing
from gradprox.problems.reflective_blur import ReflectiveBlur
from gradprox.problems.start import initial_picture
from gradprox.problems.super_resolution import SuperResolution, bicubic_kernel
from gradprox.problems.transform_sensing import TransformSensing

__all__ = [
    "BOUNDARIES",
    "SAMPLINGS",
    "BlockSensing",
    "CircularBlur",
    "CosineSensing",
    "Denoising",
    "FourierSensing",
    "HadamardSensing",
    "Inpainting",
    "ReflectiveBlur",
    "Sampling",
    "Sensing",
    "SingleCoilMRI",
    "StructuredSensing",
    "SuperResolution",
    "TransformSensing",
    "ValidBlur",
    "bicubic_kernel",
    "blur_of_photos",
    "blur_of_pictures",
    "disk_kernel",
    "gaussian_kernel",
    "gaussian_matrix",
    "gaussian_noise",
    "initial_picture",
    "motion_kernel",
    "poisson_level",
    "poisson_noise",
    "read_kernel",
    "read_kernels",
    "read_matrix",
    "read_measurements",
    "squared_norm",
    "write_measurements",
]
