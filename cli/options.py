"""The options that several commands share. `option_values` reads and checks what a user gives for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

# Headings of --help.
MODEL, SOLVER, RUN = "Model", "Solver", "Run and report"

# The values of --ray that are no address: a Ray for this batch alone, and the one that runs on this machine.
OWN_RAY, RUNNING_RAY = "own", "auto"
RAY_ADDRESS = rf"{RUNNING_RAY}|([\w.-]+):(\d{{1,5}})"

# Names that the shell completes. They are listed here because the modules that define them import torch.
SOLVERS = ("hqs", "fista", "nmapg", "pgd", "admm", "drs", "gd")
BOUNDARIES = ("valid", "circular", "symmetric")
SAMPLINGS = ("hadamard", "dct", "fourier", "structured", "block-gaussian")
KERNEL_FAMILIES = ("gaussian:", "motion:", "disk:")


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
Measurements = Annotated[
    list[Path],
    typer.Argument(
        help="Files that `gradprox sense` wrote (.npz), folders of them, or patterns in quotes.",
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
    bool | None,
    typer.Option(
        "--linear-light/--no-linear-light",
        help="Convert stored sRGB values to linear light before the work, because light is blurred. Images are still "
        "written as sRGB values. --noise is then that of linear light.",
        show_default="on for photos whose Exif data have an exposure time or an f-number, unless --noise is given",
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
        autocompletion=completed((*KERNEL_FAMILIES, "auto")),
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
    float,
    typer.Option(
        metavar="NUMBER", help="Measurements per pixel. A matrix from a file determines the ratio itself."
    ),
]
Solver = Annotated[
    str | None,
    typer.Option(
        autocompletion=completed(SOLVERS),
        metavar="NAME",
        help="hqs, fista, nmapg, pgd, admm, drs or gd. Each computes its objective exactly, and it never "
        "rises; for nmapg, its running mean never does.",
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
        metavar="NUMBER",
        help="Stop when the relative change of the image in a step is below this tolerance.",
        show_default="the preset's",
        rich_help_panel=SOLVER,
    ),
]
MixedPrecision = Annotated[
    bool | None,
    typer.Option(
        "--mixed-precision/--full-precision",
        help="Compute the steps of the warm start in bfloat16: a third less time on GPUs and on processors with such "
        "instructions, and no effect on others. The objective and the last steps stay in single precision; PSNR "
        "changes by less than 0.01 dB.",
        show_default="mixed, with gray-deep and color-deep",
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
