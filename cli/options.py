"""The options that several commands share, and how their values are read."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from gradprox.errors import InputError, unknown
from gradprox.scales import parse_level as read_level

# Headings of --help.
MODEL, SOLVER, RUN = "Model", "Solver", "Run and report"

# The values of --ray that are no address: a Ray for this batch alone, and the one that runs on this machine.
OWN_RAY, RUNNING_RAY = "own", "auto"
RAY_ADDRESS = rf"{RUNNING_RAY}|([\w.-]+):(\d{{1,5}})"

# Names that the shell completes. They are listed here because the modules that define them import torch.
SOLVERS = ("hqs", "fista", "nmapg", "pgd", "admm", "drs", "gd")
BOUNDARIES = ("valid", "circular", "symmetric")
SAMPLINGS = ("hadamard", "dct", "fourier", "structured", "block-gaussian")
KERNEL_FAMILIES = ("gaussian:", "motion:", "disk:", "auto")


def completed(choices: Sequence[str]) -> Callable[[str], list[str]]:
    """Return the function that completes a name in the shell to one of ``choices``."""
    return lambda incomplete: beginning(incomplete, choices)


def beginning(incomplete: str, choices: Sequence[str]) -> list[str]:
    """Return the choices that begin so."""
    return [choice for choice in choices if choice.startswith(incomplete)]


Images = Annotated[
    list[Path],
    typer.Argument(
        help="Images (PNG, JPEG, TIFF, WebP, BMP, GIF and others), arrays (.npy, .npz), folders of images, or patterns "
        "in quotes ('*.npy').",
        show_default=False,
    ),
]
# Text, because a path forgets the slash at its end.
Output = Annotated[
    str,
    typer.Option(
        "--output",
        "-o",
        metavar="PATH",
        help="The image file to write, or a folder for several images. A name that ends in a slash is a folder.",
        show_default=False,
    ),
]
Noise = Annotated[
    str,
    typer.Option(
        metavar="LEVEL",
        help="Standard deviation of the noise, on the scale where white is 1, for example 0.01 or 2.55/255.",
    ),
]
EstimatedNoise = Annotated[
    str | None,
    typer.Option(
        "--noise",
        metavar="LEVEL",
        help="Standard deviation of the noise, on the scale where white is 1, for example 0.01 or 2.55/255.",
        show_default="estimated from each image",
    ),
]
EstimatedSignalNoise = Annotated[
    str | None,
    typer.Option(
        "--noise",
        metavar="LEVEL",
        help="Standard deviation of the noise, on the scale where white is 1, for example 0.01 or 2.55/255. Or "
        "gain:G,read:R, on the same scale, for noise of variance G * pixel + R^2, for example gain:0.01,read:2/255. "
        "auto: estimated from each image, as without this option.",
        show_default="estimated from each image",
    ),
]
LinearLight = Annotated[
    bool,
    typer.Option(
        "--linear-light",
        help="Convert stored sRGB values to linear light before deblurring, and back afterwards, because blur acts on "
        "light. --noise is then the noise level of the linear light.",
    ),
]
Clipping = Annotated[
    bool,
    typer.Option(
        "--clipping/--no-clipping",
        help="Take white and black pixels as clipped: white may have been brighter, and black darker. For images of 8 "
        "or 16 bits, with --solver hqs or nmapg and a --strength that is a number.",
    ),
]
RefineKernel = Annotated[
    bool,
    typer.Option(
        "--refine-kernel",
        help="For a kernel that is not known exactly: fit its scale (up to a factor of 1.4) and its angle (up to 20 "
        "degrees) to each image before deblurring.",
    ),
]
KERNELS = (
    "A description, with lengths in pixels: gaussian:SIGMA, motion:LENGTH:ANGLE (degrees, counter-clockwise from the "
    "right) or disk:RADIUS (out of focus). Or a .npy, .npz, .mat or image file; FILE:NAME selects one of several "
    "kernels in a file."
)
Kernel = Annotated[
    str | None,
    typer.Option(
        autocompletion=completed(KERNEL_FAMILIES),
        metavar="KERNEL",
        help=f"The blur kernel, required. {KERNELS}",
        show_default=False,
    ),
]
KernelOrEstimate = Annotated[
    str | None,
    typer.Option(
        "--kernel",
        autocompletion=completed(KERNEL_FAMILIES),
        metavar="KERNEL",
        help=f"The blur kernel. {KERNELS} Or auto to estimate it from each photo, or auto:motion for one family; "
        "see `gradprox estimate-kernel --help` for the families.",
        show_default="auto",
    ),
]
WriteKernel = Annotated[
    str | None,
    typer.Option(
        metavar="PATH",
        help="Also write the estimated kernel: a .npy, .npz, .png or .tif file, or a folder for several photos.",
        show_default=False,
    ),
]
Force = Annotated[
    bool,
    typer.Option("--force", help="Restore photos with the estimated kernel even if its confidence is low."),
]
Boundary = Annotated[
    str,
    typer.Option(
        autocompletion=completed(BOUNDARIES),
        metavar="NAME",
        help="What lies beyond the frame and is blurred into the border. valid: a scene that is not known, as in real "
        "photos. circular: the image, repeated. symmetric: the image, mirrored.",
    ),
]
Sampling = Annotated[
    str,
    typer.Option(
        autocompletion=completed(SAMPLINGS),
        metavar="NAME",
        help="hadamard, dct or fourier: coefficients of the whole image, more of them at low frequencies. structured: "
        "random cosine coefficients of the image with random signs. block-gaussian: a random matrix for blocks of "
        "33x33 pixels. Or a .npy, .npz or .mat file with a matrix for square blocks.",
    ),
]
Ratio = Annotated[
    float, typer.Option(help="Measurements per pixel. A matrix from a file determines the ratio itself.")
]
Solver = Annotated[
    str | None,
    typer.Option(
        autocompletion=completed(SOLVERS),
        metavar="NAME",
        help="hqs, fista, nmapg, pgd, admm, drs or gd. Each computes its objective exactly, and it never rises.",
        show_default="hqs; fista for compressed sensing with a proximal operator",
        rich_help_panel=SOLVER,
    ),
]
Strength = Annotated[
    str,
    typer.Option(
        metavar="FACTOR",
        help="Strength of the regularization: above 1 gives a smoother image, below 1 keeps more detail and noise. "
        "It multiplies the weight of the regularizer (hqs, nmapg, gd) or the noise level of the prior (fista, pgd, "
        "admm, drs). auto: choose it for each image so that the residual matches the noise, which takes up to eight "
        "times as long.",
        rich_help_panel=SOLVER,
    ),
]
Steps = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="COUNT",
        help="Largest number of steps, not counting the warm start.",
        show_default="the preset's",
        rich_help_panel=SOLVER,
    ),
]
Tol = Annotated[
    float | None,
    typer.Option(
        help="Stop when the relative change of the image in a step is below this tolerance.",
        show_default="the preset's",
        rich_help_panel=SOLVER,
    ),
]
Provider = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Run an .onnx model in ONNX Runtime instead of torch, with this provider: cpu, cuda, tensorrt, openvino, "
        "coreml or directml. A provider that cannot be used is an error.",
        show_default=False,
        rich_help_panel=MODEL,
    ),
]
AllowFallback = Annotated[
    bool,
    typer.Option(
        "--allow-fallback",
        help="Run on the CPU, with a warning, if the --provider cannot be used.",
        rich_help_panel=MODEL,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="COUNT",
        help="Number of processes; they share the cores of the machine.",
        show_default="1; with --ray, one for each processor",
        rich_help_panel=RUN,
    ),
]
Ray = Annotated[
    str | None,
    typer.Option(
        metavar="[HOST:PORT]",
        help="Process the files on the Ray cluster at this address, or at auto, the one of this machine. Its machines "
        "need gradprox and the same files. Without an address, start one on this machine. Needs `pip install ray`.",
        show_default=False,
        rich_help_panel=RUN,
    ),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume", help="Keep existing outputs, and produce only the missing ones.", rich_help_panel=RUN
    ),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace existing outputs.", rich_help_panel=RUN)
]
# All seeds that torch takes; a larger or a negative one is wrong usage.
Seed = Annotated[
    int,
    typer.Option(
        min=0, max=2**64 - 1, metavar="NUMBER", help="Seed of the noise and of random patterns, below 2^64."
    ),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print errors and warnings only.", rich_help_panel=RUN)
]
Json = Annotated[
    Path | None,
    typer.Option(
        "--json",
        metavar="FILE",
        help="Also write the figures to this JSON file. With -, write them to standard output, and all other text to "
        "standard error.",
        show_default=False,
        rich_help_panel=RUN,
    ),
]


class UsageError(InputError):
    """The command line lacks something, or its options contradict each other; the exit code is 2."""


@contextmanager
def named(option: str) -> Iterator[None]:
    """Put the name of an option before the library's message about its value.

    Raises:
        InputError: the block raised one.
    """
    try:
        yield
    except InputError as error:
        raise InputError(f"{option}: {error}") from error


def with_ray_address(arguments: Sequence[str]) -> list[str]:
    """Return the arguments of a command with a value after each ``--ray`` that is followed by no address."""
    before_names = arguments.index("--") if "--" in arguments else len(arguments)
    completed = []
    for i, argument in enumerate(arguments):
        completed.append(argument)
        following = arguments[i + 1] if i + 1 < before_names else ""
        if argument == "--ray" and i < before_names and not re.fullmatch(RAY_ADDRESS, following):
            completed.append(OWN_RAY)
    return completed


def parse_level(text: str) -> float:
    """Read the noise level of ``--noise``; see `gradprox.physics.parse_level`."""
    with named("--noise"):
        if text.startswith("gain:"):
            raise InputError(
                f"{text}: only denoise and deblur take gain and read noise: give a noise level, for example 0.01"
            )
        return read_level(text)


def parse_given_level(text: str | None) -> float | None:
    """Read a noise level as `parse_level` does, or return None if there is none."""
    return None if text is None else parse_level(text)


def parse_strength(text: str) -> float | None:
    """Read a strength: a number, or None for ``auto``.

    Raises:
        InputError: it is neither, or not positive.
    """
    if text == "auto":
        return None
    try:
        strength = float(text)
    except ValueError as error:
        raise InputError(f"--strength {text}: write a number, for example 0.5, or auto") from error
    if not 0 < strength < math.inf:
        raise InputError(f"--strength must be positive and finite, got {text}")
    return strength


def require_kernel(kernel: str | None, advice: str = "") -> str:
    """Return the kernel of ``--kernel``.

    Args:
        kernel: the value of the option.
        advice: the end of the message.

    Raises:
        UsageError: it is missing; the message says how to find one.
    """
    if kernel is None:
        raise UsageError(
            "--kernel is missing: describe the blur, for example as disk:3 (out of focus), motion:15:45 (15 pixels at "
            "45 degrees) or gaussian:1.6 (soft), or give a measured kernel as a .npy, .npz, .mat or image file"
            f"{advice}"
        )
    return kernel


def is_folder_name(path: str | Path) -> bool:
    """Whether a path names a folder: it ends in a slash, or is one."""
    return str(path).endswith(("/", os.sep)) or Path(path).is_dir()


def check_folder(option: str, path: Path) -> None:
    """Refuse an existing file as the folder of an option, before any work is done.

    Raises:
        InputError: it is a file.
    """
    if path.exists() and not path.is_dir():
        raise InputError(f"{option} {path}: is a file, not a folder")


def check_channels(model: str, together: int | None, channels: int) -> None:
    """Refuse an image that a named model cannot restore.

    Args:
        model: name of the model.
        together: number of channels that it restores together; None for any number.
        channels: number of channels of the image.

    Raises:
        InputError: the model is for another number.
    """
    if together not in (None, 1, channels):
        raise InputError(
            f"model {model}: restores {together} channels together, but the image has {channels}: leave --model out, "
            "or name a gray model"
        )


def check_choice(option: str, value: str, choices: Sequence[str]) -> None:
    """Refuse a value that is none of the choices.

    Raises:
        InputError: it is none.
    """
    if value not in choices:
        raise unknown(option, value, choices)


def check_sampling(sampling: str) -> None:
    """Refuse a sampling that is neither one of `SAMPLINGS` nor a file, before torch is imported.

    Raises:
        InputError: it is none.
    """
    if sampling not in SAMPLINGS and not Path(sampling).suffix:
        raise unknown("--sampling", sampling, SAMPLINGS, ", or give a matrix file (.npy .npz .mat)")


def check_kernel(kernel: str) -> None:
    """Refuse a kernel that is no description and no file, before torch is imported.

    Raises:
        InputError: it is none.
    """
    from gradprox.kernels import read_kernels

    try:
        read_kernels(kernel)
    except InputError as error:
        raise InputError(f"--kernel {error}") from error
