"""Checkpoints: weights and optimizer state in one safetensors file, replaced whole, beside a JSON log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from gradprox.errors import InputError
from gradprox.files import written_whole

STATE_FILE = "checkpoint.safetensors"
LOG_FILE = "run.json"
CURVE_FILE = "curve.csv"
# One row a step: step, learning rate, loss.
Curve = list[tuple[int, float, float]]


def save_checkpoint(folder: Path, step: int, network: nn.Module, optimizer: torch.optim.Adam) -> None:
    """Write ``checkpoint.safetensors`` after ``step`` finished steps."""
    tensors: dict[str, Tensor] = {}
    for name, parameter in network.named_parameters():
        tensors[f"weight/{name}"] = parameter.detach().cpu().contiguous()
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"{key}/{name}"] = torch.as_tensor(value).detach().cpu().contiguous()
    with written_whole(folder / STATE_FILE) as temporary:
        temporary.write_bytes(save(tensors, metadata={"step": str(step)}))


def restore_checkpoint(folder: Path, network: nn.Module, optimizer: torch.optim.Adam) -> int:
    """Load a checkpoint in place; return its step, or 0 where there is none yet.

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
        for name, parameter in network.named_parameters():
            with torch.no_grad():
                parameter.copy_(tensors[f"weight/{name}"])
            if not parameter.requires_grad:
                continue
            optimizer.state[parameter] = {
                # Adam counts its steps on the CPU, wherever the weights are.
                key: tensors[f"{key}/{name}"] if key == "step" else tensors[f"{key}/{name}"].to(parameter)
                for key in ("step", "exp_avg", "exp_avg_sq")
            }
    except (SafetensorError, OSError, KeyError, ValueError, RuntimeError) as error:
        raise InputError(f"{path}: cannot resume from it: {error}") from error
    return step


def write_log(folder: Path, log: dict[str, Any]) -> None:
    """Write ``run.json``: the recipe, the data, and what was measured at each validation."""
    with written_whole(folder / LOG_FILE) as temporary:
        temporary.write_text(json.dumps(log, indent=1) + "\n", encoding="utf-8")


def write_curve(folder: Path, curve: Curve) -> None:
    """Write ``curve.csv``, what spreadsheets and plots read."""
    rows = [f"{step},{rate:.6g},{loss:.6g}" for step, rate, loss in curve]
    with written_whole(folder / CURVE_FILE) as temporary:
        temporary.write_text("\n".join(["step,learning_rate,loss", *rows]) + "\n", encoding="utf-8")


def read_curve(folder: Path) -> Curve:
    """Read ``curve.csv``; empty where there is none.

    Raises:
        InputError: it is not what `write_curve` writes.
    """
    path = folder / CURVE_FILE
    if not path.exists():
        return []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()[1:]
        return [
            (int(step), float(rate), float(loss)) for step, rate, loss in (line.split(",") for line in lines)
        ]
    except ValueError as error:
        raise InputError(f"{path}: not a training curve: {error}") from error


def read_log(folder: Path) -> dict[str, Any] | None:
    """Read ``run.json``, or return None where there is none.

    Raises:
        InputError: it is not what `write_log` writes.
    """
    path = folder / LOG_FILE
    if not path.exists():
        return None
    try:
        log = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a training log: {error}") from error
    if not isinstance(log, dict) or not {"recipe", "images", "history"} <= log.keys():
        raise InputError(f"{path}: not a training log")
    return log
