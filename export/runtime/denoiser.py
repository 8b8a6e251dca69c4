"""A denoiser without torch: ``D = OnnxDenoiser("denoiser.onnx")``, called as ``D(y, sigma)``."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from onnxruntime import OrtValue

from gradprox.errors import InputError
from gradprox.export.runtime import container
from gradprox.export.runtime.arguments import finite, float_array, numbers, result_for, single, whole_number
from gradprox.export.runtime.session import Session
from gradprox.export.runtime.tiling import Span, spans
from gradprox.processors import usable_threads
from gradprox.scales import MARGIN, beyond_training, check_noise, wrong_in_memory

# Side of a tile without its halo, in pixels: small enough that peak memory hardly grows with the image, and large
# enough that the halo costs little. Where the halo is wide, a tile is several halos long.
TILE, HALOS = 256, 8
# Files of earlier versions do not state the cell of their model. This is a multiple of it.
COARSEST_CELL = 32
# Number of pixels from which it pays to prepare the model for one noise level.
SPECIALIZE = 192 * 192


class OnnxDenoiser:
    """A denoiser ``D(y, sigma)`` in ONNX Runtime; a proximal operator where its certificate says so.

    It may be called by several threads at a time.

    Args:
        path: a file written by `gradprox.export.export_denoiser`.
        provider: ``"cpu"``, ``"cuda"``, ``"tensorrt"``, ``"openvino"``, ``"coreml"`` or ``"directml"``.
        allow_fallback: run on the CPU, with a warning, where the provider cannot be used.
        threads: CPU threads; if not given, all cores. Where an image has several small tiles, each thread takes a tile.
        tile: side in pixels of the tiles in which images are processed; ``"auto"`` chooses it by the reach of the
            model. ``None`` takes images whole, which needs about 1.4 GB per megapixel and 64 filters, or 2.2 GB for a
            model that iterates. A model of one pass is local, and the file states how far it reaches, so tiles give
            exactly the values of whole images. A model that iterates always takes images whole.

    Attributes:
        channels: number of channels that the model takes together: 1 or 3.
        halo: how many pixels away an input can change an output; ``None`` if any distance is possible.
        has_potential: whether the file was exported with its potential, for `with_potential`.
        provider: the provider in use.
        metadata: all entries of the file's metadata, by key.
        path: the file.

    Raises:
        InputError: the file is no such model, or the provider cannot be used.

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
        tile: int | Literal["auto"] | None = "auto",
    ) -> None:
        self.tile = None if tile in (None, "auto") else whole_number("tile", tile, 1)
        self._open = partial(
            Session,
            path,
            "denoiser",
            provider,
            allow_fallback=allow_fallback,
            inputs=("y", "sigma"),
            outputs=("x",),
        )
        self._session = self._open(threads=threads)
        self._threads = threads or usable_threads()
        self.provider = self._session.provider
        self.metadata = self._session.metadata
        self.path = path
        self.has_potential = "potential" in self._session.outputs
        precision = self.metadata.get("precision", "float32")
        if precision not in container.PRECISIONS:
            raise InputError(
                f"{path}: its precision is {precision}: export the model again, in {' or '.join(container.PRECISIONS)}"
            )
        self.channels, self.halo = (self._session.entry(key) for key in ("channels", "halo"))
        if self.channels not in (1, 3):
            raise InputError(f"{path}: its metadata says the images have {self.channels!r} channels")
        # A model that iterates, to a tolerance, reaches any distance. A model of one pass does not.
        if (
            self.halo is not None
            if "tolerance" in self.metadata
            else not isinstance(self.halo, int) or self.halo < 0
        ):
            raise InputError(f"{path}: its metadata says the halo is {self.halo!r}")
        self._cell = self._session.entry("cell") if "cell" in self.metadata else COARSEST_CELL
        if not isinstance(self._cell, int) or self._cell < 1:
            raise InputError(f"{path}: its metadata says the cell is {self._cell!r}")
        if tile == "auto" and self.halo is not None:
            self.tile = max(TILE, HALOS * self.halo)

    def __call__(
        self,
        y: NDArray[Any],
        sigma: ArrayLike,
        *,
        callback: Callable[[float], None] | None = None,
    ) -> NDArray[np.float32]:
        """Return ``D(y)``, float32. A model of one channel takes the channels of an image one by one.

        Args:
            y: images ``(B, C, H, W)`` of any floating-point type, on the scale ``[0, 1]``. Other values are legal, and
                nothing is clipped. ``C`` is the model's ``channels``, or any number where those are 1.
            sigma: noise level on the scale of ``y``: one number, or one per image.
            callback: called after each tile with its share of the work.

        Raises:
            InputError: ``y`` is no such array; ``y`` or the result contains NaN or infinite values; a noise level is
                negative or above 1; or there is not enough memory.

        Warns:
            UserWarning: the values of ``y`` are on another scale, or there is more noise than in the training.
            RuntimeWarning: a model that iterates has not reached its tolerance.
        """
        y, levels = self._checked(y, sigma)
        out = result_for(y)
        self._warn_of_scale(y)
        for image, result, level in zip(y, out, levels, strict=True):
            for together in self._channel_groups(image):
                for pixels in self._denoise(image[together], level, result[together]):
                    if callback is not None:
                        callback(pixels * self.channels / y.size)
        return out

    def with_potential(
        self, y: NDArray[Any], sigma: ArrayLike
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Return ``D(y)``, and the potential ``Phi(y)``, ``(B,)``, whose gradient it is. Images are taken whole.

        Args:
            y: as in a call.
            sigma: as in a call.

        Raises:
            InputError: as in a call; or the file was exported without its potential.
        """
        if not self.has_potential:
            raise InputError(
                f"{self.path}: the file has no potential: export the model again with its potential"
            )
        y, levels = self._checked(y, sigma)
        out, potential = result_for(y), np.zeros(len(y))
        self._warn_of_scale(y)
        for number, level in enumerate(levels):
            noise, constants = _noise(level, y[number, 0].size)
            for together in self._channel_groups(y[number]):
                found = self._run(y[number, together], noise, constants)
                out[number, together] = found["x"][0]
                potential[number] += finite("the potential", found["potential"])[0]
        return out, potential

    def to_device(self, y: NDArray[Any]) -> OrtValue:
        """Copy images ``(B, channels, H, W)`` of any floating-point type to where the model runs, as float32.

        Raises:
            InputError: ``y`` is no such array, or contains NaN or infinite values.
        """
        return self._session.to_device(single("the image", _images(y)))

    def on_device(self, y: OrtValue, sigma: float, out: OrtValue | None = None) -> OrtValue:
        """Return ``D(y)`` without moving it off the device, for loops that run there. Images are taken whole.

        The method ``numpy()`` of the result copies it to the CPU. Values are not checked: NaN gives NaN, and there is
        no warning where a model that iterates has not reached its tolerance.

        Args:
            y: float32 images ``(B, channels, H, W)`` from `to_device`, from this method, or from another library
                through ``onnxruntime.OrtValue.from_dlpack``. A model of one channel takes colors as a batch.
            sigma: noise level.
            out: memory for the result, of the shape of ``y`` and not ``y`` itself; new memory if not given.

        Raises:
            InputError: ``y`` or ``out`` is no such tensor, or the noise level is negative or not finite.
        """
        if not isinstance(y, OrtValue):
            raise InputError(f"expected a tensor from to_device, got {type(y).__name__}")
        shape = y.shape()
        if y.data_type() != "tensor(float)" or len(shape) != 4 or shape[1] != self.channels or 0 in shape:
            raise InputError(
                f"expected float32 images (B, {self.channels}, H, W), got {y.data_type()} of shape {shape}"
            )
        if out is not None and (
            not isinstance(out, OrtValue)
            or out.data_type() != y.data_type()
            or out.shape() != shape
            or out is y
        ):
            raise InputError(f"expected another float32 tensor of shape {shape} to write to")
        (level,) = _levels(sigma, 1)
        small, constants = _noise(level, shape[2] * shape[3])
        return self._session.run_on_device({"y": y}, small, constants, "x", out)

    def _checked(self, y: NDArray[Any], sigma: ArrayLike) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """Return images and the noise level of each, or raise `InputError`."""
        y = _images(y)
        if self.channels not in (1, y.shape[1]):
            raise InputError(f"expected images of {self.channels} channels, got {y.shape[1]}")
        levels = _levels(sigma, len(y))
        trained = self._session.entry("noise_range")
        if trained and levels.max() > MARGIN * trained[1]:
            warnings.warn(beyond_training(self.metadata.get("name", str(self.path)), trained), stacklevel=3)
        return y, np.broadcast_to(levels, len(y))

    def _warn_of_scale(self, y: NDArray[Any]) -> None:
        """Warn of images whose values are not on the scale from 0 to 1."""
        wrong = wrong_in_memory(max(float(y.max()), -float(y.min())))
        # What single precision cannot hold is refused as infinite.
        if wrong is not None and np.abs(y).max() < np.finfo(np.float32).max:
            warnings.warn(f"{self.path}: {wrong}", stacklevel=3)

    def _channel_groups(self, image: NDArray[Any]) -> Iterator[slice]:
        """Yield the channels that the model takes together. Groups run one by one, to save memory."""
        for first in range(0, len(image), self.channels):
            yield slice(first, first + self.channels)

    def _run(
        self,
        planes: NDArray[Any],
        noise: dict[str, NDArray[Any]],
        constants: dict[str, float],
        session: Session | None = None,
    ) -> dict[str, NDArray[Any]]:
        """Run the model on ``(channels, H, W)``, check its result, and warn where the image has not arrived."""
        y = single("the image", planes)[None]
        found = (session or self._session).run({"y": y, **noise}, constants)
        if finite("the result", found["x"]).shape != y.shape:
            raise InputError(f"{self.path}: returns {found['x'].shape} for an image of shape {y.shape}")
        if not np.all(found.get("arrived", True)):
            warnings.warn(
                f"{self.path}: after the last step, an image is not within the model's tolerance",
                RuntimeWarning,
                stacklevel=4,
            )
        return found

    def _denoise(self, planes: NDArray[Any], level: np.float32, out: NDArray[np.float32]) -> Iterator[int]:
        """Write ``D`` of ``(channels, H, W)`` into ``out``; yield the number of pixels of each finished tile."""
        height, width = planes.shape[1:]
        noise, constants = _noise(level, height * width)
        side = max(height, width) if self.tile is None or self.halo is None else self.tile
        down, across = (list(spans(length, side, self.halo or 0, self._cell)) for length in (height, width))
        tiles = list(product(down, across))
        workers = min(self._threads, len(tiles)) if self.provider == "cpu" and side <= TILE else 1
        session = self._session if workers == 1 else self._one_thread

        def denoise(tile: tuple[Span, Span]) -> int:
            rows, columns = tile
            x = self._run(planes[:, rows.read, columns.read], noise, constants, session)["x"]
            out[:, rows.kept, columns.kept] = x[0, :, rows.inner, columns.inner]
            return (rows.stop - rows.start) * (columns.stop - columns.start)

        if workers == 1:
            yield from map(denoise, tiles)
            return
        pool = ThreadPoolExecutor(workers)
        try:
            yield from pool.map(denoise, tiles)
        finally:
            pool.shutdown(cancel_futures=True)

    @cached_property
    def _one_thread(self) -> Session:
        """The model for threads that take a tile each: they scale better than threads that share every operation."""
        return self._open(threads=1)


def _images(y: object) -> NDArray[Any]:
    """Return an array ``(B, C, H, W)``, or raise `InputError`."""
    expected = "floating-point images (B, C, H, W)"
    array = float_array(expected, y)
    if array.ndim != 4:
        raise InputError(f"expected {expected}, got {array.dtype} of shape {array.shape}")
    return array


def _levels(sigma: ArrayLike, count: int) -> NDArray[np.float32]:
    """Return one noise level, or ``count`` of them, or raise `InputError`."""
    levels = numbers("the noise level", sigma)
    if levels.size not in (1, count):
        raise InputError(f"expected one noise level, or one for each of {count} images, got {levels.size}")
    if (levels < 0).any():
        raise InputError(f"noise levels must not be negative, got {levels.min():g}")
    check_noise("noise level", float(levels.max()))
    return levels


def _noise(level: np.float32, pixels: int) -> tuple[dict[str, NDArray[Any]], dict[str, float]]:
    """Return the noise level as an input, or as a constant where it pays to prepare the model for it."""
    if pixels >= SPECIALIZE:
        return {}, {"sigma": float(level)}
    return {"sigma": np.array([level])}, {}
