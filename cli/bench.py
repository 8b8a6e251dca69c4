"""``gradprox bench``: how fast models are on this machine, with and without torch."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gradprox.cli import options
from gradprox.cli.groups import Report
from gradprox.cli.model_choice import check_model, complete_models
from gradprox.cli.terminal import progress_bar
from gradprox.cli.timing import SIGMA, THREADS, fastest, timing_record, timing_table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gradprox.priors import LearnedProx


def bench(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            help="Shipped models or model files. Without any, all shipped models.",
            show_default=False,
            autocompletion=complete_models,
        ),
    ] = None,
    size: Annotated[int, typer.Option(min=8, metavar="PIXELS", help="Side of the image.")] = 256,
    repeats: Annotated[
        int,
        typer.Option(min=1, metavar="COUNT", help="Number of passes; the time of the fastest is reported."),
    ] = 3,
    provider: options.Provider = None,
    allow_fallback: options.AllowFallback = False,
    *,
    report: Report,
) -> None:
    """Time one denoising pass of models in torch and in ONNX Runtime, with one and with two threads.

    Torch computes on the CPU; ONNX Runtime computes with --provider, or on the CPU too. Other models are first
    exported to a temporary .onnx file and verified, which takes longer than the timing.

    Examples:
      gradprox bench gray --size 512 --json speed.json
      gradprox bench half.onnx --provider cuda
    """
    for name in models or ():
        check_model(name)
    import numpy as np
    import torch

    from gradprox.export.runtime import find_provider
    from gradprox.zoo import load_model, model_names

    place = provider or "cpu"
    find_provider(place, allow_fallback=allow_fallback)  # refused before minutes of exporting

    names = models or model_names()
    rows: list[dict[str, Any]] = []
    threads_before = torch.get_num_threads()
    with progress_bar(report.quiet) as bar:
        task = bar.add_task("timing", total=len(names) * 2 * len(THREADS), note="")
        for name in names:
            bar.update(task, note=f"{name}, exporting")
            prior = load_model(name)
            shape = (1, prior.network.channels or 1, size, size)
            image = np.random.default_rng(0).random(shape, dtype=np.float32)
            for backend, threads, run in _backends(name, prior, place, allow_fallback):
                bar.update(task, note=f"{name}, {backend}")
                seconds = fastest(run, image, repeats)
                rows.append(timing_record(name, backend, threads, seconds, size))
                bar.advance(task)
    torch.set_num_threads(threads_before)
    report.print(timing_table(rows, size))
    machine = {"machine": platform.machine(), "system": platform.system(), "torch": torch.__version__}
    report.write({**machine, "size": size, "repeats": repeats, "runs": rows})


def _backends(
    name: str, prior: LearnedProx, provider: str, allow_fallback: bool
) -> Iterator[tuple[str, int, Callable[[NDArray[np.float32]], object]]]:
    """Yield backend, number of threads and denoiser of each way to run a model; use a denoiser before the next."""
    import torch

    from gradprox.export import export_denoiser
    from gradprox.export.runtime import OnnxDenoiser

    @torch.no_grad()
    def eager(y: NDArray[np.float32]) -> object:
        return prior(torch.from_numpy(y), SIGMA)

    for threads in THREADS:
        torch.set_num_threads(threads)
        yield "torch", threads, eager
    with tempfile.TemporaryDirectory() as folder:
        path = Path(name)
        if path.suffix.lower() != ".onnx":
            path = Path(folder) / "model.onnx"
            export_denoiser(prior, path)
        for threads in THREADS:
            runtime = OnnxDenoiser(path, provider, allow_fallback=allow_fallback, threads=threads)
            backend = "onnxruntime" if runtime.provider == "cpu" else f"onnxruntime, {runtime.provider}"
            yield backend, threads, partial(runtime, sigma=SIGMA)
