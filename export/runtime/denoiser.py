"""The learned prox without torch: ``D = OnnxDenoiser("denoiser.onnx")``, called as ``D(y, sigma)``."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from onnxruntime import OrtValue

from gradprox.errors import InputError
from gradprox.export.runtime.session import Session, finite, numbers, single, whole_number
from gradprox.export.runtime.tiling import spans

# Pixels a side of a window without its halo. Small enough that peak memory hardly grows with the image, large
# enough that the halo costs little.
TILE = 256
# Pixels of an image from which it pays to prepare the model for its noise level.
SPECIALISE = 192 * 192


class OnnxDenoiser:
    """A learned proximal operator ``D(y, sigma)`` in ONNX Runtime.

    Args:
        path: a file written by `gradprox.export.export_denoiser`.
        provider: ``"cpu"``, ``"cuda"``, ``"tensorrt"``, ``"openvino"``, ``"coreml"`` or ``"directml"``.
        allow_fallback: run on the CPU, with a warning, where the provider cannot be used.
        threads: CPU threads; ONNX Runtime's choice, all cores, if not given.
        tile: pixels a side of the windows in which an image is processed; ``None`` takes it whole, which needs
            about 1.4 GB a megapixel for every 64 filters, 2.2 GB where a model iterates. One that does not is
            local, with a halo that the file states, so windows are exact; but not of a quantized model, whose
            rounding depends on all of a window. One that does always takes images whole.
        allow_uncertified: run a quantized model too, which is no certified proximal operator.

    Attributes:
        certified: whether it is the proximal operator that its network is, but for rounding and, where it
            iterates, its tolerance.
        channels: of the images it takes together: 1 or 3.
        halo: how many pixels away an input can change an output; ``None`` if any.
        has_potential: whether the file was exported with its potential, for `with_potential`.
        provider: the provider in use.
        metadata: everything the file says of itself, by key.
        path: the file.

    Raises:
        InputError: the file is no such model, the provider cannot be used, or the model is not certified.

    Example:
        >>> D = OnnxDenoiser("denoiser.onnx")
        >>> D(np.zeros((1, 3, 20, 30), np.float32), 25 / 255).shape
        (1, 3, 20, 30)
    """

    def __init__(
        self,
        path: str | Path,
        provider: str = "cpu",
        *,
        allow_fallback: bool = False,
        threads: int | None = None,
        tile: int | None = TILE,
        allow_uncertified: bool = False,
    ) -> None:
        self.tile = None if tile is None else whole_number("tile", tile, 1)
        self._session = Session(path, "denoiser", provider, allow_fallback=allow_fallback, threads=threads)
        self.provider = self._session.provider
        self.metadata = self._session.metadata
        self.path = path
        self.has_potential = "potential" in self._session.outputs
        self.certified = self.metadata.get("certified", "true") == "true"
        if not self.certified and not allow_uncertified:
            raise InputError(
                f"{path}: {self.metadata.get('precision')} is not certified to be a proximal operator, "
                "only near one: allow_uncertified=True runs it anyway"
            )
        self.channels, self.halo = (self._session.entry(key) for key in ("channels", "halo"))
        if self.channels not in (1, 3):
            raise InputError(f"{path}: its metadata says the images have {self.channels!r} channels")
        # What iterates, to a tolerance, reaches as far as an image does; what does not, only so far.
        if (
            self.halo is not None
            if "tolerance" in self.metadata
            else not isinstance(self.halo, int) or self.halo < 0
        ):
            raise InputError(f"{path}: its metadata says the halo is {self.halo!r}")

    def __call__(self, y: NDArray[Any], sigma: ArrayLike) -> NDArray[np.float32]:
        """Return ``D(y)``, float32; a gray model takes the channels one by one.

        Args:
            y: images ``(B, C, H, W)`` of any floating-point type, on the scale ``[0, 1]``; nothing is clipped.
                ``C`` is the model's ``channels``, or any number where those are 1.
            sigma: noise level on the scale of ``y``: one number, or one for each of the ``B`` images.

        Raises:
            InputError: ``y`` is not such an array; values that are not finite, in ``y`` or in the result; a noise
                level that is negative.

        Warns:
            RuntimeWarning: a model that iterates has not reached its tolerance.
        """
        y, levels = self._checked(y, sigma)
        out = np.empty(y.shape, np.float32)
        for image, result, level in zip(y, out, levels, strict=True):
            for together in self._together(image):
                self._denoise(single("the image", image[together]), level, result[together])
        return out

    def with_potential(
        self, y: NDArray[Any], sigma: ArrayLike
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Return ``D(y)``, and the convex ``Phi(y)``, ``(B,)``, whose gradient it is; of images taken whole.

        Args:
            y: as of a call.
            sigma: as of a call.

        Raises:
            InputError: as of a call; or the file was exported without its potential.
        """
        if not self.has_potential:
            raise InputError(f"{self.path}: has no potential: export the model with its potential")
        y, levels = self._checked(y, sigma)
        out, potential = np.empty(y.shape, np.float32), np.zeros(len(y))
        for number, level in enumerate(levels):
            noise, constants = _noise(level, y[number, 0].size)
            for together in self._together(y[number]):
                planes = single("the image", y[number, together])
                found = self._run({"y": planes[None], **noise}, constants)
                out[number, together] = finite("the result", found["x"][0])
                potential[number] += finite("the potential", found["potential"])[0]
        return out, potential

    def to_device(self, y: NDArray[Any]) -> OrtValue:
        """Copy images ``(B, channels, H, W)`` of any floating-point type to where the model runs, as float32.

        Raises:
            InputError: they are no such array, or contain NaN or infinite values.
        """
        return self._session.to_device(single("the image", _images(y)))

    def on_device(self, y: OrtValue, sigma: float, out: OrtValue | None = None) -> OrtValue:
        """Return ``D(y)`` without moving it off the device, whole: for loops that run there.

        What is bound to it can be read by ``numpy()``. Nothing looks at its values: NaN goes in and out, and nothing
        says whether a model that iterates has arrived.

        Args:
            y: float32 images ``(B, channels, H, W)`` from `to_device`, from here, or from another library by
                ``onnxruntime.OrtValue.from_dlpack``. A gray model takes colors as a batch.
            sigma: noise level.
            out: of the shape of ``y``, to be written to, and not ``y`` itself; new memory if not given.

        Raises:
            InputError: ``y`` or ``out`` is not such a tensor; a noise level that is negative or not finite.
        """
        if not isinstance(y, OrtValue):
            raise InputError(f"expected what to_device returns, got {type(y).__name__}")
        shape = y.shape()
        if y.data_type() != "tensor(float)" or len(shape) != 4 or shape[1] != self.channels or 0 in shape:
            raise InputError(
                f"expected float32 images (B, {self.channels}, H, W), got {y.data_type()} of shape {shape}"
            )
        if out is not None and (out.data_type() != y.data_type() or out.shape() != shape or out is y):
            raise InputError(f"expected another float32 tensor of shape {shape} to write to")
        (level,) = _levels(sigma, 1)
        small, constants = _noise(level, shape[2] * shape[3])
        return self._session.run_on_device({"y": y}, small, constants, "x", out)

    def _checked(self, y: NDArray[Any], sigma: ArrayLike) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """Return images and the noise level of each, or raise `InputError`."""
        y = _images(y)
        if self.channels not in (1, y.shape[1]):
            raise InputError(f"expected images of {self.channels} channels, got {y.shape[1]}")
        return y, np.broadcast_to(_levels(sigma, len(y)), len(y))

    def _together(self, image: NDArray[Any]) -> Iterator[slice]:
        """Yield the channels that the model takes together: no more at a time, so that memory does not grow."""
        for first in range(0, len(image), self.channels):
            yield slice(first, first + self.channels)

    def _run(self, inputs: dict[str, NDArray[Any]], constants: dict[str, float]) -> dict[str, NDArray[Any]]:
        """Run the model; warn where an image has not arrived."""
        found = self._session.run(inputs, constants)
        if not np.all(found.get("arrived", True)):
            warnings.warn(
                f"{self.path}: an image is short of the model's tolerance after its last step",
                RuntimeWarning,
                stacklevel=4,
            )
        return found

    def _denoise(self, planes: NDArray[np.float32], level: np.float32, out: NDArray[np.float32]) -> None:
        """Write ``D`` of ``(channels, H, W)`` into ``out``."""
        height, width = planes.shape[1:]
        sigma, constants = _noise(level, height * width)
        side = max(height, width) if self.tile is None or self.halo is None else self.tile
        for rows in spans(height, side, self.halo or 0):
            for columns in spans(width, side, self.halo or 0):
                window = np.ascontiguousarray(planes[:, rows.read, columns.read])[None]
                x = self._run({"y": window, **sigma}, constants)["x"]
                out[:, rows.kept, columns.kept] = finite("the result", x[0, :, rows.inner, columns.inner])


def _images(y: object) -> NDArray[Any]:
    """Return an array ``(B, C, H, W)``, or raise `InputError`."""
    array = np.asarray(y)
    if array.ndim != 4 or array.dtype.kind != "f" or array.size == 0:
        raise InputError(
            f"expected floating-point images (B, C, H, W), got {array.dtype} of shape {array.shape}"
        )
    return array


def _levels(sigma: ArrayLike, count: int) -> NDArray[np.float32]:
    """Return one noise level, or ``count``, or raise `InputError`."""
    levels = numbers("the noise level", sigma)
    if levels.size not in (1, count) or (levels < 0).any():
        raise InputError(f"expected one noise level, or {count}, not negative; got {levels.tolist()}")
    return levels


def _noise(level: np.float32, pixels: int) -> tuple[dict[str, NDArray[Any]], dict[str, float]]:
    """Return the noise level as an input, or as a constant where it pays to prepare the model for it."""
    if pixels >= SPECIALISE:
        return {}, {"sigma": float(level)}
    return {"sigma": np.array([level])}, {}
