"""The Typer app of the command ``gradprox-runtime``."""

from __future__ import annotations

from gradprox.cli.entry import command_line, run
from gradprox.cli.runtime.bench import bench
from gradprox.cli.runtime.deblur import deblur
from gradprox.cli.runtime.demo import demo
from gradprox.cli.runtime.denoise import denoise
from gradprox.cli.runtime.recover import recover
from gradprox.cli.runtime.verify import verify

app = command_line(
    "gradprox-runtime",
    "Restore images with exported models in ONNX Runtime, without torch. Begin with `gradprox-runtime demo`.",
    (demo, deblur, denoise, recover, verify, bench),
)


def main() -> None:
    """Run the command line; see `gradprox.cli.entry.run`."""
    run(app)
