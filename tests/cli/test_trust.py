"""Files of strangers: nothing in them is run, and nothing in them leads elsewhere."""

from __future__ import annotations

import pickle
import re
import stat
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

import gradprox.cli
import gradprox.export
import gradprox.solvers


class Bomb:
    """Whoever unpickles it touches a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_nothing_is_unpickled(run, photo, tmp_path):
    touched, bomb = tmp_path / "touched", Bomb(tmp_path / "touched")
    pickle.loads(pickle.dumps(bomb))  # noqa: S301  it works
    touched.unlink()
    objects = np.array([bomb], dtype=object)
    np.save(tmp_path / "bomb.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "bomb.npz", y=objects, sampling=objects, allow_pickle=True)
    torch.save({"weights": bomb}, tmp_path / "bomb.safetensors")
    torch.save({"weights": bomb}, tmp_path / "bomb.onnx")
    (tmp_path / "bomb.png").write_bytes(pickle.dumps(bomb))
    out = tmp_path / "out.png"
    for arguments in (
        ("denoise", tmp_path / "bomb.npy"),
        ("denoise", tmp_path / "bomb.npz"),
        ("denoise", tmp_path / "bomb.png"),
        ("denoise", photo, "--model", tmp_path / "bomb.safetensors"),
        ("denoise", photo, "--model", tmp_path / "bomb.onnx"),
        ("deblur", photo, "--kernel", tmp_path / "bomb.npy"),
        ("deblur", photo, "--kernel", tmp_path / "bomb.npz"),
        ("recover", tmp_path / "bomb.npz"),
    ):
        code, _, err = run(*arguments, "-o", out)
        assert code == 1, arguments
        assert err.count("\n") == 1
    assert not touched.exists()
    assert not out.exists()


def test_nothing_in_the_source_could_unpickle():
    for package in (gradprox, gradprox.cli, gradprox.export, gradprox.solvers):
        for path in Path(package.__file__).parent.rglob("*.py"):
            found = re.search(
                r"import (pickle|marshal|shelve|joblib|dill)\b|torch\.load\(|allow_pickle=True",
                path.read_text(encoding="utf-8"),
            )
            assert not found, f"{path}: {found}"


@pytest.mark.parametrize("name", ["../y.npy", "/y.npy", "a/../../y.npy", "link.npy"])
def test_archives_that_lead_elsewhere_are_refused(run, photo, tmp_path, name):
    np.save(tmp_path / "y.npy", np.ones((3, 3)))
    with zipfile.ZipFile(tmp_path / "k.npz", "w") as archive:
        member = zipfile.ZipInfo(name)
        if name == "link.npy":
            member.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(member, (tmp_path / "y.npy").read_bytes())
    code, _, err = run("deblur", photo, "--kernel", tmp_path / "k.npz", "-o", tmp_path / "out.png")
    assert code == 1
    assert "leads out of the archive" in err
