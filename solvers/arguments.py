"""Checks of the arguments that every solver takes: types, number formats, and shapes that fit together."""

from __future__ import annotations

import torch
from deepinv.optim import DataFidelity
from deepinv.physics import LinearPhysics
from torch import Tensor

from gradprox.batch import PRECISIONS
from gradprox.errors import InputError
from gradprox.physics import initial_image
from gradprox.priors.contract import Prior


def check_arguments(y: object, physics: object, prior: object, fidelity: object, x0: object) -> None:
    """Refuse arguments of another type.

    Raises:
        InputError: an argument is of another type, or a tensor is neither in single nor in double precision, or it is
            empty.
    """
    for name, value, kind, expected in (
        ("y", y, Tensor, "a tensor of measurements, batch first"),
        ("physics", physics, LinearPhysics, "a deepinv.physics.LinearPhysics"),
        (
            "prior",
            prior,
            Prior,
            "a learned prox or gradient-step denoiser, for example of gradprox.load_model; deepinv.optim takes others",
        ),
        ("fidelity", fidelity, DataFidelity | None, "a deepinv.optim.DataFidelity"),
        ("x0", x0, Tensor | None, "a tensor of images"),
    ):
        if not isinstance(value, kind):
            raise InputError(f"{name}: expected {expected}, got {type(value).__name__}")
    for name, value in (("y", y), ("x0", x0)):
        if isinstance(value, Tensor) and value.dtype not in PRECISIONS:
            raise InputError(f"{name}: expected real values in single or double precision, got {value.dtype}")
        if isinstance(value, Tensor) and value.numel() == 0:
            raise InputError(f"{name}: expected at least one value, got {_shape(value)}")


def checked_start(y: Tensor, physics: LinearPhysics, x0: Tensor | None) -> Tensor:
    """Return the first image of the iterations, ``(B, C, H, W)``: ``x0``, or `gradprox.physics.initial_image`.

    Raises:
        InputError: ``y`` is no measurement that the physics makes, or ``x0`` is no image that it measures as ``y``.
    """
    try:
        start = initial_image(y, physics)
        measured = physics.A(start)
    except (RuntimeError, ValueError, IndexError) as error:
        if isinstance(error, InputError | torch.OutOfMemoryError):
            raise
        raise InputError(f"y: {_shape(y)} does not fit this physics ({_first_line(error)})") from error
    if start.ndim != 4 or len(start) != len(y):
        raise InputError(f"y: {_shape(y)} is not a batch of measurements of images (B, C, H, W)")
    if measured.shape != y.shape:
        raise InputError(f"y: {_shape(y)} does not fit this physics, which measures {_shape(measured)}")
    if x0 is None:
        return start
    if x0.shape != start.shape:
        raise InputError(
            f"x0: expected images (B, C, H, W) of {_shape(start)}, one for each of the {len(y)} measurements, "
            f"got {_shape(x0)}"
        )
    if (x0.dtype, x0.device) != (y.dtype, y.device):
        raise InputError(f"x0: expected {y.dtype} on {y.device} like y, got {x0.dtype} on {x0.device}")
    return x0


def _shape(x: Tensor) -> str:
    return f"shape {tuple(x.shape)}"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
