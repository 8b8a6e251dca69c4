"""A whole reconstruction without torch: ``OnnxSolver("solver.onnx")(y, kernel, noise=0.01)``."""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradprox.errors import InputError
from gradprox.export.runtime.arguments import finite, float_array, single
from gradprox.export.runtime.session import Session
from gradprox.export.runtime.solver_settings import SOLVERS, Given, Settings
from gradprox.scales import MARGIN, beyond_training, wrong_in_memory

STATUS = ("max_iter", "converged", "non_finite", "stalled")
PROBLEMS = ("deblur", "cs")
OUTPUTS = ("x", "residuals", "objective", "steps", "status")
# The input that says whether pixels may have been clipped.
CLIPPING = "clipping"
AS_THEY_ARE = "takes white and black pixels as they are: export it again, to deblur with HQS or NMAPG"


@dataclass(frozen=True)
class Restoration:
    """Restored images and the record of their iterations, as in `gradprox.solvers.Result`.

    Attributes:
        x: images ``(B, C, H, W)``, float32.
        status: per image, why the iterations ended: ``"converged"``; ``"completed"``, after the planned steps of a
            preset; ``"max_iter"``; ``"stalled"``, where no step lowers the objective; or ``"non_finite"``, where ``x``
            is the last finite image.
        steps: number of steps per image, ``(B,)``, with those of the warm start of a preset.
        objective: ``(B, K + 1)``, before the first and after each step, without the warm start; NaN where it is not
            known.
        residual: relative change of each of these steps, ``(B, K)``; NaN after an image has stopped.
    """

    x: NDArray[np.float32]
    status: list[str]
    steps: NDArray[np.int64]
    objective: NDArray[np.float64]
    residual: NDArray[np.float64]

    def __repr__(self) -> str:
        """Return a summary: the arrays would fill pages."""
        counts = " and ".join(f"{count} {status}" for status, count in Counter(self.status).items())
        shape, steps = "x".join(map(str, self.x.shape)), ", ".join(map(str, self.steps))
        return f"Restoration(x: {shape}, status: {counts}, steps: {steps})"


class OnnxSolver:
    """A plug-and-play solver in ONNX Runtime, for deblurring or compressed sensing.

    Files compute a model of one pass in tiles. With a deep model they take images whole, which needs about 2 GB per
    megapixel and 64 filters.

    Args:
        path: a file written by `gradprox.export.export_solver`.
        provider: ``"cpu"``, ``"cuda"``, ``"tensorrt"``, ``"openvino"``, ``"coreml"`` or ``"directml"``.
        allow_fallback: run on the CPU, with a warning, where the provider cannot be used.
        threads: CPU threads; if not given, ONNX Runtime's choice, all cores.

    Attributes:
        algorithm: the solver with which its preset ends: ``"hqs"``, ``"fista"``, ``"nmapg"``, ``"pgd"`` or ``"gd"``.
        problem: ``"deblur"`` or ``"cs"``.
        channels: number of channels of its images: 3, or 1, which stands for any number.
        boundary: boundary of the blur, ``"valid"``, ``"circular"`` or ``"symmetric"``; empty for compressed sensing.
        sampling: of compressed sensing, the kind, size, measurements and seed of the patterns, as `gradprox sense`
            writes them; None in files that do not say.
        matrix_digest: of block measurements, what `gradprox.measurements.digest` gives for their matrix; else None.
        noise_rule: how the settings of the prior follow from the noise.
        takes_clipping: whether it can treat white and black pixels as clipped, as `gradprox.solvers.ClippedL2` does.
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
        if self.algorithm not in SOLVERS or self.problem not in PROBLEMS or self.channels not in (1, 3):
            raise InputError(
                f"{path}: its metadata does not describe a solver that this version of gradprox knows"
            )
        physics = self._session.entry("physics") if self.problem == "cs" else {}
        try:
            self._measurement_shape = tuple(physics.get("measurement_shape", ()))
            self._size = tuple(physics.get("size", ()))
            self.sampling: dict[str, Any] | None = physics.get("sampling")
            self.matrix_digest: str | None = physics.get("matrix_sha256")
        except (AttributeError, TypeError, ValueError) as error:
            raise InputError(f"{path}: its physics is damaged") from error
        self._settings = Settings(self._session, self.algorithm)
        self.noise_rule = self._settings.noise_rule
        self.takes_clipping = CLIPPING in self._session.optional

    def __call__(
        self,
        y: NDArray[Any],
        kernel: NDArray[Any] | None = None,
        *,
        noise: float | None = None,
        strength: float | None = None,
        x0: NDArray[Any] | None = None,
        max_iter: int | None = None,
        tol: float | None = None,
        clipping: bool = False,
    ) -> Restoration:
        """Restore images.

        Args:
            y: blurred images ``(B, C, H, W)`` of any floating-point type, on the scale ``[0, 1]``; or measurements,
                ``(B, C, m)`` or ``(B, C, blocks, m)``.
            kernel: kernel of a blur, ``(h, w)`` or ``(1, 1, h, w)``, no larger than the images. It is taken as it is: a
                blur keeps the light if the sum of its kernel is 1.
            noise: standard deviation of the noise of ``y``, on the scale of images in ``[0, 1]``. All settings of the
                prior follow from it, as in `gradprox.solvers.preset`; see `noise_rule`.
            strength: multiplier of the strength of the prior: 1 if not given; a larger value gives smoother images.
            x0: first images of the iterations, ``(B, C, H, W)``, in the shape of the result. With a valid boundary they
                are extended by their edge pixels. If not given, the iterations start at the photo, extended in the same
                way, or at a linear reconstruction.
            max_iter: step budget after the warm start; the planned steps of the preset if not given.
            tol: an image has converged when its relative change is at most this; that of the preset if not given.
            clipping: whether pixels may have been clipped at 0 and 1: a white one says only that its light was at least
                white, and a black one that it was at most black. Needs a file that `takes_clipping`.

        Raises:
            InputError: an argument is illegal or not finite.

        Warns:
            UserWarning: the values of ``y`` or ``x0`` are on another scale, or the noise is beyond the training.
        """
        y = self._measurements(y)
        kernel = self._kernel(kernel, y)
        start = self._start(x0, y)
        inputs = self._settings.inputs(Given(noise, strength, max_iter, tol))
        if clipping and not self.takes_clipping:
            raise InputError(f"clipping: {self._session.path} {AS_THEY_ARE}")
        self._warn(y, start, inputs.sigma)
        found = self._session.run(
            {
                "y": y,
                **({} if kernel is None else {"kernel": kernel}),
                **inputs.arrays,
                **start,
                **({CLIPPING: np.array(True)} if clipping else {}),
            }
        )
        full = "completed" if inputs.planned else "max_iter"
        return Restoration(
            finite("the result", found["x"]),
            [full if index == 0 else STATUS[index] for index in found["status"].tolist()],
            found["steps"],
            found["objective"],
            found["residuals"],
        )

    def _warn(self, y: NDArray[Any], start: dict[str, NDArray[Any]], sigma: float) -> None:
        """Warn of images and noise that the model is not made for."""
        # Measurements of compressed sensing may have any scale.
        images = start if self.problem == "cs" else {"y": y, **start}
        for name, image in images.items():
            wrong = wrong_in_memory(max(float(image.max()), -float(image.min())))
            if wrong is not None:
                warnings.warn(f"{self._session.path}: {name}: {wrong}", stacklevel=3)
        trained = self._session.entry("noise_range")
        if sigma > MARGIN * trained[1]:
            warnings.warn(
                beyond_training(self.metadata.get("name", str(self._session.path)), trained), stacklevel=3
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
