"""What deployment costs: torch against ONNX Runtime, in milliseconds and megabytes a megapixel.

    python benchmarks/runtime.py gray --side 1024 --json runtime.json

Every configuration runs in a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

SIGMA = 25 / 255
IMPORTS = ("gradprox.export.runtime", "gradprox.operators")


@dataclass(frozen=True)
class Configuration:
    """One way to denoise: ``engine`` is ``"torch"`` or ``"onnxruntime"``; ``tile`` is for the latter."""

    engine: str
    threads: int
    tile: int | None = None

    def __str__(self) -> str:
        tiles = (
            "its own tiles" if self.engine == "torch" else f"tiles of {self.tile}" if self.tile else "whole"
        )
        return f"{self.engine}, {self.threads} thread{'s' * (self.threads > 1)}, {tiles}"


CONFIGURATIONS = [
    Configuration(engine, threads, tile)
    for threads in (1, 2)
    for engine, tile in (("torch", None), ("onnxruntime", None), ("onnxruntime", 512), ("onnxruntime", 256))
]


def denoiser(configuration: Configuration, model: str, exported: Path) -> Callable[[np.ndarray], Any]:
    """Return what denoises a picture ``(1, 1, H, W)``."""
    if configuration.engine == "torch":
        import torch

        from gradprox import load_model

        torch.set_num_threads(configuration.threads)
        prior = load_model(model)

        @torch.no_grad()
        def eager(y: np.ndarray) -> torch.Tensor:
            return prior(torch.from_numpy(y), SIGMA)

        return eager
    from gradprox.export.runtime import OnnxDenoiser

    runtime = OnnxDenoiser(exported, threads=configuration.threads, tile=configuration.tile)
    return lambda y: runtime(y, SIGMA)


def measure(
    configuration: Configuration, model: str, exported: Path, side: int, repeats: int
) -> dict[str, float]:
    """Return the best of ``repeats`` times, on the clock and of all threads, and how much memory was needed."""
    operator = denoiser(configuration, model, exported)
    y = np.random.default_rng(0).random((1, 1, side, side), dtype=np.float32)
    operator(y[..., :32, :32].copy())
    before = memory("VmRSS")
    elapsed, busy = [], []
    for _ in range(repeats):
        began, worked = time.perf_counter(), time.process_time()
        operator(y)
        elapsed.append(time.perf_counter() - began)
        busy.append(time.process_time() - worked)
    megapixels = side**2 / 1e6
    return {
        "ms_per_megapixel": min(elapsed) * 1e3 / megapixels,
        "cpu_ms_per_megapixel": min(busy) * 1e3 / megapixels,
        "mb_per_megapixel": (memory("VmHWM") - before) / megapixels,
    }


def memory(figure: str) -> float:
    """Return ``VmRSS``, the memory in use, or ``VmHWM``, its peak, of this process in MB; on Linux."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = [line for line in status.splitlines() if line.startswith(f"{figure}:")]
    return float(line.split()[1]) / 1024


def import_seconds(module: str) -> float:
    """Return the best of five times that a fresh interpreter needs to import a module, less its own start."""

    def fresh(code: str) -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603
        return time.perf_counter() - began

    return min(fresh(f"import {module}") for _ in range(5)) - min(fresh("pass") for _ in range(5))


def main() -> None:
    """Measure, print a table, write JSON where asked to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", default="gray", help="a shipped model or a model file")
    parser.add_argument("--side", type=int, default=512, help="pixels a side of the picture")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    arguments = parser.parse_args()

    import typer

    from gradprox.cli.batch import write_json
    from gradprox.export import export_denoiser

    with tempfile.TemporaryDirectory() as folder:
        exported = Path(folder) / "denoiser.onnx"
        report = export_denoiser(arguments.model, exported)
        figures: dict[str, Any] = {
            "model": arguments.model,
            "side": arguments.side,
            "file_bytes": exported.stat().st_size,
            "import_seconds": {module: import_seconds(module) for module in IMPORTS},
            "verification": json.loads(report.to_json()),
            "runs": [],
        }
        typer.echo(f"{report}\nfile size {figures['file_bytes'] / 1e3:.0f} kB")
        for module, seconds in figures["import_seconds"].items():
            typer.echo(f"import {module}: {seconds:.2f} s")
        typer.echo(
            f"{'at ' + str(arguments.side) + ' x ' + str(arguments.side):<40} ms/Mpx  CPU ms/Mpx    MB/Mpx"
        )
        for configuration in CONFIGURATIONS:
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                settings = (configuration, arguments.model, exported, arguments.side, arguments.repeats)
                found = pool.apply(measure, settings)
            figures["runs"].append(asdict(configuration) | found)
            columns = zip((7, 12, 10), found.values(), strict=True)
            typer.echo(f"{configuration!s:<40}" + "".join(f"{value:{width}.0f}" for width, value in columns))
    if arguments.json:
        write_json(arguments.json, figures)


if __name__ == "__main__":
    main()
