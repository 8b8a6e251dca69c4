"""Groups of options that several commands share, and how a command takes a whole group as one object.

A command declares a parameter whose type is a dataclass of options. `register` gives Typer the fields of that
dataclass as options of their own, and the command one object.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup

from gradprox.cli import option_values, options
from gradprox.cli.terminal import console
from gradprox.errors import InputError
from gradprox.files import json_text, write_json

# The value of --json that stands for standard output.
STANDARD_OUTPUT = Path("-")


@dataclass(frozen=True)
class Report:
    """How a command reports.

    Attributes:
        quiet: print errors and warnings only.
        json: file for the figures; ``-`` is standard output, and everything else then goes to standard error.
    """

    quiet: options.Quiet = False
    json: options.Json = None

    def __post_init__(self) -> None:
        """Refuse a file for the figures that must not be replaced, before any work is done.

        Raises:
            InputError: it is a folder, or no JSON file.
        """
        if self.json is not None and self.json != STANDARD_OUTPUT:
            _check_replaceable(self.json)

    def print(self, *what: object, **how: Any) -> None:
        """Print text for people, unless quiet; the arguments are those of rich's ``Console.print``."""
        if not self.quiet:
            console(stderr=self.json == STANDARD_OUTPUT).print(*what, **how)

    def write(self, figures: Mapping[str, Any]) -> None:
        """Write the figures as JSON, if asked to.

        Raises:
            InputError: another output of the command has the name of the file.
        """
        if self.json == STANDARD_OUTPUT:
            typer.echo(json_text(figures))
        elif self.json is not None:
            _check_replaceable(self.json)
            write_json(self.json, figures)


def _check_replaceable(path: Path) -> None:
    """Refuse to replace anything but the figures of an earlier run, for example the image that is restored.

    Raises:
        InputError: the path is a folder, or a file that is no JSON object.
    """
    if path.is_dir():
        raise InputError(f"--json {path}: is a folder, not a file")
    if path.is_file() and path.stat().st_size:
        with path.open("rb") as file:
            if file.read(1) != b"{":
                raise InputError(f"--json {path}: exists, and is no JSON file: choose another name")


@dataclass(frozen=True)
class Batch(Report):
    """How a command processes many files.

    Attributes:
        workers: number of processes; None for one, or one for each processor of Ray.
        ray: address of the Ray cluster whose processes work, see `gradprox.cli.ray_workers`; None for this machine.
        resume: keep existing outputs, and process only what is missing.
        overwrite: replace existing outputs.
    """

    workers: options.Workers = None
    ray: options.Ray = None
    resume: options.Resume = False
    overwrite: options.Overwrite = False

    @property
    def parallel(self) -> bool:
        """Whether other processes do the work."""
        return self.ray is not None or (self.workers or 1) > 1


def register(app: typer.Typer, command: Callable[..., None]) -> Callable[..., None]:
    """Add a command to the app; lines of its examples stay lines in ``--help``.

    Returns:
        The function that Typer calls, with the options of all groups.
    """
    flat = _flattened(command)
    paragraphs = (inspect.getdoc(command) or "").split("\n\n")
    text = "\n\n".join(p if p.startswith("Example") else p.replace("\n", " ") for p in paragraphs)
    return app.command(help=text, cls=Command)(flat)


class _WithoutTypesOfFlags:
    """A command whose help shows no type after options that take no value."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters of the command."""
        params: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for param in params:
            if getattr(param, "is_flag", False):
                param.metavar = ""
        return params


class Command(_WithoutTypesOfFlags, TyperCommand):
    """A command of the command line."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments; ``--ray`` alone is an option without a value."""
        return super().parse_args(ctx, option_values.with_ray_address(args))


class Group(_WithoutTypesOfFlags, TyperGroup):
    """A command with commands of its own."""


def _flattened(command: Callable[..., None]) -> Callable[..., None]:
    """Return a function with the options of every group in the place of the group."""
    signature = inspect.signature(command, eval_str=True)
    groups: dict[str, Any] = {
        name: parameter.annotation
        for name, parameter in signature.parameters.items()
        if dataclasses.is_dataclass(parameter.annotation)
    }
    parameters = []
    for name, parameter in signature.parameters.items():
        if name in groups:
            hints = get_type_hints(groups[name], include_extras=True)
            parameters += [
                inspect.Parameter(
                    field.name,
                    inspect.Parameter.KEYWORD_ONLY,
                    default=inspect.Parameter.empty
                    if field.default is dataclasses.MISSING
                    else field.default,
                    annotation=hints[field.name],
                )
                for field in dataclasses.fields(groups[name])
            ]
        else:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))

    @functools.wraps(command)
    def flat(**given: Any) -> None:
        for name, group in groups.items():
            given[name] = group(**{field.name: given.pop(field.name) for field in dataclasses.fields(group)})
        command(**given)

    flat.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    flat.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return flat
