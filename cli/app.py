"""The Typer app of the command ``gradprox``."""

from __future__ import annotations

from gradprox.cli import (
    bench,
    certify,
    deblur,
    demo,
    denoise,
    estimate_kernel,
    evaluate,
    export,
    kernel,
    models,
    recover,
    sense,
    train,
    verify,
    web,
)
from gradprox.cli.entry import command_line, run

app = command_line(
    "gradprox",
    "Restore images with learned proximal operators that have proven properties. Begin with `gradprox demo`.",
    (
        demo.demo,
        deblur.deblur,
        denoise.denoise,
        sense.sense,
        recover.recover,
        train.train,
        models.models,
        export.export,
        verify.verify,
        certify.certify,
        kernel.kernel,
        estimate_kernel.estimate_kernel,
        bench.bench,
        web.web,
    ),
)
app.add_typer(evaluate.app, name="evaluate")


def main() -> None:
    """Run the command line; see `gradprox.cli.entry.run`."""
    run(app)
