"""Checkpoints: weights, their average, and the optimizer's state in one safetensors file, replaced as a whole."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from gradprox.errors import InputError
from gradprox.files import written_whole
from gradprox.training.restoration import Restorations

STATE_FILE = "checkpoint.safetensors"
# Prefixes of the names of weights, of their averages and of restorations; the optimizer's tensors have Adam's names for
# prefixes.
_WEIGHT, _AVERAGE, _RESTORATION = "weight", "average", "restoration"
_ADAM = ("step", "exp_avg", "exp_avg_sq")


def save_checkpoint(
    folder: Path,
    step: int,
    network: nn.Module,
    optimizer: torch.optim.Adam,
    average: nn.Module | None = None,
    restorations: Restorations | None = None,
) -> None:
    """Write ``checkpoint.safetensors`` after ``step`` finished steps.

    Args:
        folder: of the run.
        step: number of finished steps.
        network: holds the weights.
        optimizer: of the network.
        average: a copy of the network that holds the average of its weights.
        restorations: the restorations that are under way.
    """
    tensors: dict[str, Tensor] = {}
    for name, parameter in network.named_parameters():
        tensors[f"{_WEIGHT}/{name}"] = parameter.detach().cpu().contiguous()
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"{key}/{name}"] = torch.as_tensor(value).detach().cpu().contiguous()
    for name, parameter in average.named_parameters() if average is not None else ():
        tensors[f"{_AVERAGE}/{name}"] = parameter.detach().cpu().contiguous()
    for name, value in restorations.state.items() if restorations is not None else ():
        tensors[f"{_RESTORATION}/{name}"] = value.cpu().contiguous()
    with written_whole(folder / STATE_FILE) as temporary:
        temporary.write_bytes(save(tensors, metadata={"step": str(step)}))


def restore_checkpoint(
    folder: Path,
    network: nn.Module,
    optimizer: torch.optim.Adam,
    average: nn.Module | None = None,
    restorations: Restorations | None = None,
) -> int:
    """Load a checkpoint in place; return its number of finished steps, or 0 if there is no checkpoint yet.

    Raises:
        InputError: the checkpoint is damaged or belongs to another network.
    """
    path = folder / STATE_FILE
    if not path.exists():
        return 0
    try:
        with safe_open(path, framework="pt") as stored:
            step = int((stored.metadata() or {})["step"])
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        _copy(tensors, _WEIGHT, network)
        if average is not None:
            _copy(tensors, _AVERAGE, average)
        if restorations is not None:
            prefix = f"{_RESTORATION}/"
            restorations.restore(
                {name.removeprefix(prefix): tensors[name] for name in tensors if name.startswith(prefix)}
            )
        for name, parameter in network.named_parameters():
            if parameter.requires_grad:
                optimizer.state[parameter] = {
                    # Adam counts its steps on the CPU, wherever the weights are.
                    key: tensors[f"{key}/{name}"] if key == "step" else tensors[f"{key}/{name}"].to(parameter)
                    for key in _ADAM
                }
    except (SafetensorError, OSError, KeyError, ValueError, RuntimeError) as error:
        raise InputError(f"{path}: cannot resume from it: {error}") from error
    return step


@torch.no_grad()
def _copy(tensors: dict[str, Tensor], prefix: str, network: nn.Module) -> None:
    for name, parameter in network.named_parameters():
        parameter.copy_(tensors[f"{prefix}/{name}"])
