"""Settings by name: ``help`` lists all of them, and a wrong name is refused with the nearest right one."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import inspect
import re
from collections.abc import Callable
from typing import Any, TypeVar

from gradprox.errors import InputError

T = TypeVar("T")

_SECTION = re.compile(r"^Attributes:\n(?:    .*\n?)+", re.MULTILINE)
_ENTRY = re.compile(r"^    (\w+): .*(?:\n     +.*)*", re.MULTILINE)


def named_settings(cls: type[T]) -> type[T]:
    """Complete a class of settings; to be written above ``@dataclass(frozen=True, kw_only=True)``.

    Its docstring then describes the inherited settings too, in the words of the class that defines them. Its
    constructor raises `InputError` for settings that are unknown, missing or without a name.
    """
    build: Callable[..., None] = cls.__init__

    @functools.wraps(build)
    def checked(self: T, *unnamed: object, **settings: Any) -> None:
        _check_names(cls, unnamed, settings)
        build(self, **settings)

    cls.__init__ = checked  # type: ignore[assignment,method-assign]
    if cls.__doc__:  # which `python -OO` drops
        cls.__doc__ = _complete_docstring(cls)
    return cls


def _check_names(cls: type, unnamed: tuple[object, ...], settings: dict[str, Any]) -> None:
    """Refuse settings that a class does not have, lacks or cannot name.

    Raises:
        InputError: there are any.
    """
    fields = {field.name: field for field in dataclasses.fields(cls)}
    known = ", ".join(fields)
    if unnamed:
        raise InputError(f"{cls.__name__} takes its settings by name, one of {known}; got {unnamed[0]!r}")
    for name in settings:
        if name not in fields:
            nearest = difflib.get_close_matches(name, fields, n=1)
            meant = f"did you mean {nearest[0]}? " if nearest else ""
            raise InputError(f"{cls.__name__} has no setting {name}: {meant}It has {known}")
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in settings:
            raise InputError(f"{cls.__name__} needs the setting {name}; it has {known}")


def _complete_docstring(cls: type) -> str:
    """Return the docstring of a class, with the entries of inherited settings before its own."""
    text = inspect.cleandoc(cls.__doc__ or "")
    own = _entries(cls)
    inherited = dict[str, str]()
    for parent in reversed(cls.__mro__[1:]):
        inherited |= _entries(parent)
    names = [field.name for field in dataclasses.fields(cls)]
    entries = {
        name: own.get(name, inherited.get(name, f"    {name}: see the class.")) for name in names
    } | own
    section = "\n".join(["Attributes:", *entries.values(), ""])
    if _SECTION.search(text):
        return _SECTION.sub(lambda _: section, text)
    return f"{text}\n\n{section}"


def _entries(cls: type) -> dict[str, str]:
    """Return the entries of a docstring's section of attributes, by name."""
    section = _SECTION.search(inspect.cleandoc(cls.__doc__ or ""))
    return {entry[1]: entry[0] for entry in _ENTRY.finditer(section[0])} if section else {}
