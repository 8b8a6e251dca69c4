"""How the values of options are read and checked, before slow imports."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gradprox.cli.options import OWN_RAY, RAY_ADDRESS, SAMPLINGS
from gradprox.errors import InputError, unknown
from gradprox.scales import parse_level as read_level


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
                f"{text}: only denoise and deblur of gradprox take gain and read noise: give a noise level, for "
                "example 0.01"
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
