"""Options that several commands share, and how their values are read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gradprox.errors import InputError

if TYPE_CHECKING:
    import torch

Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]
Json = Annotated[
    Path | None, typer.Option("--json", help="Also write what is printed to this JSON file.", show_default=False)
]
Model = Annotated[str, typer.Option(help="A shipped model (see `gradprox models`) or a .safetensors file.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of noise and random patterns.")]


def resolve_device(name: str) -> torch.device:
    """Return the device of a ``--device`` option; ``auto`` prefers CUDA, then MPS.

    Raises:
        InputError: the name is unknown or this machine has no such device.
    """
    import torch

    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(device for device, there in available.items() if there))
    if name not in available:
        raise InputError(f"--device {name}: unknown; choose auto, cpu, cuda or mps")
    if not available[name]:
        raise InputError(f"--device {name}: this machine and this torch have none; use --device cpu")
    return torch.device(name)
