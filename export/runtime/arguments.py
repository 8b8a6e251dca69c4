"""Checks of the arguments of a call: arrays, numbers and whole numbers become what a model takes, or are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradprox.errors import InputError

# Kinds of numpy types: floating point, and signed and unsigned integers. A bool or a string is no number here.
FLOATS, REALS = "f", "fiu"


def finite(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """Return ``array``.

    Raises:
        InputError: it contains NaN or infinite values.
    """
    if not np.isfinite(array).all():
        raise InputError(f"{name} contains NaN or infinite values")
    return array


def single(name: str, array: NDArray[Any]) -> NDArray[np.float32]:
    """Return a copy in single precision, in C order.

    Raises:
        InputError: it contains NaN or infinite values, or values beyond the range of single precision; or there is no
            memory for a copy.
    """
    try:
        with np.errstate(over="ignore"):
            return finite(name, array.astype(np.float32, order="C"))
    except MemoryError as error:
        raise InputError(f"{name} of shape {array.shape} does not fit into memory") from error


def result_for(y: NDArray[Any]) -> NDArray[np.float32]:
    """Return memory in single precision, in the shape of ``y``.

    Raises:
        InputError: there is not enough of it.
    """
    try:
        return np.empty(y.shape, np.float32)
    except MemoryError as error:
        raise InputError(f"a result of shape {y.shape} does not fit into memory") from error


def float_array(expected: str, value: object) -> NDArray[Any]:
    """Return a nonempty array of a floating-point type.

    Args:
        expected: the array that the caller expects, in words.
        value: the value.

    Raises:
        InputError: the value is no such array.
    """
    try:
        array = np.asarray(value)
    except (
        TypeError,
        ValueError,
        RuntimeError,
    ) as error:  # torch raises the last for tensors that need gradients
        raise InputError(f"expected {expected}, got {type(value).__name__}: {error}") from error
    if array.dtype.kind not in FLOATS or array.size == 0:
        raise InputError(f"expected {expected}, got {array.dtype} of shape {array.shape}")
    return array


def numbers(name: str, value: object) -> NDArray[np.float32]:
    """Return one number or several in single precision, ``(n,)``.

    Raises:
        InputError: they are not numbers, or not finite.
    """
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{name} must be a number, got {value!r}") from error
    if array.size and array.dtype.kind not in REALS:
        raise InputError(f"{name} must be a number, got {value!r}")
    return single(name, array.reshape(-1))


def number(name: str, value: object) -> float:
    """Return one number, rounded to single precision.

    Raises:
        InputError: it is not one finite number.
    """
    found = numbers(name, value)
    if found.size != 1:
        raise InputError(f"{name} must be one number, got {found.tolist()}")
    return float(found[0])


def whole_number(name: str, value: object, least: int) -> int:
    """Return an integer of at least ``least``.

    Raises:
        InputError: the value is no such integer.
    """
    # True and False are integers in Python; here they are a mistake.
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not least <= value < 2**31:
        raise InputError(f"{name} must be a whole number of at least {least}, got {value!r}")
    return int(value)
