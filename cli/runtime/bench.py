"""``gradprox-runtime bench``: how fast models are on this machine."""

from __future__ import annotations

import platform
from functools import partial
from typing import Annotated, Any

import typer

from gradprox.cli import options
from gradprox.cli.groups import Report
from gradprox.cli.runtime.models import Provider, complete_models, model_file
from gradprox.cli.terminal import progress_bar
from gradprox.cli.timing import SIGMA, THREADS, fastest, timing_record, timing_table
from gradprox.exported_models import model_names


def bench(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            help="Shipped models or .onnx files. Without any, all shipped models.",
            show_default=False,
            autocompletion=complete_models,
        ),
    ] = None,
    size: Annotated[int, typer.Option(min=8, metavar="PIXELS", help="Side of the image.")] = 256,
    repeats: Annotated[
        int,
        typer.Option(min=1, metavar="COUNT", help="Number of passes; the time of the fastest is reported."),
    ] = 3,
    provider: Provider = "cpu",
    allow_fallback: options.AllowFallback = False,
    *,
    report: Report,
) -> None:
    """Time one denoising pass of models in ONNX Runtime, with one and with two threads.

    Example:
      gradprox-runtime bench gray-fast --size 512 --json speed.json
    """
    import numpy as np
    import onnxruntime

    from gradprox.export.runtime import OnnxDenoiser

    names = models or model_names()
    rows: list[dict[str, Any]] = []
    with progress_bar(report.quiet) as bar:
        task = bar.add_task("timing", total=len(names) * len(THREADS), note="")
        for name in names:
            bar.update(task, note=name)
            for threads in THREADS:
                denoiser = OnnxDenoiser(
                    model_file(name, "denoise"), provider, allow_fallback=allow_fallback, threads=threads
                )
                shape = (1, denoiser.channels, size, size)
                image = np.random.default_rng(0).random(shape, dtype=np.float32)
                seconds = fastest(partial(denoiser, sigma=SIGMA), image, repeats)
                rows.append(timing_record(name, f"onnxruntime, {denoiser.provider}", threads, seconds, size))
                bar.advance(task)
    report.print(timing_table(rows, size))
    machine = {"machine": platform.machine(), "system": platform.system()}
    report.write(
        {
            **machine,
            "onnxruntime": onnxruntime.__version__,
            "size": size,
            "repeats": repeats,
            "runs": rows,
        }
    )
