"""``gradprox web``: the page that restores photos in a browser."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from gradprox.cli.groups import Report


def web(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the page; 0 takes any free one.")
    ] = 8000,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the address, and open no browser.")
    ] = False,
    runtime: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="The folder dist of onnxruntime-web. `npm ci --prefix web` in a checkout puts one where the command "
            "finds it.",
            show_default=False,
        ),
    ] = None,
    *,
    report: Report,
) -> None:
    """Denoise and deblur photos on a page in the browser; they never leave this machine.

    The page is served to this machine alone, until Ctrl-C. Photos are restored in the browser itself.

    Examples:
      gradprox web
      gradprox web --port 8080 --no-browser
    """
    from gradprox.web.server import PageServer, find_runtime

    with PageServer(port, find_runtime(runtime)) as server:
        report.print(f"The page is at {server.url} until Ctrl-C.", markup=False)
        report.write({"url": server.url})
        if not no_browser:
            webbrowser.open(server.url)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return
