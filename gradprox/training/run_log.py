"""The log and the curve of a training run, and the rule for going on with a run: same recipe, same images."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from gradprox.errors import InputError
from gradprox.files import written_whole
from gradprox.training.recipe import Recipe

LOG_FILE = "run.json"
CURVE_FILE = "curve.csv"
# One row per step: step, learning rate, loss.
Curve = list[tuple[int, float, float]]


def open_log(
    folder: Path,
    recipe: Recipe,
    paths: Sequence[Path],
    resume: bool,
    device: torch.device | str,
    processes: int,
) -> dict[str, Any]:
    """Return a new log, or that of the folder if it belongs to the same run.

    Raises:
        InputError: the folder holds a run that is not to be resumed, or a run with another recipe or other images.
    """
    names = hashlib.sha256("\n".join(f"{p.name} {p.stat().st_size}" for p in paths).encode()).hexdigest()
    begun = read_log(folder)
    if begun is None:
        return {
            "recipe": recipe.model_dump(mode="json"),
            "images": {"count": len(paths), "sha256": names},
            "hardware": {
                "machine": platform.machine(),
                "processes": processes,
                "threads": torch.get_num_threads(),
                "torch": torch.__version__,
            }
            | ({"gpu": torch.cuda.get_device_name(device)} if torch.device(device).type == "cuda" else {}),
            "history": [],
        }
    if not resume:
        raise InputError(f"{folder}: holds a training run already: resume it, or choose another folder")
    if Recipe.model_validate(begun["recipe"]) != recipe:
        raise InputError(f"{folder}: was begun with another recipe: choose another folder")
    if begun["images"]["sha256"] != names:
        raise InputError(f"{folder}: was begun with other images: choose another folder")
    return begun


def write_log(folder: Path, log: dict[str, Any]) -> None:
    """Write ``run.json``: the recipe, the data, and the figures of each validation."""
    with written_whole(folder / LOG_FILE) as temporary:
        temporary.write_text(json.dumps(log, indent=1) + "\n", encoding="utf-8")


def read_log(folder: Path) -> dict[str, Any] | None:
    """Read ``run.json``; return None if there is none.

    Raises:
        InputError: it is not a log that `write_log` wrote.
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


def write_curve(folder: Path, curve: Curve) -> None:
    """Write ``curve.csv``, a table for spreadsheets and plots."""
    rows = [f"{step},{rate:.6g},{loss:.6g}" for step, rate, loss in curve]
    with written_whole(folder / CURVE_FILE) as temporary:
        temporary.write_text("\n".join(["step,learning_rate,loss", *rows]) + "\n", encoding="utf-8")


def read_curve(folder: Path) -> Curve:
    """Read ``curve.csv``; return an empty curve if there is none.

    Raises:
        InputError: it is not a curve that `write_curve` wrote.
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
