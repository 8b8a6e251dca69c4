"""Which exported model a command runs, and where."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Generic, Protocol, TypeVar

import typer

from gradprox import exported_models
from gradprox.cli import option_values, options
from gradprox.errors import InputError, unknown


def complete_models(incomplete: str) -> list[str]:
    """Return the shipped models whose names begin so, for shell completion."""
    return options.beginning(incomplete, exported_models.model_names())


Model = Annotated[
    str | None,
    typer.Option(
        autocompletion=complete_models,
        metavar="MODEL",
        help=f"A shipped model, {' or '.join(exported_models.model_names())}, or an .onnx file that "
        "`gradprox export` wrote.",
        show_default=f"{exported_models.default_model(1)} or {exported_models.default_model(3)}, as the image",
        rich_help_panel=options.MODEL,
    ),
]
Provider = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Where ONNX Runtime computes: cpu, cuda, tensorrt, openvino, coreml or directml. A provider that cannot "
        "be used is an error.",
        rich_help_panel=options.MODEL,
    ),
]


@dataclass(frozen=True)
class ModelChoice:
    """The options that name a model; a description that can be sent to other processes.

    Attributes:
        model: a shipped model or a file; the default for each number of channels if None.
        provider: the provider of ONNX Runtime.
        allow_fallback: run on the CPU if the provider cannot be used.
    """

    model: Model = None
    provider: Provider = "cpu"
    allow_fallback: options.AllowFallback = False


class Loaded(Protocol):
    """A model in ONNX Runtime."""

    @property
    def channels(self) -> int:
        """The number of channels that it restores together."""


Kind = TypeVar("Kind", bound=Loaded)


class Models(Generic[Kind]):
    """Loaded models of one task: the named one, or the default for each number of channels.

    Args:
        choice: the options.
        task: ``"denoise"`` or ``"deblur"``.
        load: loads a file; takes it, and the keywords ``provider`` and ``allow_fallback``.

    Raises:
        InputError: there is no such model or provider.
    """

    def __init__(self, choice: ModelChoice, task: str, load: Callable[..., Kind]) -> None:
        self._load = partial(load, provider=choice.provider, allow_fallback=choice.allow_fallback)
        self._task = task
        self._loaded: dict[str, Kind] = {}
        self._named = choice.model
        if choice.model is not None:
            self._model(choice.model)

    def of(self, channels: int) -> tuple[str, Kind]:
        """Return the name and the model for images with this number of channels.

        Raises:
            InputError: the named model is for another number.
        """
        name = self._named or exported_models.default_model(channels)
        model = self._model(name)
        option_values.check_channels(name, model.channels, channels)
        return name, model

    def _model(self, name: str) -> Kind:
        if name not in self._loaded:
            self._loaded[name] = self._load(model_file(name, self._task))
        return self._loaded[name]


def model_file(name: str, task: str) -> Path:
    """Return the file of a shipped model, or an ``.onnx`` file.

    Raises:
        InputError: the name is neither.
    """
    if Path(name).suffix.lower() == ".onnx":
        return Path(name)
    for model in exported_models.MODELS:
        if model.name == name and task in model.tasks:
            return model.file(task)
    known = [model.name for model in exported_models.MODELS if task in model.tasks]
    if not known:
        raise InputError(
            f"--model {name}: none is shipped for {task}: give an .onnx file that `gradprox export` wrote"
        )
    raise unknown("model", name, known, ", or give an .onnx file that `gradprox export` wrote")
