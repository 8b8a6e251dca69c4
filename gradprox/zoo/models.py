"""Finding, describing and loading shipped models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from gradprox.dependencies import dependencies
from gradprox.errors import InputError, unknown

if TYPE_CHECKING:
    import torch

    from gradprox.networks import GradientNetwork
    from gradprox.priors import GradientStepDenoiser, LearnedProx

FOLDER = Path(__file__).parent
# The models that are used if none is named, by the number of channels: the best of all, and quick.
BEST = {1: "gray-deep", 3: "color-deep"}
# The same for solvers that need a proximal operator. They call it in every iteration, where `gray` and `color` gain
# little and take ten times as long.
PROX = {1: "gray-fast", 3: "color-fast"}


class Card(BaseModel):
    """The description of a shipped model, stored as a JSON file beside its weights.

    Attributes:
        name: the model's name.
        summary: its purpose, in one line.
        channels: number of channels that it restores together: 1 (colors one by one) or 3.
        guarantee: the properties that hold by construction.
        is_prox: whether it is a proximal operator by construction; else it has an explicit energy only.
        lipschitz_bound: proven upper bound of the Lipschitz constant for every noise level; None if none is proven.
        parameters: number of weights.
        relative_time: time of a pass per pixel on a CPU, relative to that of gray-fast.
        noise_range: the least and the largest noise level of the training, in gray levels of 255.
        psnr: mean PSNR in dB by test set and noise level, with the seeds of ``gradprox evaluate denoise``.
        data: the training images.
        hardware: the hardware of the training.
        training_seconds: the duration of the training.
        sha256: digest of the weight file.
        license: license of the weights, and terms of the training images.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    summary: str
    channels: int
    guarantee: str
    is_prox: bool
    lipschitz_bound: float | None
    parameters: int
    relative_time: float
    noise_range: tuple[float, float]
    psnr: dict[str, dict[str, float]]
    data: str
    hardware: str
    training_seconds: float
    sha256: str
    license: str


def model_names() -> list[str]:
    """Return the names of the shipped models."""
    return sorted(path.stem for path in FOLDER.glob("*.safetensors"))


def default_model(channels: int, *, prox: bool = False) -> str:
    """Return the name of the model that is used for images of so many channels, if none is named.

    Args:
        channels: 1 or 3.
        prox: whether it must be a proximal operator.
    """
    return (PROX if prox else BEST)[channels]


def recipe_path(name: str) -> Path:
    """Return the recipe of a shipped model.

    Raises:
        InputError: there is no such recipe.
    """
    path = FOLDER / f"{name}.toml"
    if not path.is_file():
        known = sorted(found.stem for found in FOLDER.glob("*.toml"))
        raise unknown("recipe", name, known, ", or give a .toml file")
    return path


def read_card(name: str) -> Card:
    """Return the card of a shipped model.

    Raises:
        InputError: there is no such model.
    """
    _check_name(name)
    return Card.model_validate_json((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def load_model(
    model: str | Path = BEST[1], device: torch.device | str = "cpu"
) -> LearnedProx | GradientStepDenoiser:
    """Load a denoiser ``D``, called as ``D(y, sigma)``.

    A monotone network gives a `gradprox.priors.LearnedProx`. Any other gradient network gives a
    `gradprox.priors.GradientStepDenoiser`, which has an explicit energy and no prox. Of the shipped
    models only ``gray-deep`` and ``color-deep`` are of this kind.

    Args:
        model: the name of a shipped model, a ``.safetensors`` file written by ``gradprox train`` or `save_network`,
            or an ``.onnx`` file written by ``gradprox export``. From that file the original network is read, which runs
            in torch.
        device: where to put it.

    Raises:
        InputError: there is no such model, the file is not a gradprox model, or its network takes no images.

    Example:
        >>> import torch
        >>> D = load_model("gray")
        >>> D(torch.rand(2, 3, 20, 30), 25 / 255).shape
        torch.Size([2, 3, 20, 30])
    """
    # deepinv takes seconds to import: names and cards must not wait for it.
    with dependencies():
        from gradprox.priors import load_network, prior_of
        from gradprox.priors.onnx_weights import load_network_from_onnx

    text = str(model)
    suffix, name = Path(text).suffix.lower(), Path(text).stem
    if suffix == ".onnx":
        network: GradientNetwork = load_network_from_onnx(text)
    elif suffix:
        network = load_network(text)
        if network.channels is None:
            raise InputError(
                f"{text}: its {type(network).__name__} takes no images; gradprox.priors.load_network reads it"
            )
    else:
        _check_name(text)
        network, name = load_network(FOLDER / f"{text}.safetensors"), text
    return prior_of(network, name).to(device)


def _check_name(name: str) -> None:
    if name not in model_names():
        raise unknown("model", name, model_names(), ", or give a .safetensors file")
