"""Compare an exported preset with the preset of torch: seconds on one thread, pixels, and step counts.

    python benchmarks/export_presets.py Set12 --model gray-deep --boundary valid --json figures.json
    python benchmarks/export_presets.py Set12 --model gray-deep --problem cs --side 64 --json figures.json

Crops of the images are blurred, of odd and even sizes, or measured, a quarter of their Hadamard coefficients. They are
restored by the preset of ``gradprox deblur`` or ``recover`` in torch, and by the file in ONNX Runtime. Both run in
turns in one process, so that other work of the machine affects them alike; the best time of each counts. Images are
compared with torch in double precision too, because torch in single precision is not exact either. Of a gray model each
channel of a color image counts as an image of its own.
"""

from __future__ import annotations

import argparse
import copy
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import typer

from gradprox import load_model
from gradprox.export import export_solver
from gradprox.export.runtime import OnnxSolver
from gradprox.files import write_json
from gradprox.images import read_image
from gradprox.memory import keep_freed_memory
from gradprox.physics import HadamardSensing, blur_of_photos, gaussian_kernel, motion_kernel
from gradprox.solvers import deblur_images, preset

KERNELS = (gaussian_kernel(1.6), motion_kernel(15, 45))
NOISE = (0.01, 2.55 / 255, 0.03, 0.0)


def pixels_of(path: Path, color: bool) -> torch.Tensor:
    """Return an image, ``(1, C, H, W)``."""
    pixels = read_image(path).pixels
    return pixels if color else pixels.mean(dim=1, keepdim=True)


def noisy(y: torch.Tensor, number: int, noise: float) -> tuple[torch.Tensor, float]:
    """Return measurements with noise, and its level as a file receives it."""
    generator = torch.Generator().manual_seed(number)
    return y + noise * torch.randn(y.shape, generator=generator), float(np.float32(noise))


def blurred(path: Path, number: int, side: int, color: bool) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Return a blurred crop of an image with noise, its kernel, and its noise level."""
    kernel, noise = KERNELS[number % len(KERNELS)], NOISE[number % len(NOISE)]
    pixels = pixels_of(path, color)
    height, width = side + 5 * number, side - 3 * number
    margin = kernel.shape[-1] - 1
    sharp = pixels[..., : height + margin, : width + margin]
    size = (sharp.shape[-2] - margin, sharp.shape[-1] - margin)
    y, level = noisy(blur_of_photos("valid", kernel, size, sharp.shape[1]).A(sharp), number, noise)
    return y, kernel, level


def seconds(run: Callable[[], Any]) -> tuple[float, Any]:
    """Return the time of a call and its result."""
    began = time.perf_counter()
    found = run()
    return time.perf_counter() - began, found


def main() -> None:
    """Measure, print a table, and write JSON if a path is given."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder of images")
    parser.add_argument("--model", default="gray-fast", help="a shipped model or a model file")
    parser.add_argument("--problem", default="deblur", help="deblur or cs")
    parser.add_argument("--boundary", default="valid", help="valid or circular")
    parser.add_argument("--color", action="store_true", help="keep colors")
    parser.add_argument("--side", type=int, default=120, help="about the pixels a side of a crop")
    parser.add_argument("--count", type=int, default=10, help="number of images")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--file", type=Path, help="an exported preset; one is made if not given")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()  # as the command line does
    prior = load_model(arguments.model)
    exact = copy.deepcopy(prior).double()
    sensing = None
    if arguments.problem == "cs":
        sensing = HadamardSensing((arguments.side,) * 2, arguments.side**2 // 4)
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.file or Path(folder) / "deblur.onnx"
        if arguments.file is None:
            typer.echo(export_solver(sensing or "deblur", None, prior, path, boundary=arguments.boundary))
        solver = OnnxSolver(path, threads=1)
    typer.echo(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    typer.echo(
        "image               size    torch s   onnx s  ratio  steps        to torch  to float64  torch to float64"
    )
    rows = []
    for number, source in enumerate(sorted(arguments.data.iterdir())[: arguments.count]):
        if sensing is None:
            y, kernel, noise = blurred(source, number, arguments.side, arguments.color)
            given = [kernel]
        else:
            sharp = pixels_of(source, arguments.color)[..., : arguments.side, : arguments.side]
            y, noise = noisy(sensing.A(sharp), number, NOISE[number % len(NOISE)])
            given = []
        chosen = preset(arguments.problem, noise)

        def in_torch(
            dtype: torch.dtype = torch.float32,
            prior: Any = prior,
            y: torch.Tensor = y,
            given: list[torch.Tensor] = given,
            chosen: Any = chosen,
        ) -> Any:
            if sensing is not None:
                result = chosen(y.to(dtype), copy.deepcopy(sensing).to(dtype), prior)
                return result.x, result
            return deblur_images(y.to(dtype), given[0].to(dtype), prior, chosen, boundary=arguments.boundary)

        def in_runtime(y: torch.Tensor = y, given: list[torch.Tensor] = given, noise: float = noise) -> Any:
            return solver(y.numpy(), *(kernel.numpy() for kernel in given), noise=noise)

        turns = [(seconds(in_torch), seconds(in_runtime)) for _ in range(arguments.repeats)]
        (torch_seconds, (x, result)), (onnx_seconds, restored) = (
            min(column, key=lambda timed: timed[0]) for column in zip(*turns, strict=True)
        )
        reference, exact_result = in_torch(torch.float64, exact)
        row = {
            "image": source.name,
            "size": list(y.shape),
            "noise": noise,
            "torch_seconds": torch_seconds,
            "onnx_seconds": onnx_seconds,
            "steps_torch": result.steps.tolist(),
            "steps_float64": exact_result.steps.tolist(),
            "steps_onnx": restored.steps.tolist(),
            "status_equal": restored.status == [status.value for status in exact_result.status],
            "to_torch": float(np.abs(restored.x - x.numpy()).max()),
            "to_float64": float(np.abs(restored.x - reference.numpy()).max()),
            "torch_to_float64": float((x - reference).abs().max()),
        }
        rows.append(row)
        steps = "/".join(str(row[name][0]) for name in ("steps_torch", "steps_float64", "steps_onnx"))
        typer.echo(
            f"{source.name:<18} {'x'.join(map(str, y.shape[1:])):<10} {torch_seconds:6.2f}  {onnx_seconds:6.2f}  "
            f"{onnx_seconds / torch_seconds:5.2f}  {steps:<11} {row['to_torch']:9.1e} {row['to_float64']:9.1e} "
            f"{row['torch_to_float64']:9.1e}"
        )
    total = sum(row["onnx_seconds"] for row in rows) / sum(row["torch_seconds"] for row in rows)
    typer.echo(f"all: ONNX Runtime takes {total:.2f} times the time of torch")
    if arguments.json:
        write_json(
            arguments.json, {"arguments": {k: str(v) for k, v in vars(arguments).items()}, "images": rows}
        )


if __name__ == "__main__":
    main()
