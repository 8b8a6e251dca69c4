"""Forward operators: `deepinv` physics with proven norms and closed forms, for deepinv's solvers and for ours.

Begin with ``contract.py``: the protocol `Physics`, which is all that solvers ask of an operator. Every operator has its
own file and keeps the contract through the base class in ``forward_operator.py``:

* blur: `CircularBlur`, `ValidBlur`, `SymmetricBlur`, chosen by boundary in ``boundaries.py``; kernels by
  formula, and from descriptions and files, in ``kernels.py``;
* compressed sensing: `HadamardSensing`, `CosineSensing`, `FourierSensing`, `StructuredSensing`, `BlockSensing`, chosen
  by name in ``sensing.py``; measurements on disk in ``measurement_file.py``;
* others: `Denoising`, `Inpainting`, `SuperResolution`, `SingleCoilMRI`.

Noise is in ``noise.py``. ``kernel_fit.py`` tests whether a kernel fits a photo, and
``kernel_refinement.py`` scales and turns it to fit better.
"""

from gradprox.physics.block_sensing import BlockSensing, gaussian_matrix
from gradprox.physics.boundaries import BOUNDARIES, blur_of_images, blur_of_photos
from gradprox.physics.circular_blur import CircularBlur
from gradprox.physics.contract import (
    LinearMap,
    Physics,
    SolvesFits,
    initial_image,
    regularized_inverse,
    squared_norm,
)
from gradprox.physics.cosine_sensing import CosineSensing
from gradprox.physics.denoising import Denoising
from gradprox.physics.forward_operator import ForwardOperator
from gradprox.physics.fourier_sensing import FourierSensing
from gradprox.physics.hadamard_sensing import HadamardSensing
from gradprox.physics.inpainting import Inpainting
from gradprox.physics.kernel_fit import LARGEST_FITTING_SCORE, wrong_kernel_score
from gradprox.physics.kernel_refinement import Refinement, refine_kernel, scaled_and_turned
from gradprox.physics.kernels import (
    disk_kernel,
    gaussian_kernel,
    motion_kernel,
    read_kernel,
    read_kernels,
)
from gradprox.physics.measurement_file import read_measurements, write_measurements
from gradprox.physics.mri import SingleCoilMRI
from gradprox.physics.noise import gaussian_noise, poisson_level, poisson_noise
from gradprox.physics.sensing import SAMPLINGS, Sampling, Sensing, read_matrix
from gradprox.physics.structured_sensing import StructuredSensing
from gradprox.physics.super_resolution import SuperResolution, bicubic_kernel
from gradprox.physics.symmetric_blur import SymmetricBlur
from gradprox.physics.transform_sensing import TransformSensing
from gradprox.physics.valid_blur import ValidBlur
from gradprox.scales import parse_level

__all__ = [
    "BOUNDARIES",
    "LARGEST_FITTING_SCORE",
    "SAMPLINGS",
    "BlockSensing",
    "CircularBlur",
    "CosineSensing",
    "Denoising",
    "ForwardOperator",
    "FourierSensing",
    "HadamardSensing",
    "Inpainting",
    "LinearMap",
    "Physics",
    "Refinement",
    "Sampling",
    "Sensing",
    "SingleCoilMRI",
    "SolvesFits",
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
    "refine_kernel",
    "regularized_inverse",
    "scaled_and_turned",
    "squared_norm",
    "write_measurements",
    "wrong_kernel_score",
]
