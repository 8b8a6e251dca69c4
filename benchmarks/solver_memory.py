"""Measure the peak memory and the time of exported deblurring presets: one process for each file and size.

    python benchmarks/solver_memory.py gray-fast-deblur.onnx other.onnx --sizes 1000x1000 3840x2160

Photos are random blocks, blurred by a line of 15 pixels; noise is told, not added, because neither memory nor time
depends on it. Without ``--warm-start`` the noise is so large that the preset has none: peak memory is the same, and
two steps are enough. Memory is the peak of the whole process, Python and libraries included. The processes take turns,
so that other work of the machine affects them alike; the best time of each counts.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path


def measure(file: str, width: int, height: int, channels: int, warm_start: bool, threads: int) -> None:
    """Restore one photo in this process, and print megabytes, seconds and steps as JSON."""
    import resource

    import numpy as np

    from gradprox.export.runtime import OnnxSolver
    from gradprox.kernels import read_kernel
    from gradprox.memory import keep_freed_memory

    keep_freed_memory()  # as the command line does
    solver, generator = OnnxSolver(file, threads=threads), np.random.default_rng(0)
    blocks = generator.random((1, channels, height // 16 + 1, width // 16 + 1), np.float32)
    y = blocks.repeat(16, axis=2).repeat(16, axis=3)[..., :height, :width].copy()
    began = time.perf_counter()
    settings = {"noise": 0.01} if warm_start else {"noise": 0.285, "max_iter": 2, "tol": 0.0}
    steps = solver(y, read_kernel("motion:15:45"), **settings).steps[0]
    elapsed = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    json.dump({"peak_mb": peak, "seconds": elapsed, "steps": int(steps)}, sys.stdout)


def main() -> None:
    """Measure all files at all sizes, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+", type=Path, help="exported deblurring presets")
    parser.add_argument("--sizes", nargs="+", default=["1000x1000"], help="WIDTHxHEIGHT in pixels")
    parser.add_argument("--color", action="store_true", help="three channels")
    parser.add_argument("--warm-start", action="store_true", help="all steps of the preset, at noise 0.01")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--only", action="store_true", help=argparse.SUPPRESS)  # in the child process
    arguments = parser.parse_args()
    channels = 3 if arguments.color else 1
    if arguments.only:
        width, height = map(int, arguments.sizes[0].split("x"))
        measure(str(arguments.files[0]), width, height, channels, arguments.warm_start, arguments.threads)
        return
    options = [name for name in ("color", "warm_start") if getattr(arguments, name)]
    flags = [f"--{name.replace('_', '-')}" for name in options]
    print("size         file                        peak MB   seconds  steps")  # noqa: T201  a script's report
    for size in arguments.sizes:
        runs: dict[Path, list[dict[str, float]]] = {file: [] for file in arguments.files}
        for _ in range(arguments.repeats):
            for file, found in runs.items():
                command = [sys.executable, __file__, str(file), "--sizes", size, "--only", *flags]
                command += ["--threads", str(arguments.threads)]
                done = subprocess.run(command, stdout=subprocess.PIPE, check=True)  # noqa: S603  this script
                found.append(json.loads(done.stdout))
        for file, found in runs.items():
            peak, best = (
                pick(run[key] for run in found) for pick, key in ((max, "peak_mb"), (min, "seconds"))
            )
            print(f"{size:<12} {file.name:<26} {peak:8.0f}  {best:8.2f}  {found[0]['steps']:5.0f}")  # noqa: T201


if __name__ == "__main__":
    main()
