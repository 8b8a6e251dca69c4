"""A web server for the page, on this machine alone."""

from __future__ import annotations

import errno
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gradprox import exported_models
from gradprox.errors import InputError

PAGE = Path(__file__).parent
# The files of onnxruntime-web that run a model in WebAssembly, and where npm puts them.
RUNTIME = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
NPM = Path("node_modules", "onnxruntime-web", "dist")
# The files of the page, by the ends of their names.
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".onnx": "application/octet-stream",
}
HEADERS = {
    # Browsers share memory between threads only in pages that are isolated from other origins.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    # The browser itself refuses every request to another origin.
    "Content-Security-Policy": "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; "
    "img-src 'self' blob:; connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # A browser asks again each time, so it never mixes files of two versions.
    "Cache-Control": "no-cache",
}


class PageServer(ThreadingHTTPServer):
    """Serve the page at ``http://localhost:PORT``; ``serve_forever`` runs it, ``shutdown`` ends that.

    Args:
        port: the port; 0 takes any free one.
        runtime: the folder of onnxruntime-web, from `find_runtime`.

    Attributes:
        url: the address of the page.

    Raises:
        InputError: the port is in use, or may not be used.
    """

    daemon_threads = True

    def __init__(self, port: int, runtime: Path) -> None:
        self.files = page_files(runtime)
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except OSError as error:
            reasons = {errno.EADDRINUSE: "is in use", errno.EACCES: "needs the rights of an administrator"}
            reason = reasons.get(error.errno or 0, f"cannot be used: {error.strerror}")
            raise InputError(f"port {port}: {reason}: choose another one, or 0 for any free port") from error
        self.url = f"http://localhost:{self.server_port}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a browser that closes a connection is no error."""


def find_runtime(folder: Path | None = None) -> Path:
    """Return the folder that contains onnxruntime-web.

    Args:
        folder: the ``dist`` folder of onnxruntime-web; that in the package or the checkout if not given.

    Raises:
        InputError: a file is missing there.
    """
    found = PAGE / NPM if folder is None else folder
    missing = [name for name in RUNTIME if not (found / name).is_file()]
    if not missing:
        return found
    if folder is not None:
        raise InputError(f"{folder}: contains no {missing[0]}: give the folder dist of onnxruntime-web")
    raise InputError(
        "the page needs onnxruntime-web: run `npm ci --prefix web` in a checkout of gradprox (if it is not an editable "
        "install, then `pip install .` again)"
    )


def page_files(runtime: Path) -> dict[str, Path]:
    """Return the files that are served, by the path of their address."""
    files = {f"/{path.name}": path for path in PAGE.glob("*") if path.suffix in TYPES}
    files |= {f"/models/{path.name}": path for path in exported_models.FOLDER.glob("*.onnx")}
    files |= {f"/runtime/{name}": runtime / name for name in RUNTIME}
    return files | {"/": files["/index.html"]}


class _Handler(BaseHTTPRequestHandler):
    server: PageServer

    def do_GET(self) -> None:  # the name that the base class asks for
        self._answer(with_content=True)

    def do_HEAD(self) -> None:
        self._answer(with_content=False)

    def _answer(self, *, with_content: bool) -> None:
        path = self.server.files.get(urlsplit(self.path).path)
        if path is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        content = path.read_bytes()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", TYPES[path.suffix])
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if with_content:
            self.wfile.write(content)

    def end_headers(self) -> None:
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing: a line per file would bury the address of the page."""
