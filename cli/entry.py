"""How a command line is put together and run: the one place where errors become one line and an exit code."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from gradprox._version import __version__
from gradprox.cli.groups import Group, register
from gradprox.cli.option_values import UsageError
from gradprox.cli.terminal import error_line
from gradprox.errors import InputError
from gradprox.memory import keep_freed_memory


def command_line(name: str, text: str, commands: Sequence[Callable[..., None]]) -> typer.Typer:
    """Return the app of a command line.

    Args:
        name: the name of the program.
        text: what ``--help`` says first.
        commands: the functions of its commands, in the order of ``--help``.
    """
    app = typer.Typer(
        name=name,
        cls=Group,
        help=text,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for command in commands:
        register(app, command)
    app.callback()(_root)
    return app


def _print_version(context: typer.Context, wanted: bool) -> None:
    if wanted:
        typer.echo(f"{context.find_root().info_name} {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def _warning_line(message: Warning | str, *_: object, **__: object) -> None:
    typer.echo(f"warning: {message}", err=True)


def _where_to_look(error: typer.TyperException) -> str:
    """Return the advice to read the help of the command that was used wrongly."""
    context: typer.Context | None = getattr(error, "ctx", None)
    return f": see `{context.command_path} --help`" if context else ""


def run(app: typer.Typer) -> None:
    """Run a command line: exit with 0 when done, with 1 after a one-line error, with 2 for wrong usage."""
    keep_freed_memory()
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warning_line
            # Typer would print its own errors as boxes of several lines.
            sys.exit(app(prog_name=app.info.name, standalone_mode=False))
    except typer.TyperException as error:
        said = error_line(error)
        if said:  # empty after a help text
            typer.echo(f"error: {said.rstrip('.')}{_where_to_look(error)}", err=True)
        sys.exit(error.exit_code)
    except (InputError, OSError) as error:
        typer.echo(f"error: {error_line(error)}", err=True)
        sys.exit(2 if isinstance(error, UsageError) else 1)
