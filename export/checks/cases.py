"""The inputs that an exported denoiser is verified with: images of many sizes and batches, many noise levels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from gradprox.export.checks.report import Progress, demand, run, silent

# (batch, height, width): one pixel, one line, odd, prime, not powers of two, larger than a tile of the network.
SHAPES = ((1, 1, 1), (3, 1, 1), (2, 1, 64), (3, 7, 13), (1, 31, 37), (1, 48, 60), (3, 97, 101), (1, 193, 64))
NOISE_LEVELS = (0.0, 1 / 255, 0.02, 25 / 255, 50 / 255, 0.5)


@dataclass(frozen=True)
class Case:
    """One call of an exported denoiser, and its outputs.

    Attributes:
        y: images, float32 ``(B, C, H, W)``.
        sigma: their noise level, float32 ``(1,)``.
        x: the output ``x``, of the shape of ``y``.
        others: the other outputs by name, ``(B,)``.
    """

    y: NDArray[np.float32]
    sigma: NDArray[np.float32]
    x: NDArray[np.float32]
    others: dict[str, NDArray[Any]]

    def __str__(self) -> str:
        batch, _, height, width = self.y.shape
        return f"{batch}x{height}x{width} at noise {float(self.sigma[0]):.3g}"


def run_cases(
    session: onnxruntime.InferenceSession, channels: int, others: tuple[str, ...], progress: Progress = silent
) -> Iterator[Case]:
    """Call a denoiser once for every shape and noise level.

    Args:
        session: the denoiser.
        channels: number of channels of its images.
        others: names of the outputs that it must have beside ``x``. An output ``potential`` may come last.
        progress: called before each shape.

    Raises:
        VerificationError: the denoiser has other outputs, or outputs of other shapes, or cannot be run.
    """
    names = [output.name for output in session.get_outputs()]
    demand(names in (["x", *others], ["x", *others, "potential"]), f"it has the outputs {', '.join(names)}")
    generator = np.random.default_rng(0)
    for number, (batch, height, width) in enumerate(SHAPES, start=1):
        progress(f"comparing with torch, {number} of {len(SHAPES)}: {batch} x {height}x{width} pixels")
        # Noise with an edge; a quarter of the range of images below 0 and above 1.
        y = generator.uniform(-0.25, 1.25, (batch, channels, height, width)).astype(np.float32)
        y[..., width // 2 :] *= np.float32(0.25)
        for level in NOISE_LEVELS:
            sigma = np.array([level], np.float32)
            x, *rest = run(session, {"y": y, "sigma": sigma})
            shapes = [value.shape for value in (x, *rest)]
            demand(shapes == [y.shape, *[(batch,)] * len(rest)], f"its outputs have the shapes {shapes}")
            yield Case(y, sigma, x, dict(zip(names[1:], rest, strict=True)))


def has_potential(session: onnxruntime.InferenceSession) -> bool:
    """Return whether a denoiser has an output ``potential``."""
    return any(output.name == "potential" for output in session.get_outputs())


class LargestError:
    """The largest of several errors, and the case it belongs to.

    Attributes:
        error: the largest error; NaN if any error is NaN.
        at: the case, in words.
    """

    def __init__(self) -> None:
        self.error, self.at = -1.0, ""

    def add(self, error: float, case: Case) -> None:
        """Include one more error."""
        if error > self.error or np.isnan(error):
            self.error, self.at = error, str(case)


def potential_error(case: Case, expected: NDArray[np.float64]) -> float:
    """Return the relative error of a case's potential; 0 where it has none."""
    if "potential" not in case.others:
        return 0.0
    return float(np.abs(case.others["potential"] - expected).max() / np.abs(expected).max())
