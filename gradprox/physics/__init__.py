"""Forward operators with proven norms: `deepinv` physics, ready for its solvers and ours."""

from gradprox.physics.block_sensing import BlockSensing, gaussian_matrix
from gradprox.physics.blur import CircularBlur, ValidBlur
from gradprox.physics.boundaries import BOUNDARIES, blur_of_images, blur_of_photos
from gradprox.physics.denoising import Denoising
from gradprox.physics.inpainting import Inpainting
from gradprox.physics.kernels import (
    disk_kernel,
    gaussian_kernel,
    motion_kernel,
    read_kernel,
    read_kernels,
)
from gradprox.physics.measurement_file import (
    SAMPLINGS,
    Sampling,
    Sensing,
    read_matrix,
    read_measurements,
    write_measurements,
)
from gradprox.physics.mri import SingleCoilMRI
from gradprox.physics.noise import gaussian_noise, parse_level, poisson_level, poisson_noise
from gradprox.physics.norms import squared_norm
from gradprox.physics.patterns import CosineSensing, FourierSensing, HadamardSensing, StructuredSensing
from gradprox.physics.start import initial_image
from gradprox.physics.super_resolution import SuperResolution, bicubic_kernel
from gradprox.physics.symmetric_blur import SymmetricBlur
from gradprox.physics.transform_sensing import TransformSensing

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
    "Sampling",
    "Sensing",
    "SingleCoilMRI",
    "StructuredSensing",
    "SuperResolution",
    "SymmetricBlur",
    "TransformSensing",
    "ValidBlur",
    "bicubic_kernel",
    "blur_of_images",
    "blur_of_photos",
    "disk_kernel",
    "gaussian_kernel",
    "gaussian_matrix",
    "gaussian_noise",
    "initial_image",
    "motion_kernel",
    "parse_level",
    "poisson_level",
    "poisson_noise",
    "read_kernel",
    "read_kernels",
    "read_matrix",
    "read_measurements",
    "squared_norm",
    "write_measurements",
]
