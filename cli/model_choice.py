"""Which model a command runs, and where."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gradprox.cli import option_values, options
from gradprox.errors import InputError, unknown

if TYPE_CHECKING:
    import torch

    from gradprox.priors import LearnedProx

DEVICES = ("auto", "cpu", "cuda", "mps")


def complete_models(incomplete: str) -> list[str]:
    """Return the shipped models whose names begin so, for shell completion."""
    from gradprox.zoo import model_names

    return options.beginning(incomplete, model_names())


Model = Annotated[
    str | None,
    typer.Option(
        autocompletion=complete_models,
        metavar="MODEL",
        help="A shipped model (`gradprox models` lists them), or a .safetensors or .onnx file.",
        show_default="gray-deep or color-deep, as the image; gray-fast or color-fast if the solver needs a prox",
        rich_help_panel=options.MODEL,
    ),
]
Device = Annotated[
    str,
    typer.Option(
        autocompletion=options.completed(DEVICES),
        metavar="NAME",
        help="Where torch computes: auto, cpu, cuda or mps.",
        rich_help_panel=options.MODEL,
    ),
]


def check_model(model: str, what: str = "model") -> None:
    """Refuse the name of a model that is neither shipped nor a file, before torch is imported.

    Args:
        model: the name.
        what: what it is for, for example ``--model``.

    Raises:
        InputError: it is neither.
    """
    from gradprox.zoo import model_names

    if not Path(model).suffix and model not in model_names():
        raise unknown(what, model, model_names(), ", or give a .safetensors file")


TileSize = Annotated[
    int | None,
    typer.Option(
        min=32,
        metavar="PIXELS",
        help="Largest side of the tiles in which the model computes an image. The result is the same; smaller tiles "
        "take less memory and more time.",
        show_default="as fits the model",
        rich_help_panel=options.MODEL,
    ),
]


def resolve_device(name: str) -> torch.device:
    """Return the device of a ``--device`` option; ``auto`` prefers CUDA, then MPS.

    Raises:
        InputError: the name is unknown or this machine has no such device.
    """
    import torch

    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(device for device, there in available.items() if there))
    option_values.check_choice("--device", name, DEVICES)
    if not available[name]:
        raise InputError(f"--device {name}: this machine or this build of torch has none; use --device cpu")
    return torch.device(name)


def use_threads(count: int | None) -> None:
    """Let torch use so many threads of the CPU; all if None."""
    if count is not None:
        import torch

        torch.set_num_threads(count)


@dataclass(frozen=True)
class ModelChoice:
    """The options that name a model; a description that can be sent to other processes.

    Attributes:
        model: a shipped model or a file; the default for each number of channels if None.
        device: where torch computes.
        provider: the provider of ONNX Runtime that runs the ``.onnx`` model; torch runs it if None.
        allow_fallback: run on the CPU if the provider cannot be used.
        tile_size: largest side in pixels of the tiles of an image; the network's own choice if None.
    """

    model: Model = None
    device: Device = "auto"
    provider: options.Provider = None
    allow_fallback: options.AllowFallback = False
    tile_size: TileSize = None

    def __post_init__(self) -> None:
        """Refuse unusable options at once, before torch is imported.

        Raises:
            InputError: a name is unknown, or the options contradict each other.
        """
        option_values.check_choice("--device", self.device, DEVICES)
        if self.model is not None:
            check_model(self.model, "--model")
        if self.provider is None:
            if self.allow_fallback:
                raise InputError(
                    "--allow-fallback: needs a --provider, which may then be replaced by the CPU"
                )
        elif self.model is None or Path(self.model).suffix.lower() != ".onnx":
            raise InputError(
                "--provider: needs an .onnx model: write one with `gradprox export`, and give it as --model"
            )
        elif self.tile_size is not None:
            raise InputError("--tile-size: is for models that torch runs: leave --provider out")

    def load(self, name: str, device: torch.device, *, potential: bool) -> LearnedProx:
        """Load the model ``name``; see `Priors`."""
        if self.provider is None:
            from gradprox.zoo import load_model

            return load_model(name, device)
        import torch

        from gradprox.export import load_prior

        return load_prior(
            name,
            self.provider,
            potential=potential,
            allow_fallback=self.allow_fallback,
            threads=torch.get_num_threads(),
        )


class Priors:
    """Loaded models: the named one, or the default for each number of channels.

    Args:
        choice: the options.
        for_solver: whether a solver computes objectives with the model (``potential`` of
            `gradprox.export.load_prior`).
        prox: whether the default models must be proximal operators.

    Attributes:
        device: where torch computes.
        named: the named model; None for the defaults.

    Raises:
        InputError: there is no such model, device or provider.
    """

    def __init__(self, choice: ModelChoice, *, for_solver: bool = True, prox: bool = False) -> None:
        self.device = resolve_device(choice.device)
        self._load = functools.partial(choice.load, device=self.device, potential=for_solver)
        self._prox, self._tile_size = prox, choice.tile_size
        self._report: Callable[[float], None] | None = None
        self.named = None if choice.model is None else self._loaded(choice.model)
        self._defaults: dict[int, LearnedProx] = {}

    @property
    def channels(self) -> int | None:
        """The number of channels that the named model restores together; None if it takes any, or none is named."""
        return None if self.named is None else self.named.network.channels

    def follow(self, report: Callable[[float], None] | None) -> None:
        """Report the tiles of each pass from now on, see `gradprox.networks.tiling.follow`; None ends the reports."""
        self._report = report

    def _loaded(self, name: str) -> LearnedProx:
        from gradprox.networks.tiling import follow, is_tiled

        prior = self._load(name)
        if self._tile_size is not None:
            if not is_tiled(prior.network):
                raise InputError(
                    f"--tile-size: {prior.name} computes images whole, because its result depends on all pixels: "
                    "leave it out, or name another --model"
                )
            prior.network.tile_size = self._tile_size
        follow(prior.network, self._piece)
        return prior

    def _piece(self, share: float) -> None:
        if self._report is not None:
            self._report(share)

    def of(self, channels: int) -> LearnedProx:
        """Return the model for images with this number of channels.

        Raises:
            InputError: the named model is for another number.
        """
        from gradprox.zoo import default_model

        if self.named is None:
            if channels not in self._defaults:
                self._defaults[channels] = self._loaded(default_model(channels, prox=self._prox))
            return self._defaults[channels]
        option_values.check_channels(self.named.name, self.channels, channels)
        return self.named
