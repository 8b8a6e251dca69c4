"""Denoise an image with numpy and onnxruntime alone: no torch, no deepinv.

python denoise.py denoiser.onnx noisy.npy clean.npy --noise 0.098

The image is an array ``(H, W)`` or ``(H, W, C)`` on the scale [0, 1], in a .npy file.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from gradprox import InputError
from gradprox.export.runtime import OnnxDenoiser


def main() -> None:
    """Read an image, denoise it, and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("image", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument(
        "--noise", type=float, required=True, help="standard deviation of the noise, on the same scale"
    )
    parser.add_argument("--threads", type=int, default=None)
    arguments = parser.parse_args()

    image = np.load(arguments.image, allow_pickle=False)
    planes = np.moveaxis(np.atleast_3d(image), -1, 0)[None]
    try:
        denoised = OnnxDenoiser(arguments.model, threads=arguments.threads)(planes, arguments.noise)
    except InputError as error:
        raise SystemExit(f"error: {error}") from None
    np.save(arguments.output, np.moveaxis(denoised[0], 0, -1).reshape(image.shape))


if __name__ == "__main__":
    main()
