"""The Typer app of the command ``gradprox-runtime``."""

from __future__ import annotations

from gradprox.cli.entry import command_line, run
from gradprox.cli.runtime.deblur import deblur
from gradprox.cli.runtime.denoise import denoise

app = command_line(
    "gradprox-runtime",
    "Restore images with exported models in ONNX Runtime, without torch. Begin with `gradprox-runtime demo`.",
    (deblur, denoise),
)


def main() -> None:
    """Run the command line; see `gradprox.cli.entry.run`."""
    run(app)
