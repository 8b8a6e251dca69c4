"""A whole reconstruction without torch: ``OnnxSolver("solver.onnx")(y, kernel, sigma=0.03)``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradprox.errors import InputError
from gradprox.export.runtime.arguments import finite, float_array, number, single, whole_number
from gradprox.export.runtime.session import Session
from gradprox.noise_rule import NoiseRule
from gradprox.scales import check_noise

STATUS = ("max_iter", "converged", "non_finite")
ALGORITHMS, PROBLEMS = ("pgd", "gd"), ("deblur", "cs")
# Step sizes that single precision can hold.
SMALLEST, LARGEST = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)
OUTPUTS = ("x", "residuals", "objective", "steps", "status")


@dataclass(frozen=True)
class Restoration:
    """Restored images and the record of their iterations, as in `gradprox.solvers.Result`.

    Attributes:
        x: images ``(B, C, H, W)``, float32.
        status: per image, why the iterations ended: ``"converged"``, ``"max_iter"``, or ``"non_finite"``, where ``x``
            is the last finite image.
        steps: number of steps per image, ``(B,)``.
        objective: ``(B, K + 1)``, before the first and after each step; NaN where it is not known.
        residual: relative change of each step, ``(B, K)``; NaN after an image has stopped.
    """

    x: NDArray[np.float32]
    status: list[str]
    steps: NDArray[np.int64]
    objective: NDArray[np.float64]
    residual: NDArray[np.float64]


class OnnxSolver:
    """A plug-and-play solver in ONNX Runtime, for deblurring or compressed sensing.

    Images are taken whole, which needs about 2 GB per megapixel and 64 filters.

    Args:
        path: a file written by `gradprox.export.export_solver`.
        provider: ``"cpu"``, ``"cuda"``, ``"tensorrt"``, ``"openvino"``, ``"coreml"`` or ``"directml"``.
        allow_fallback: run on the CPU, with a warning, where the provider cannot be used.
        threads: CPU threads; if not given, ONNX Runtime's choice, all cores.

    Attributes:
        algorithm: ``"pgd"`` or ``"gd"``.
        problem: ``"deblur"`` or ``"cs"``.
        channels: number of channels of its images: 3, or 1, which stands for any number.
        boundary: boundary of the blur, ``"valid"`` or ``"circular"``; empty for compressed sensing.
        noise_rule: how the settings of the prior follow from the noise; None in a file of an earlier version.
        provider: the provider in use.
        metadata: all entries of the file's metadata, by key.

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
        self._session = Session(
            path, "solver", provider, allow_fallback=allow_fallback, threads=threads, outputs=OUTPUTS
        )
        self.provider = self._session.provider
        self.metadata = self._session.metadata
        self.algorithm, self.problem, self.boundary = (
            self.metadata.get(key, "") for key in ("algorithm", "problem", "boundary")
        )
        self.channels = self._session.entry("channels")
        if self.algorithm not in ALGORITHMS or self.problem not in PROBLEMS or self.channels not in (1, 3):
            raise InputError(
                f"{path}: its metadata does not describe a solver that this version of gradprox knows"
            )
        certificate = self._session.entry("certificate")
        physics = self._session.entry("physics") if self.problem == "cs" else {}
        try:
            bound = certificate["lipschitz_bound"]
            lipschitz = math.inf if bound is None else float(bound)
            # As `NetworkPrior.curvature_bound` and `LearnedProx.weak_convexity`.
            self._curvature = 1.0 if certificate["monotone"] is True else 1 + lipschitz
            convexity = certificate["weak_convexity"]
            # A network that is not monotone has none; PGD files need one.
            self._weak_convexity = 0.0 if convexity is None and self.algorithm == "gd" else float(convexity)
            self._squared_norm = float(physics.get("squared_norm", 1.0))
            self._measurement_shape = tuple(physics.get("measurement_shape", ()))
            self._size = tuple(physics.get("size", ()))
            rule = self._session.entry("noise_rule") if "noise_rule" in self.metadata else None
            self.noise_rule = None if rule is None else NoiseRule(**rule)
        except InputError:  # which is a ValueError, with a better message
            raise
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path}: its certificate, its physics or its noise rule is damaged") from error
        if not (
            0 <= self._weak_convexity <= 1 and 0 < self._squared_norm < math.inf and self._curvature >= 1
        ):
            raise InputError(f"{path}: its certificate or its physics is damaged")

    def stepsize_limit(self, kernel: NDArray[Any] | None = None, lambda_reg: float = 1.0) -> float:
        """Return the step size below which the objective never rises, as in `gradprox.solvers`.

        For blur ``|A|^2`` is bounded by ``(sum |k|)^2`` (Young's inequality), which is exact for nonnegative kernels.

        Args:
            kernel: the kernel of a blur.
            lambda_reg: the weight of the regularizer; of GD only.
        """
        lipschitz = self._squared_norm
        if kernel is not None:
            lipschitz = float(np.abs(kernel).sum(dtype=np.float64)) ** 2
        if self.algorithm == "pgd":
            return (2 - self._weak_convexity) / lipschitz
        return 2 / (lipschitz + lambda_reg * self._curvature)

    def __call__(
        self,
        y: NDArray[Any],
        kernel: NDArray[Any] | None = None,
        *,
        sigma: float | None = None,
        noise: float | None = None,
        x0: NDArray[Any] | None = None,
        lambda_reg: float | None = None,
        stepsize: float | None = None,
        max_iter: int = 200,
        tol: float = 1e-4,
    ) -> Restoration:
        """Restore images.

        Args:
            y: blurred images ``(B, C, H, W)`` of any floating-point type, on the scale ``[0, 1]``; or measurements,
                ``(B, C, m)`` or ``(B, C, blocks, m)``.
            kernel: kernel of a blur, ``(h, w)`` or ``(1, 1, h, w)``, no larger than the images.
            sigma: noise level at which the prior is used; a larger value gives smoother images. Give either this or
                ``noise``.
            noise: standard deviation of the noise of ``y``, on the scale of images in ``[0, 1]``. ``sigma``, and
                ``lambda_reg`` if it is not given, then follow by `noise_rule`, as in `gradprox.solvers.preset`.
            x0: first images of the iterations, ``(B, C, H, W)``, in the shape of the result; for example the result of
                a call with a larger ``sigma``. With a valid boundary they are extended by their edge pixels. If not
                given, the iterations start at the photo, extended in the same way, or at a linear reconstruction.
            lambda_reg: weight of the regularizer in GD; 1 if neither it nor ``noise`` is given. PGD has none: there
                ``sigma`` sets the strength of the prior.
            stepsize: step size; ``1/|A|^2`` (PGD) or half of `stepsize_limit` (GD) if not given.
            max_iter: step budget; 0 returns the start.
            tol: an image has converged when its relative change is at most this.

        Raises:
            InputError: an argument is illegal or not finite, or the objective could rise at this step size.
        """
        y = self._measurements(y)
        kernel = self._kernel(kernel, y)
        start = self._start(x0, y)
        level, weight = self._strength(sigma, noise, lambda_reg)
        tol = number("tol", tol)
        max_iter = whole_number("max_iter", max_iter, 0)
        if not 0 <= tol < 1:
            raise InputError(f"tol must be in [0, 1), got {tol:g}")
        stepsize = self._stepsize(stepsize, self.stepsize_limit(kernel, weight))
        # Settings of the prior become constants, see `Session.run`.
        found = self._session.run(
            {
                "y": y,
                **({} if kernel is None else {"kernel": kernel}),
                "max_iter": np.array(max_iter, np.int64),
                "stepsize": np.array([stepsize], np.float32),
                "tol": np.array([tol], np.float32),
                **start,
            },
            {"sigma": level, **({} if self.algorithm == "pgd" else {"lambda_reg": weight})},
        )
        return Restoration(
            finite("the result", found["x"]),
            [STATUS[index] for index in found["status"].tolist()],
            found["steps"],
            found["objective"],
            found["residuals"],
        )

    def _measurements(self, y: NDArray[Any]) -> NDArray[np.float32]:
        """Return images, or measurements of compressed sensing, or raise `InputError`."""
        shape = self._measurement_shape
        expected = "floating-point images (B, C, H, W)"
        if self.problem == "cs":
            expected = f"floating-point measurements (B, C, {', '.join(map(str, shape))})"
        array = float_array(expected, y)
        legal = array.ndim == 4 if self.problem == "deblur" else array.ndim > 2 and array.shape[2:] == shape
        if not legal:
            raise InputError(f"expected {expected}, got {array.dtype} of shape {array.shape}")
        if self.channels not in (1, array.shape[1]):
            raise InputError(f"expected {self.channels} channels, got y of shape {array.shape}")
        return single("y", array)

    def _start(self, x0: NDArray[Any] | None, y: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Return the input for first images, if there are any, or raise `InputError`."""
        if x0 is None:
            return {}
        if "x0" not in self._session.optional:
            raise InputError(
                f"x0: {self._session.path} takes no start, as an earlier version made it: export it again"
            )
        shape = y.shape if self.problem == "deblur" else (*y.shape[:2], *self._size)
        expected = f"floating-point first images x0 of shape {shape}"
        array = float_array(expected, x0)
        if array.shape != shape:
            raise InputError(f"expected {expected}, got {array.dtype} of shape {array.shape}")
        return {"x0": single("x0", array)}

    def _strength(
        self, sigma: float | None, noise: float | None, lambda_reg: float | None
    ) -> tuple[float, float]:
        """Return the noise level of the prior and the weight of its regularizer, or raise `InputError`."""
        if (sigma is None) == (noise is None):
            raise InputError(
                "give either sigma, the noise level of the prior, or noise, that of the measurements"
            )
        if self.algorithm == "pgd" and lambda_reg is not None:
            raise InputError("lambda_reg: PGD has no weight of the regularizer; change sigma instead")
        weight = 1.0
        if noise is not None:
            if self.noise_rule is None:
                raise InputError(
                    f"noise: {self._session.path} has no rule for it, as an earlier version made it: give sigma, or "
                    "export it again"
                )
            noise = number("noise", noise)
            if noise < 0:
                raise InputError(f"noise must not be negative, got {noise:g}")
            check_noise("noise", noise)
            sigma = self.noise_rule.sigma(noise)
            weight = self.noise_rule.lambda_reg(noise, sigma)
        sigma = number("sigma", sigma)
        if sigma <= 0:
            raise InputError(f"sigma must be positive, got {sigma:g}")
        check_noise("sigma", sigma)
        weight = weight if lambda_reg is None else number("lambda_reg", lambda_reg)
        if weight <= 0:
            raise InputError(f"lambda_reg must be positive, got {weight:g}")
        return sigma, weight

    def _kernel(self, kernel: NDArray[Any] | None, y: NDArray[Any]) -> NDArray[np.float32] | None:
        """Return the kernel ``(1, 1, h, w)`` of a blur, None for compressed sensing, or raise `InputError`."""
        if self.problem == "cs":
            if kernel is not None:
                raise InputError("expected measurements and no kernel: this solver is for compressed sensing")
            return None
        if kernel is None:
            raise InputError("deblurring needs a kernel")
        expected = "a floating-point kernel (h, w)"
        array = float_array(expected, kernel)
        array = array[None, None] if array.ndim == 2 else array
        if array.ndim != 4 or array.shape[:2] != (1, 1):
            raise InputError(f"expected {expected}, got {array.dtype} of shape {array.shape}")
        if not np.any(array):
            raise InputError("the kernel is zero")
        if array.shape[2] > y.shape[2] or array.shape[3] > y.shape[3]:
            raise InputError(f"the kernel {array.shape[2:]} is larger than the image {y.shape[2:]}")
        return single("the kernel", array)

    def _stepsize(self, stepsize: float | None, limit: float) -> float:
        """Return a legal step size, or raise `InputError`."""
        if stepsize is not None:
            stepsize = number("stepsize", stepsize)
            if not 0 < stepsize < limit:
                raise InputError(f"the step size must be between 0 and {limit:.6g} here, got {stepsize:g}")
            return stepsize
        # For PGD this is 1/|A|^2 with every prior; with a convex one it is half of the limit.
        stepsize = limit / 2 if self.algorithm == "gd" else limit / (2 - self._weak_convexity)
        if not SMALLEST <= stepsize <= LARGEST:
            raise InputError(
                f"the values of the kernel are too large or too small: the step size would be {stepsize:g}"
            )
        return stepsize
