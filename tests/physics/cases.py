"""Every problem, small: what the suites of operators and of solvers go through."""

from __future__ import annotations

import torch

from gradprox.physics import (
    BlockSensing,
    CircularBlur,
    CosineSensing,
    Denoising,
    FourierSensing,
    HadamardSensing,
    Inpainting,
    SingleCoilMRI,
    StructuredSensing,
    SuperResolution,
    SymmetricBlur,
    ValidBlur,
    bicubic_kernel,
    disk_kernel,
    gaussian_kernel,
    gaussian_matrix,
    motion_kernel,
)


def kernels(*shape):
    """Return random nonnegative kernels, each of sum 1."""
    kernel = torch.rand(*shape, dtype=torch.float64)
    return kernel / kernel.sum(dim=(-2, -1), keepdim=True)


# What builds an operator, the shape of its images, whether its norm is exact.
CASES = {
    "circular": (lambda: CircularBlur(motion_kernel(5, 30).double(), (9, 12)), (1, 9, 12), True),
    "circular, even kernel": (lambda: CircularBlur(kernels(1, 1, 2, 4), (8, 7)), (1, 8, 7), True),
    "circular, a kernel a channel": (lambda: CircularBlur(kernels(1, 3, 3, 4), (5, 6), 3), (3, 5, 6), True),
    "valid": (lambda: ValidBlur(motion_kernel(5, 70).double(), (13, 11)), (1, 13, 11), False),
    "valid, even kernel": (lambda: ValidBlur(kernels(1, 1, 2, 4), (8, 7)), (1, 8, 7), False),
    "valid, a kernel a channel": (lambda: ValidBlur(kernels(1, 3, 3, 4), (5, 6)), (3, 5, 6), False),
    "symmetric": (lambda: SymmetricBlur(disk_kernel(2.2).double(), (9, 12)), (1, 9, 12), True),
    "symmetric, asymmetric": (lambda: SymmetricBlur(motion_kernel(5, 30).double(), (9, 7)), (1, 9, 7), False),
    "symmetric, even kernel": (lambda: SymmetricBlur(kernels(1, 1, 2, 4), (8, 7)), (1, 8, 7), False),
    "symmetric, signed kernel": (
        lambda: SymmetricBlur(torch.randn(1, 1, 3, 3).double(), (6, 7)),
        (1, 6, 7),
        False,
    ),
    "symmetric, a kernel a channel": (
        lambda: SymmetricBlur(torch.cat([gaussian_kernel(0.7), disk_kernel(2.5)], dim=1).double(), (9, 8)),
        (2, 9, 8),
        True,
    ),
    "hadamard": (lambda: HadamardSensing((8, 16), 40), (1, 8, 16), True),
    "hadamard, padded": (lambda: HadamardSensing((7, 11), 30), (1, 7, 11), False),
    "dct": (lambda: CosineSensing((9, 10), 40), (1, 9, 10), True),
    "fourier": (lambda: FourierSensing((9, 10), 40), (1, 9, 10), True),
    "fourier, even": (lambda: FourierSensing((8, 6), 21), (1, 8, 6), True),
    "structured": (lambda: StructuredSensing((9, 10), 40), (1, 9, 10), True),
    "blocks": (lambda: BlockSensing(gaussian_matrix(5, 0, 4).double(), (8, 12)), (1, 8, 12), True),
    "blocks, any matrix": (lambda: BlockSensing(torch.randn(5, 16).double(), (8, 8)), (1, 8, 8), True),
    "blocks, padded": (lambda: BlockSensing(torch.randn(5, 16).double(), (7, 9)), (1, 7, 9), False),
    "mri": (lambda: SingleCoilMRI((torch.rand(6, 7) > 0.6).double()), (2, 6, 7), True),
    "super-resolution": (lambda: SuperResolution((9, 12), 3, kernels(1, 1, 3, 5)), (1, 9, 12), True),
    "super-resolution, bicubic": (
        lambda: SuperResolution((8, 10), 2, bicubic_kernel(2).double()),
        (1, 8, 10),
        True,
    ),
    "inpainting": (lambda: Inpainting((torch.rand(1, 1, 7, 9) > 0.5).double()), (1, 7, 9), True),
    "denoising": (Denoising, (1, 5, 6), True),
}
