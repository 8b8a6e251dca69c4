"""What an exported denoiser is verified with: images of many sizes and batches, many noise levels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from gradprox.export.checks.report import demand, run

# (batch, height, width): one pixel, one line, odd, prime, no powers of two, larger than a tile of the network.
SHAPES = ((1, 1, 1), (3, 1, 1), (2, 1, 64), (3, 7, 13), (1, 31, 37), (1, 48, 60), (3, 97, 101), (1, 193, 64))
NOISE_LEVELS = (0.0, 1 / 255, 0.02, 25 / 255, 50 / 255, 0.5)


@dataclass(frozen=True)
class Case:
    """One call of a denoiser.

    Attributes:
        y: images, float32 ``(B, C, H, W)``.
        sigma: their noise level, float32 ``(1,)``.
        x: what it returned for them, of the shape of ``y``.
        others: its other outputs by name, ``(B,)``.
    """

    y: NDArray[np.float32]
    sigma: NDArray[np.float32]
    x: NDArray[np.float32]
    others: dict[str, NDArray[Any]]

    def __str__(self) -> str:
        batch, _, height, width = self.y.shape
        return f"{batch}x{height}x{width} at noise {float(self.sigma[0]):.3g}"


def run_cases(
    session: onnxruntime.InferenceSession, channels: int, others: tuple[str, ...]
) -> Iterator[Case]:
    """Call a denoiser on every case.

    Args:
        session: the denoiser.
        channels: of its images.
        others: the outputs that it must have beside ``x``; ``potential`` may come last.

    Raises:
        VerificationError: it has other outputs, or of other shapes; or cannot be run.
    """
    names = [output.name for output in session.get_outputs()]
    demand(names in (["x", *others], ["x", *others, "potential"]), f"it has the outputs {', '.join(names)}")
    generator = np.random.default_rng(0)
    for batch, height, width in SHAPES:
        # A step and noise; a quarter below and above the range of images.
        y = generator.uniform(-0.25, 1.25, (batch, channels, height, width)).astype(np.float32)
        y[..., width // 2 :] *= np.float32(0.25)
        for level in NOISE_LEVELS:
            sigma = np.array([level], np.float32)
            x, *rest = run(session, {"y": y, "sigma": sigma})
            shapes = [value.shape for value in (x, *rest)]
            demand(shapes == [y.shape, *[(batch,)] * len(rest)], f"its outputs are of the shapes {shapes}")
            yield Case(y, sigma, x, dict(zip(names[1:], rest, strict=True)))


def has_potential(session: onnxruntime.InferenceSession) -> bool:
    """Return whether a denoiser has that output."""
    return any(output.name == "potential" for output in session.get_outputs())


class Worst:
    """The largest of some errors, and the case it was found in.

    Attributes:
        error: the largest; once NaN, always NaN.
        at: the case, in words.
    """

    def __init__(self) -> None:
        self.error, self.at = -1.0, ""

    def add(self, error: float, case: Case) -> None:
        """Consider one more."""
        if error > self.error or np.isnan(error):
            self.error, self.at = error, str(case)


def potential_error(case: Case, expected: NDArray[np.float64]) -> float:
    """Return the relative error of a case's potential; 0 where it has none."""
    if "potential" not in case.others:
        return 0.0
    return float(np.abs(case.others["potential"] - expected).max() / np.abs(expected).max())
