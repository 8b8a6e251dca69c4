"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gradprox.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from gradprox.priors import LearnedProx
    from gradprox.solvers.discrepancy import DiscrepancyPreset
    from gradprox.solvers.presets import Preset, Task

Images = Annotated[
    list[Path],
    typer.Argument(
        help="Images (PNG, JPEG, TIFF, WebP, BMP), arrays (.npy, .npz), folders of images, or quoted patterns "
        "('*.npy').",
        show_default=False,
    ),
]
Output = Annotated[
    Path,
    typer.Option("--output", "-o", help="File, or folder for several images.", show_default=False),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace existing outputs.")]
Resume = Annotated[bool, typer.Option("--resume", help="Keep outputs that exist, do only what is missing.")]
Workers = Annotated[int, typer.Option(min=1, help="Processes that share the machine's cores.")]
Noise = Annotated[
    str, typer.Option(help="Standard deviation of the noise on the scale 0..1, as in 0.01 or 2.55/255.")
]
EstimatedNoise = Annotated[
    str | None,
    typer.Option(
        "--noise",
        help="Standard deviation of the noise on the scale 0..1, as in 0.01 or 2.55/255.",
        show_default="estimated from each image",
    ),
]
LinearLight = Annotated[
    bool,
    typer.Option(
        "--linear-light",
        help="Undo the blur of the light, not of the stored (sRGB) values; --noise is then that of the light.",
    ),
]
KERNELS = (
    "In pixels gaussian:SIGMA, motion:LENGTH:ANGLE (degrees, counter-clockwise from the right) or disk:RADIUS; or a "
    ".npy, .npz, .mat or image file, or FILE:NAME for one of several in it."
)
Kernel = Annotated[str, typer.Option(help=KERNELS, show_default=False)]
Boundary = Annotated[
    str,
    typer.Option(
        help="valid: as a camera sees it, nothing assumed beyond the frame. circular: periodic. symmetric: mirrored."
    ),
]
Sampling = Annotated[
    str,
    typer.Option(
        help="Of the whole image: hadamard, dct or fourier, more of the lower frequencies; structured, random. "
        "block-gaussian: 33x33 blocks. Or a matrix for square blocks: a .npy, .npz or .mat file."
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
    str,
    typer.Option(
        help="Of the prior: more than 1 is smoother, less keeps more detail and noise. auto: chosen for each image "
        "so that the misfit is that of the noise, in up to eight times the time."
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        help="A shipped model (see `gradprox models`), or a .safetensors or .onnx file; torch runs the network that an "
        ".onnx file was made from, but for --provider.",
        show_default="gray or color, as the image is; in solvers gray-fast or color-fast",
    ),
]
Provider = Annotated[
    str | None,
    typer.Option(
        help="Run an .onnx model in ONNX Runtime by this provider: cpu, cuda, tensorrt, openvino, coreml or directml. "
        "It is an error if it cannot be used.",
        show_default=False,
    ),
]
AllowFallback = Annotated[
    bool,
    typer.Option(
        "--allow-fallback", help="Run on the CPU, with a warning, if the --provider cannot be used."
    ),
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of noise and random patterns.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]
Json = Annotated[
    Path | None, typer.Option("--json", help="Write the figures to this JSON file too.", show_default=False)
]


@contextmanager
def named(option: str) -> Iterator[None]:
    """Put the name of an option before what the library says of its value.

    Raises:
        InputError: the block raised one.
    """
    try:
        yield
    except InputError as error:
        raise InputError(f"{option}: {error}") from error


def parse_level(text: str) -> float:
    """Read the noise level of ``--noise``; see `gradprox.physics.parse_level`."""
    from gradprox.physics import parse_level as parse

    with named("--noise"):
        return parse(text)


def parse_given_level(text: str | None) -> float | None:
    """Read a noise level where one is given, as `parse_level` does."""
    return None if text is None else parse_level(text)


def parse_strength(text: str) -> float | None:
    """Read a strength: a number, or None for ``auto``.

    Raises:
        InputError: it is neither.
    """
    if text == "auto":
        return None
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"--strength {text}: write a number, as 0.5, or auto") from error


def level_of(pixels: Tensor, given: float | None) -> tuple[float, dict[str, float]]:
    """Return the noise level of an image ``(1, C, H, W)``, and what to report of it where it had to be estimated.

    Raises:
        InputError: the image is too small for an estimate.
    """
    if given is not None:
        return given, {}
    from gradprox.images.noise_estimation import estimate_noise

    try:
        level = estimate_noise(pixels)
    except InputError as error:
        raise InputError(f"{error} by --noise") from error
    return level, {"estimated_noise": level}


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


@dataclass(frozen=True)
class Tuning:
    """What ``--solver``, ``--strength``, ``--steps`` and ``--tol`` say of a solver.

    Attributes:
        solver: its name; the preset's if None.
        strength: of the prior; chosen for each image from its noise if None.
        max_iter: the preset's if None.
        tol: the preset's if None.
    """

    solver: str | None = None
    strength: float | None = 1.0
    max_iter: int | None = None
    tol: float | None = None

    def preset(self, task: Task, noise: float) -> Preset | DiscrepancyPreset:
        """Return the solver for measurements with that noise.

        Raises:
            InputError: a setting is unusable.
        """
        if self.strength is not None:
            return self._preset(task, noise, self.strength)
        from gradprox.solvers.discrepancy import DiscrepancyPreset

        self._preset(task, noise, 1.0)  # refuses what is unusable before any image is read
        return DiscrepancyPreset(functools.partial(self._preset, task, noise), noise)

    def _preset(self, task: Task, noise: float, strength: float) -> Preset:
        from gradprox.solvers.presets import preset

        return preset(
            task, noise, solver=self.solver, strength=strength, max_iter=self.max_iter, tol=self.tol
        )


@dataclass(frozen=True)
class ModelChoice:
    """What ``--model``, ``--device``, ``--provider`` and ``--allow-fallback`` say of the model.

    Attributes:
        name: a shipped model or a file; the default for each number of channels if None.
        device: where torch computes.
        provider: of ONNX Runtime, which then runs the ``.onnx`` model; torch does if None.
        allow_fallback: run on the CPU where the provider cannot be used.
    """

    name: str | None = None
    device: str = "auto"
    provider: str | None = None
    allow_fallback: bool = False

    def check(self) -> None:
        """Refuse options that contradict each other.

        Raises:
            InputError: they do.
        """
        if self.provider is None:
            if self.allow_fallback:
                raise InputError("--allow-fallback: there is nothing to fall back from: name a --provider")
        elif self.name is None or Path(self.name).suffix.lower() != ".onnx":
            raise InputError(
                "--provider: runs .onnx models: write one with `gradprox export`, name it by --model"
            )

    def load(self, name: str, device: torch.device, *, potential: bool) -> LearnedProx:
        """Load a model of that name; see `Priors`."""
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
    """The models that a choice stands for: the named one, or the default for each number of channels.

    Args:
        choice: the options.
        for_solver: whether solvers call it in every iteration: the defaults are then fast models, and objectives are
            computed, not ``D(y, sigma)`` alone (``potential`` of `gradprox.export.load_prior`).

    Attributes:
        device: where torch computes.

    Raises:
        InputError: there is no such model, device or provider.
    """

    def __init__(self, choice: ModelChoice, *, for_solver: bool = True) -> None:
        choice.check()
        self.device = resolve_device(choice.device)
        self._load = functools.partial(choice.load, device=self.device, potential=for_solver)
        self._for_solver = for_solver
        self._named = None if choice.name is None else self._load(choice.name)
        self._defaults: dict[int, LearnedProx] = {}

    def of(self, channels: int) -> LearnedProx:
        """Return the model for images of so many channels.

        Raises:
            InputError: the named model is for another number.
        """
        from gradprox.zoo import default_model

        if self._named is None:
            if channels not in self._defaults:
                self._defaults[channels] = self._load(default_model(channels, for_solver=self._for_solver))
            return self._defaults[channels]
        taken = self._named.network.channels
        if taken not in (None, 1, channels):
            raise InputError(
                f"model {self._named.name}: restores {taken} channels together, the image has {channels}: "
                "leave --model out, or name a gray model"
            )
        return self._named
