"""The error for input that cannot be used, and for names that do not exist."""

from __future__ import annotations

import difflib
from collections.abc import Sequence


class InputError(ValueError):
    """An argument or a file cannot be used. The message is one line: the reason, and how to correct the input.

    The command line prints the message and exits with 1.
    """


def unknown(what: str, value: str, choices: Sequence[str], otherwise: str = "") -> InputError:
    """Return the error about a name that is none of the choices.

    Args:
        what: what the name is for, for example ``solver`` or ``--solver``.
        value: the name.
        choices: the names that exist.
        otherwise: what may be given instead of a name, for the end of the message.
    """
    message = f"{what} {value} is unknown: {did_you_mean(value, choices)}choose one of {', '.join(choices)}"
    return InputError(f"{message}{otherwise}")


def did_you_mean(value: str, choices: Sequence[str]) -> str:
    """Return the question whether the most similar choice was meant, and a space; empty if none is similar."""
    similar = difflib.get_close_matches(str(value), choices, n=1)
    # Joined, because the format of a member of an enumeration is its qualified name.
    return f"did you mean {''.join(similar)}? " if similar else ""
