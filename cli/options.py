"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gradprox.errors import InputError

if TYPE_CHECKING:
    import torch

    from gradprox.operators import LearnedProx

Images = Annotated[
    list[Path], typer.Argument(help="Pictures: PNG, JPEG, TIFF, WebP, BMP or .npy.", show_default=False)
]
Output = Annotated[
    Path,
    typer.Option("--output", "-o", help="File, or folder for several pictures.", show_default=False),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace existing outputs.")]
Noise = Annotated[
    str, typer.Option(help="Standard deviation of the noise on the scale 0..1, as in 0.01 or 2.55/255.")
]
Kernel = Annotated[
    str,
    typer.Option(
        help="gaussian:SIGMA, motion:LENGTH:ANGLE, disk:RADIUS, or a .npy, .npz, .mat or picture file.",
        show_default=False,
    ),
]
Boundary = Annotated[
    str,
    typer.Option(help="valid: as a camera sees it, nothing assumed beyond the frame. circular: periodic."),
]
Sampling = Annotated[
    str,
    typer.Option(
        help="hadamard: whole picture, more of the lower sequencies. block-gaussian: 33x33 blocks. "
        "Or a matrix for square blocks: a .npy, .npz or .mat file."
    ),
]
Ratio = Annotated[float, typer.Option(help="Measurements per pixel; a matrix file has its own.")]
Solver = Annotated[
    str | None,
    typer.Option(
        help="hqs, fista, nmapg, pgd, admm, drs or gd; each has an exact objective that never rises.",
        show_default="hqs to deblur, fista for compressed sensing",
    ),
]
Steps = Annotated[int | None, typer.Option(min=1, help="Step budget.", show_default="the preset's")]
Tol = Annotated[float | None, typer.Option(help="Stop at this relative change.", show_default="the preset's")]
Strength = Annotated[
    float, typer.Option(help="Of the prior: more is smoother, less keeps more detail and noise.")
]
Model = Annotated[str, typer.Option(help="A shipped model (see `gradprox models`) or a .safetensors file.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of noise and random patterns.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]
Json = Annotated[
    Path | None, typer.Option("--json", help="Write the figures to this JSON file too.", show_default=False)
]


def parse_level(text: str, option: str = "--noise") -> float:
    """Read a noise level written as a number or a fraction: ``0.1`` or ``25/255``.

    Raises:
        InputError: it is neither, or is negative or not finite.
    """
    numerator, slash, denominator = text.partition("/")
    try:
        value = float(numerator) / (float(denominator) if slash else 1.0)
    except (ValueError, ZeroDivisionError) as error:
        raise InputError(f"{option} {text}: write a number, as 0.1 or 25/255") from error
    if not math.isfinite(value) or value < 0:
        raise InputError(f"{option} {text}: must be finite and not negative")
    return value


def check_choice(option: str, value: str, choices: Sequence[str]) -> None:
    """Refuse a value that is none of the choices.

    Raises:
        InputError: it is none.
    """
    if value not in choices:
        raise InputError(f"{option} {value}: unknown; choose one of {', '.join(choices)}")


def resolve_device(name: str) -> torch.device:
    """Return the device of a ``--device`` option; ``auto`` prefers CUDA, then MPS.

    Raises:
        InputError: the name is unknown or this machine has no such device.
    """
    import torch

    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(device for device, there in available.items() if there))
    check_choice("--device", name, ("auto", *available))
    if not available[name]:
        raise InputError(f"--device {name}: this machine and this torch have none; use --device cpu")
    return torch.device(name)


def open_model(name: str, device: str) -> tuple[LearnedProx, torch.device]:
    """Load the model of ``--model`` onto the device of ``--device``."""
    from gradprox.zoo import load_model

    place = resolve_device(device)
    return load_model(name, place), place
