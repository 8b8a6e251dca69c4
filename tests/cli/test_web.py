"""`gradprox web`: one-line errors, and a quiet end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from gradprox.errors import InputError
from gradprox.web.server import RUNTIME, find_runtime


@pytest.fixture
def stand_in(tmp_path):
    """A folder with files of the names of onnxruntime-web."""
    for name in RUNTIME:
        (tmp_path / name).write_bytes(b"stand-in")
    return tmp_path


def test_a_port_in_use(run, stand_in):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        code, _, said = run("web", "--port", port, "--no-browser", "--runtime", stand_in)
    assert code == 1
    assert said == f"error: port {port}: is in use: choose another one, or 0 for any free port\n"


def test_a_missing_runtime(run, tmp_path, monkeypatch):
    code, _, said = run("web", "--no-browser", "--runtime", tmp_path)
    assert code == 1
    assert said.count("\n") == 1
    assert "ort.wasm.bundle.min.mjs" in said
    monkeypatch.setattr("gradprox.web.server.PAGE", tmp_path)
    with pytest.raises(InputError, match="npm ci --prefix web"):
        find_runtime()


@pytest.mark.skipif(os.name == "nt", reason="Windows sends Ctrl-C to whole groups of processes")
def test_ctrl_c_ends_quietly(stand_in):
    command = [
        sys.executable,
        "-m",
        "gradprox",
        "web",
        "--port",
        "0",
        "--no-browser",
        "--runtime",
        str(stand_in),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline()
        with urllib.request.urlopen(line.split()[4]) as answer:  # noqa: S310  our own server
            assert b"<!doctype html>" in answer.read()
        process.send_signal(signal.SIGINT)
        rest, said = process.communicate(timeout=20)
    assert (process.returncode, rest, said) == (0, "", "")
