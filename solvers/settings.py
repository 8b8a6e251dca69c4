"""Checks of a solver's settings: numbers, counts, boxes. They belong to construction; no step repeats them."""

from __future__ import annotations

import math
import operator
from numbers import Real

from torch import Tensor

from gradprox.errors import InputError
from gradprox.scales import check_noise
from gradprox.solvers.data_term import Box


def check_positive(name: str, value: object) -> None:
    """Refuse a setting that is no finite positive number.

    Raises:
        InputError: it is none; the message says so.
    """
    if not 0 < number(name, value) < math.inf:
        raise InputError(f"{name} must be positive, got {value:g}")


def check_level(name: str, value: object) -> None:
    """Refuse a setting that is no positive noise level on the scale of images in ``[0, 1]``.

    Raises:
        InputError: it is none; the message says so.
    """
    check_positive(name, value)
    check_noise(name, number(name, value))


def check_count(name: str, value: object) -> None:
    """Refuse a setting that is no whole number of at least 1.

    Raises:
        InputError: it is none; the message says so.
    """
    try:
        whole = operator.index(value)  # type: ignore[arg-type]  # whether it is an index is the question
    except TypeError as error:
        raise InputError(f"{name} must be a whole number of at least 1, got {value!r}") from error
    if whole < 1 or isinstance(value, bool):
        raise InputError(f"{name} must be a whole number of at least 1, got {value!r}")


def check_box(box: Box | None) -> None:
    """Refuse a range of pixels that is empty.

    Raises:
        InputError: it is empty, a bound is NaN, or it is no pair.
    """
    if box is None:
        return
    pair = isinstance(box, tuple) and len(box) == 2
    if not pair or not number("box", box[0]) < number("box", box[1]):
        raise InputError(f"box must be (lowest, highest) with lowest < highest, got {box}")


def number(name: str, value: object) -> float:
    """Return a setting as the one number that it must be for the whole batch.

    Raises:
        InputError: it is another thing, for example a tensor with one value per image.
    """
    if isinstance(value, Real) and not isinstance(value, bool):
        return float(value)
    found = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else repr(value)
    if isinstance(value, Tensor) and value.numel() == 1:
        found += ": give its .item()"
    raise InputError(f"{name} must be one number for the whole batch, got {found}")
