"""The blur kernels of `gradprox.kernels` as tensors ``(1, 1, h, w)`` of float32 that sum to one."""

from __future__ import annotations

import torch
from torch import Tensor

from gradprox import kernels
from gradprox.kernels.formulas import Kernel


def gaussian_kernel(sigma: float) -> Tensor:
    """Return a Gaussian, as `gradprox.kernels.gaussian_kernel` does, as a tensor ``(1, 1, h, w)``."""
    return _tensor(kernels.gaussian_kernel(sigma))


def motion_kernel(length: float, angle: float) -> Tensor:
    """Return a straight motion, as `gradprox.kernels.motion_kernel` does, as a tensor ``(1, 1, h, w)``."""
    return _tensor(kernels.motion_kernel(length, angle))


def disk_kernel(radius: float) -> Tensor:
    """Return a disk, as `gradprox.kernels.disk_kernel` does, as a tensor ``(1, 1, h, w)``."""
    return _tensor(kernels.disk_kernel(radius))


def read_kernel(description: str) -> Tensor:
    """Return one kernel from ``gaussian:1.6``, ``motion:15:45``, ``disk:4`` or a file, ``(1, 1, h, w)``.

    Raises:
        InputError: it is none of these, or a file holds several kernels.
    """
    return _tensor(kernels.read_kernel(description))


def read_kernels(description: str) -> dict[str, Tensor]:
    """Return all kernels of a description, by name, ``(1, 1, h, w)``; see `gradprox.kernels.read_kernels`.

    Raises:
        InputError: the description is unknown, or the file is unreadable or holds no kernel.
    """
    return {name: _tensor(kernel) for name, kernel in kernels.read_kernels(description).items()}


def _tensor(kernel: Kernel) -> Tensor:
    return torch.from_numpy(kernel)[None, None]
