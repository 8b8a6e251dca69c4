"""Exported models, for ``gradprox-runtime`` and the page of ``gradprox web``: the one place that chooses them.

``runtime/make_models.py`` in the repository exports their files from the shipped weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
# The end of the name of the file for each task.
ENDS = {"denoise": ".onnx", "deblur": "-deblur.onnx"}


@dataclass(frozen=True)
class Shipped:
    """A shipped model.

    Attributes:
        name: its name.
        default_for: the number of channels of the images for which it is used if no model is named; None for none.
        tasks: the tasks that have a file.
    """

    name: str
    default_for: int | None
    tasks: tuple[str, ...] = ("denoise", "deblur")

    def file(self, task: str, folder: Path = FOLDER) -> Path:
        """Return the file for a task."""
        return folder / f"{self.name}{ENDS[task]}"


MODELS = (Shipped("gray-fast", default_for=1), Shipped("color-fast", default_for=3))


def model_names() -> list[str]:
    """Return the names of the shipped models."""
    return [model.name for model in MODELS]


def default_model(channels: int) -> str:
    """Return the name of the model for images of so many channels, if none is named."""
    return next(model.name for model in MODELS if model.default_for == channels)
