"""Export the models of gradprox-runtime and of the page, from the shipped weights; needs gradprox, with torch.

    python runtime/make_models.py

`gradprox.exported_models` chooses the models. The files are part of the repository, so that a build of
gradprox-runtime needs no torch.
"""

from __future__ import annotations

import sys
from pathlib import Path

from gradprox.export import export_denoiser, export_solver
from gradprox.exported_models import FOLDER, MODELS


def make_models(folder: Path) -> None:
    """Write the files of all models and tasks."""
    for model in MODELS:
        for task in model.tasks:
            file = model.file(task, folder)
            if task == "denoise":
                export_denoiser(model.name, file)
            else:
                export_solver(task, None, model.name, file)
            print(f"{file}: {file.stat().st_size / 1e3:.0f} kB")  # noqa: T201  the script's report


if __name__ == "__main__":
    make_models(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
