"""The server of the page, and the files that it serves."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request

import pytest

from gradprox.web.server import PAGE, RUNTIME, TYPES, PageServer, find_runtime


@pytest.fixture
def stand_in(tmp_path):
    """A folder with files of the names of onnxruntime-web."""
    for name in RUNTIME:
        (tmp_path / name).write_bytes(b"stand-in")
    return tmp_path


@pytest.fixture
def served(stand_in):
    with PageServer(0, find_runtime(stand_in)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def get(url, method="GET"):
    with urllib.request.urlopen(urllib.request.Request(url, method=method)) as answer:  # noqa: S310  our own server
        return answer.headers, answer.read()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("", "text/html; charset=utf-8"),
        ("app.mjs?x=1", "text/javascript; charset=utf-8"),
        ("style.css", "text/css; charset=utf-8"),
        ("models/gray-fast.onnx", "application/octet-stream"),
        ("runtime/ort-wasm-simd-threaded.wasm", "application/wasm"),
    ],
)
def test_files_have_their_type_and_threads_are_allowed(served, path, kind):
    headers, content = get(served.url + path)
    assert headers["Content-Type"] == kind
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert "connect-src 'self';" in headers["Content-Security-Policy"]
    assert int(headers["Content-Length"]) == len(content) > 0
    assert get(served.url + path, "HEAD")[1] == b""


@pytest.mark.parametrize(
    "path", ["server.py", "../pyproject.toml", "%2e%2e/pyproject.toml", "models/", "package.json"]
)
def test_nothing_but_the_page_is_served(served, path):
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(served.url + path)


def test_only_this_machine_is_served(served):
    assert served.server_address[0] == "127.0.0.1"


def test_the_page_keeps_all_its_files_for_use_offline(served):
    kept = (PAGE / "offline.mjs").read_text()
    for address, path in served.files.items():
        # A list of names, or of models without their ends.
        assert path.name in kept or path.stem in kept or path.name in ("index.html", "offline.mjs"), address
    assert {path.suffix for path in served.files.values()} == set(TYPES)
