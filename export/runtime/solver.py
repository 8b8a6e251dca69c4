"""A whole restoration without torch: ``OnnxSolver("solver.onnx")(y, kernel, sigma)``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradprox.errors import InputError
from gradprox.export.runtime.session import Session, finite, numbers, single, whole_number

STATUS = ("max_iter", "converged", "non_finite")


@dataclass(frozen=True)
class Restoration:
    """Restored images and their record, per image; as `gradprox.solvers.Result`.

    Attributes:
        x: images ``(B, C, H, W)``, float32.
        status: why each stopped: ``"converged"``, ``"max_iter"`` or ``"non_finite"``, which leaves the last finite
            image.
        steps: steps each took, ``(B,)``.
        objective: ``(B, K + 1)``, before the first and after each step; NaN where it is not known.
        residual: relative change of each step, ``(B, K)``; NaN after an image has stopped.
    """

    x: NDArray[np.float32]
    status: list[str]
    steps: NDArray[np.int64]
    objective: NDArray[np.float64]
    residual: NDArray[np.float64]


class OnnxSolver:
    """A plug-and-play solver in ONNX Runtime: for deblurring, or for compressed sensing.

    Images are processed whole, which needs about 2 GB a megapixel for every 64 filters.

    Args:
        path: a file written by `gradprox.export.export_solver`.
        provider: ``"cpu"``, ``"cuda"``, ``"tensorrt"``, ``"openvino"``, ``"coreml"`` or ``"directml"``.
        allow_fallback: run on the CPU, with a warning, where the provider cannot be used.
        threads: CPU threads; ONNX Runtime's choice, all cores, if not given.

    Attributes:
        algorithm: ``"pgd"`` or ``"gd"``.
        problem: ``"deblur"`` or ``"cs"``.
        channels: of the images it takes: 3, or 1, which stands for any number.
        boundary: of a blur, ``"valid"`` or ``"circular"``; empty for compressed sensing.
        provider: the provider in use.
        metadata: everything the file says of itself, by key.

    Raises:
        InputError: the file is no such model, or the provider cannot be used.
    """

    def __init__(
        self,
        path: str | Path,
        provider: str = "cpu",
        *,
        allow_fallback: bool = False,
        threads: int | None = None,
    ) -> None:
        self._session = Session(path, "solver", provider, allow_fallback=allow_fallback, threads=threads)
        self.provider = self._session.provider
        self.metadata = self._session.metadata
        self.algorithm, self.problem, self.boundary = (
            self.metadata.get(key, "") for key in ("algorithm", "problem", "boundary")
        )
        self.channels = self._session.entry("channels")
        certificate = self._session.entry("certificate")
        physics = self._session.entry("physics") if self.problem == "cs" else {}
        try:
            self._weak_convexity = float(certificate["weak_convexity"])
            self._squared_norm = float(physics.get("squared_norm", 1.0))
            self._measurement_shape = tuple(physics.get("measurement_shape", ()))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path}: its certificate or its physics is damaged") from error

    def stepsize_limit(self, kernel: NDArray[Any] | None = None, strength: float = 1.0) -> float:
        """Return the step size below which the objective never rises, as in `gradprox.solvers`.

        For blur ``|A|^2`` is bounded by ``(sum |k|)^2`` (Young): exact for the nonnegative kernels of real blur.
        """
        lipschitz = self._squared_norm
        if kernel is not None:
            lipschitz = float(np.abs(kernel).sum(dtype=np.float64)) ** 2
        return (
            (2 - self._weak_convexity) / lipschitz if self.algorithm == "pgd" else 2 / (lipschitz + strength)
        )

    def __call__(
        self,
        y: NDArray[Any],
        kernel: NDArray[Any] | None = None,
        *,
        sigma: float,
        strength: float = 1.0,
        stepsize: float | None = None,
        max_iter: int = 200,
        tol: float = 1e-4,
    ) -> Restoration:
        """Restore images.

        Args:
            y: blurred images ``(B, C, H, W)`` of any floating-point type, on the scale ``[0, 1]``; or
                measurements, ``(B, C, m)`` or ``(B, C, blocks, m)``.
            kernel: of a blur, ``(h, w)`` or ``(1, 1, h, w)``, no larger than the images.
            sigma: noise level at which the learned prox is used: the larger, the smoother.
            strength: weight of the prior: ``lambda`` of GD; multiplies ``sigma`` in PGD.
            stepsize: ``1/|A|^2`` (PGD) or ``1/(|A|^2 + strength)`` (GD) if not given.
            max_iter: step budget; 0 returns the start: the photo, or ``A^T y``.
            tol: an image has converged when it changes by at most this, relatively.

        Raises:
            InputError: arguments that are not such, values that are not finite, or a step size at which the
                objective could rise.
        """
        y = np.asarray(y)
        if y.ndim < 3 or y.dtype.kind != "f" or y.size == 0:
            raise InputError(f"expected floating-point images (B, C, ...), got {y.dtype} of shape {y.shape}")
        y = single("y", y)
        if self.channels not in (1, y.shape[1]):
            raise InputError(f"expected {self.channels} channels, got y of shape {y.shape}")
        if self.problem == "cs":
            if kernel is not None or y.shape[2:] != self._measurement_shape:
                raise InputError(
                    f"expected measurements (B, C, *{self._measurement_shape}), no kernel; got {y.shape}"
                )
        else:
            kernel = _kernel(kernel)
            if y.ndim != 4 or kernel.shape[2] > y.shape[2] or kernel.shape[3] > y.shape[3]:
                raise InputError(f"the kernel {kernel.shape[2:]} is larger than the image {y.shape[2:]}")
        sigma, strength, tol = _number("sigma", sigma), _number("strength", strength), _number("tol", tol)
        for name, value in (("sigma", sigma), ("strength", strength)):
            if value <= 0:
                raise InputError(f"{name} must be positive, got {value:g}")
        max_iter = whole_number("max_iter", max_iter, 0)
        if not 0 <= tol < 1:
            raise InputError(f"tol must be in [0, 1), got {tol:g}")
        limit = self.stepsize_limit(kernel, strength)
        if stepsize is None:
            # Half the limit, for PGD with a convex prior: 1/|A|^2 whatever the prior.
            stepsize = limit / 2 if self.algorithm == "gd" else limit / (2 - self._weak_convexity)
        elif not 0 < (stepsize := _number("stepsize", stepsize)) < limit:
            raise InputError(f"the step size must be between 0 and {limit:.6g} here, got {stepsize:g}")
        # What the prior depends on is folded into the model, see `Session.run`.
        found = self._session.run(
            {
                "y": y,
                **({} if kernel is None else {"kernel": kernel}),
                "max_iter": np.array(max_iter, np.int64),
                "stepsize": np.array([stepsize], np.float32),
                "tol": np.array([tol], np.float32),
            },
            {"sigma": sigma, "strength": strength},
        )
        reasons = [STATUS[index] for index in found["status"].tolist()]
        return Restoration(
            finite("the result", found["x"]), reasons, found["steps"], found["objective"], found["residuals"]
        )


def _number(name: str, value: object) -> float:
    found = numbers(name, value)
    if found.size != 1:
        raise InputError(f"{name} must be one number, got {found.tolist()}")
    return float(found[0])


def _kernel(kernel: NDArray[Any] | None) -> NDArray[np.float32]:
    if kernel is None:
        raise InputError("deblurring needs a kernel")
    kernel = np.asarray(kernel)
    if kernel.ndim == 2:
        kernel = kernel[None, None]
    if kernel.ndim != 4 or kernel.shape[:2] != (1, 1) or kernel.dtype.kind != "f" or kernel.size == 0:
        raise InputError(
            f"expected a floating-point kernel (h, w), got {kernel.dtype} of shape {kernel.shape}"
        )
    if not np.any(kernel):
        raise InputError("the kernel is zero")
    return single("the kernel", kernel)
