"""Measure the cost of deployment in torch and in ONNX Runtime: milliseconds and megabytes per megapixel.

    python benchmarks/runtime.py gray --side 1024 --json runtime.json
    python benchmarks/runtime.py gray --side 8000 --repeats 1 --only "onnxruntime, 1 thread, its own tiles"

Every configuration runs in a process of its own, so that peaks of memory are measured separately. The processes take
turns, so that other work of the machine affects them alike. Memory is that of the host. On a GPU the whole image is on
the device before the time starts. A configuration that this machine cannot run is reported as absent, with the reason.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from gradprox.errors import InputError

SIGMA = 25 / 255
IMPORTS = ("gradprox.export.runtime", "gradprox.priors")


@dataclass(frozen=True)
class Configuration:
    """One way to denoise.

    Attributes:
        engine: ``"torch"``, ``"torch.compile"`` or ``"onnxruntime"``.
        threads: of the CPU.
        tile: of ONNX Runtime, which takes images whole if None; torch has tiles of its own.
        device: ``"cpu"`` or ``"cuda"``.
    """

    engine: str
    threads: int
    tile: Literal["auto"] | None = None
    device: str = "cpu"

    def __str__(self) -> str:
        tiles = "its own tiles" if self.engine.startswith("torch") or self.tile else "whole"
        threads = f"{self.threads} thread{'s' * (self.threads > 1)}"
        return f"{self.engine}, {threads if self.device == 'cpu' else self.device}, {tiles}"

    def absence(self, exported: Path) -> str | None:
        """Return the reason why this machine cannot run the configuration, or None."""
        if self.device == "cpu":
            return None
        if self.engine == "onnxruntime":
            from gradprox.export.runtime import OnnxDenoiser

            try:
                OnnxDenoiser(exported, self.device)
            except InputError as error:
                return str(error)
            return None
        import torch

        return None if torch.cuda.is_available() else "torch finds no CUDA device"


CONFIGURATIONS = [
    *(
        configuration
        for threads in (1, 2)
        for configuration in (
            Configuration("torch", threads),
            Configuration("torch.compile", threads),
            Configuration("onnxruntime", threads),
            Configuration("onnxruntime", threads, tile="auto"),
        )
    ),
    *(Configuration(engine, 1, device="cuda") for engine in ("torch", "onnxruntime")),
]


def prepare(
    configuration: Configuration, model: str, exported: Path, side: int
) -> tuple[Callable[[Any], object], Any]:
    """Return a function that denoises an image and waits for the result, and the image as this function takes it."""
    if configuration.engine == "onnxruntime":
        return _in_runtime(configuration, exported, side)
    import torch

    from gradprox import load_model
    from gradprox.memory import keep_freed_memory

    keep_freed_memory()  # as the command line does
    torch.set_num_threads(configuration.threads)
    prior = load_model(model, configuration.device)
    y = torch.from_numpy(image(prior.network.channels or 1, side)).to(configuration.device)
    if configuration.engine == "torch.compile":
        prior.network = torch.compile(prior.network)

    @torch.no_grad()
    def denoise(y: Any) -> None:
        prior(y, SIGMA)
        if configuration.device == "cuda":
            torch.cuda.synchronize()

    return denoise, y


def _in_runtime(
    configuration: Configuration, exported: Path, side: int
) -> tuple[Callable[[Any], object], Any]:
    from gradprox.export.runtime import OnnxDenoiser

    runtime = OnnxDenoiser(
        exported,
        configuration.device,
        threads=configuration.threads,
        tile=configuration.tile,
    )
    y = image(runtime.channels, side)
    if configuration.device == "cpu":
        return lambda y: runtime(y, SIGMA), y
    return lambda y: runtime.on_device(y, SIGMA), runtime.to_device(y)


def image(channels: int, side: int) -> np.ndarray:
    """Return an image ``(1, channels, side, side)``."""
    return np.random.default_rng(0).random((1, channels, side, side), dtype=np.float32)


class Worker:
    """A process that denoises one image repeatedly in one configuration.

    Args:
        configuration: the way.
        model: the model's name or file.
        exported: its ONNX file.
        side: pixels a side of the image.
    """

    def __init__(self, configuration: Configuration, model: str, exported: Path, side: int) -> None:
        self.configuration = configuration
        self.megapixels = side**2 / 1e6
        self.figures: list[tuple[float, float, float]] = []
        self._pool = multiprocessing.get_context("spawn").Pool(
            1, _prepare, (configuration, model, exported, side)
        )

    def run(self) -> None:
        """Denoise once."""
        self.figures.append(self._pool.apply(_run))

    def close(self) -> dict[str, float]:
        """End the process; return its best wall-clock and processor times and its memory."""
        self._pool.close()
        self._pool.join()
        elapsed, busy, peak = zip(*self.figures, strict=True)
        return {
            "ms_per_megapixel": min(elapsed) * 1e3 / self.megapixels,
            "cpu_ms_per_megapixel": min(busy) * 1e3 / self.megapixels,
            "mb_per_megapixel": max(peak) / self.megapixels,
        }


# State of a worker process between calls.
_work: dict[str, Any] = {}


def _prepare(configuration: Configuration, model: str, exported: Path, side: int) -> None:
    operator, y = prepare(configuration, model, exported, side)
    # Setup and compilation on first use are not timed. Compilation and the search of CUDA are for one image size.
    whole = configuration.engine == "torch.compile" or configuration.device == "cuda"
    operator(y if whole else y[..., :32, :32])
    _work.update(operator=operator, y=y, before=memory("VmRSS"))


def _run() -> tuple[float, float, float]:
    began, worked = time.perf_counter(), time.process_time()
    _work["operator"](_work["y"])
    elapsed, busy = time.perf_counter() - began, time.process_time() - worked
    return elapsed, busy, memory("VmHWM") - _work["before"]


def memory(figure: str) -> float:
    """Return ``VmRSS``, the memory in use, or ``VmHWM``, its peak, of this process in MB; on Linux."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = [line for line in status.splitlines() if line.startswith(f"{figure}:")]
    return float(line.split()[1]) / 1024


def processor() -> str:
    """Return the processor's name; on Linux."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown"
    )


def import_seconds(module: str) -> float:
    """Return the seconds to import a module in a new interpreter, without its start: the best of five."""

    def fresh(code: str) -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603
        return time.perf_counter() - began

    return min(fresh(f"import {module}") for _ in range(5)) - min(fresh("pass") for _ in range(5))


def main() -> None:
    """Measure, print a table, and write JSON if a path is given."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", default="gray", help="a shipped model or a model file")
    parser.add_argument("--side", type=int, default=512, help="pixels a side of the image")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        help="run only configurations whose description contains this; may be repeated",
    )
    parser.add_argument(
        "--precision", default="float32", help="precision of the ONNX file: float32 or float16"
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    arguments = parser.parse_args()

    import typer

    from gradprox.export import export_denoiser
    from gradprox.files import write_json

    with tempfile.TemporaryDirectory() as folder:
        exported = Path(folder) / "denoiser.onnx"
        report = export_denoiser(arguments.model, exported, precision=arguments.precision)
        figures: dict[str, Any] = {
            "model": arguments.model,
            "side": arguments.side,
            "precision": arguments.precision,
            "repeats": arguments.repeats,
            "only": arguments.only,
            "processor": processor(),
            "file_bytes": exported.stat().st_size,
            "import_seconds": {module: import_seconds(module) for module in IMPORTS},
            "verification": json.loads(report.to_json()),
            "load_before": os.getloadavg()[0],
            "absent": [],
            "runs": [],
        }
        typer.echo(f"{report}\nfile size {figures['file_bytes'] / 1e3:.0f} kB")
        for module, seconds in figures["import_seconds"].items():
            typer.echo(f"import {module}: {seconds:.2f} s")
        typer.echo(f"load before: {figures['load_before']:.1f} on {os.cpu_count()} processors")
        typer.echo(
            f"{'at ' + str(arguments.side) + ' x ' + str(arguments.side):<40} ms/Mpx  CPU ms/Mpx    MB/Mpx"
        )
        chosen = [c for c in CONFIGURATIONS if any(part in str(c) for part in arguments.only or [""])]
        missing = {c: reason for c in chosen if (reason := c.absence(exported)) is not None}
        for configuration, reason in missing.items():
            figures["absent"].append({**asdict(configuration), "reason": reason})
            typer.echo(f"{configuration!s:<40} absent: {reason}")
        running = [Worker(c, arguments.model, exported, arguments.side) for c in chosen if c not in missing]
        for _ in range(arguments.repeats):
            for worker in running:
                worker.run()
        for worker in running:
            found = worker.close()
            figures["runs"].append(asdict(worker.configuration) | found)
            columns = zip((7, 12, 10), found.values(), strict=True)
            typer.echo(f"{worker.configuration!s:<40}" + "".join(f"{v:{width}.0f}" for width, v in columns))
    if arguments.json:
        write_json(arguments.json, figures)


if __name__ == "__main__":
    main()
