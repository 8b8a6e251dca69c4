"""The Typer app, and the one place where errors become one line and an exit code."""

from __future__ import annotations

import sys
import warnings
from typing import Annotated

import typer

from gradprox import __version__
from gradprox.cli import (
    bench,
    certify,
    deblur,
    demo,
    denoise,
    estimate_kernel,
    evaluate,
    export,
    kernel,
    models,
    recover,
    sense,
    train,
    verify,
    web,
)
from gradprox.cli.groups import Group, register
from gradprox.cli.options import UsageError
from gradprox.cli.terminal import error_line
from gradprox.errors import InputError
from gradprox.memory import keep_freed_memory

app = typer.Typer(
    name="gradprox",
    cls=Group,
    help="Restore images with learned proximal operators that have proven properties. Begin with `gradprox demo`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    demo.demo,
    deblur.deblur,
    denoise.denoise,
    sense.sense,
    recover.recover,
    train.train,
    models.models,
    export.export,
    verify.verify,
    certify.certify,
    kernel.kernel,
    estimate_kernel.estimate_kernel,
    bench.bench,
    web.web,
):
    register(app, command)
app.add_typer(evaluate.app, name="evaluate")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"gradprox {__version__}")
        raise typer.Exit


@app.callback()
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


def main() -> None:
    """Run the command line: exit with 0 when done, with 1 after a one-line error, with 2 for wrong usage."""
    keep_freed_memory()
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warning_line
            # Typer would print its own errors as boxes of several lines.
            sys.exit(app(prog_name="gradprox", standalone_mode=False))
    except typer.TyperException as error:
        said = error_line(error)
        if said:  # empty after a help text
            typer.echo(f"error: {said.rstrip('.')}{_where_to_look(error)}", err=True)
        sys.exit(error.exit_code)
    except (InputError, OSError) as error:
        typer.echo(f"error: {error_line(error)}", err=True)
        sys.exit(2 if isinstance(error, UsageError) else 1)
