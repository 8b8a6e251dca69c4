"""`gradprox estimate-kernel`, and `gradprox deblur` of photos whose blur is not known."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from gradprox.blind import LEAST_CONFIDENCE
from gradprox.images import read_image
from gradprox.physics import motion_kernel, read_kernel
from tests.blind.photos import NOISE, photo_of


@pytest.fixture
def blurred(tmp_path):
    """Return a file with a photo blurred by a motion."""
    np.save(tmp_path / "blurred.npy", photo_of(motion_kernel(9, 20), side=128)[0, 0].numpy())
    return tmp_path / "blurred.npy"


@pytest.fixture
def flat(tmp_path):
    """Return a file with noise only."""
    noise = NOISE * torch.randn(96, 96, generator=torch.Generator().manual_seed(0))
    np.save(tmp_path / "flat.npy", (0.5 + noise).numpy())
    return tmp_path / "flat.npy"


def test_the_kernel_is_written_drawn_and_reported(run, blurred, tmp_path):
    kernel, preview, report = (tmp_path / name for name in ("k.npy", "k.png", "report.json"))
    words = ("estimate-kernel", blurred, "--family", "motion", "--noise", NOISE, "-o", kernel)
    code, out, err = run(*words, "--preview", preview, "--json", report)
    assert (code, err) == (0, "")
    (found,) = json.loads(report.read_text())["images"]
    assert found["family"] == "motion"
    assert found["parameters"] == pytest.approx([9, 20], abs=1)
    assert found["confidence"] > LEAST_CONFIDENCE
    assert found["seconds"] > 0
    assert found["note"] in " ".join(out.split())
    written = read_kernel(str(kernel))
    assert max(written.shape) == found["size"]
    assert float(read_image(preview).pixels.max()) == 1
    # The preview is a kernel too.
    torch.testing.assert_close(read_kernel(str(preview)), written, rtol=0, atol=1e-4)


def test_the_image_with_the_most_texture_stands_for_a_stack(run, tmp_path):
    sharpest = photo_of(motion_kernel(9, 20), side=128)[0, 0].numpy()
    np.save(tmp_path / "stack.npy", np.stack([0.5 + 0.5 * (sharpest - 0.5), sharpest, 0 * sharpest]))
    np.save(tmp_path / "one.npy", sharpest)
    for name in ("stack", "one"):
        words = ("--family", "motion", "--noise", NOISE, "-o", tmp_path / f"k-{name}.npy")
        code, out, _ = run("estimate-kernel", tmp_path / f"{name}.npy", *words)
        assert code == 0
        assert ("from image 2 of 3, which has the most texture" in " ".join(out.split())) is (name == "stack")
    np.testing.assert_array_equal(np.load(tmp_path / "k-stack.npy"), np.load(tmp_path / "k-one.npy"))


def test_a_photo_without_a_clear_kernel_gets_a_warning(run, flat, tmp_path):
    words = ("estimate-kernel", flat, "--family", "disk", "--noise", NOISE, "-o", tmp_path / "k.npy")
    code, _, err = run(*words)
    assert code == 0
    assert err.startswith("warning: flat.npy: no blur kernel explains the photo clearly (confidence 0.")


def test_deblur_estimates_prints_restores_and_keeps_the_kernel(run, blurred, tmp_path):
    kernel, report = tmp_path / "k.npy", tmp_path / "report.json"
    words = ("deblur", blurred, "--kernel", "auto:motion", "--noise", NOISE, "-o", tmp_path / "out.npy")
    code, out, _ = run(
        *words, "--write-kernel", kernel, "--json", report, "--model", "gray-fast", "--steps", 1
    )
    assert code == 0
    (image,) = json.loads(report.read_text())["images"]
    found = image["estimated_kernel"]
    assert found["family"] == "motion"
    assert "estimated kernel motion:" in out
    # The same result as with the kernel that was kept.
    code, _, _ = run(
        *("deblur", blurred, "--kernel", kernel, "--noise", NOISE, "-o", tmp_path / "again.npy"),
        *("--model", "gray-fast", "--steps", 1),
    )
    assert code == 0
    np.testing.assert_allclose(np.load(tmp_path / "again.npy"), np.load(tmp_path / "out.npy"), atol=1e-5)


def test_deblur_leaves_out_a_photo_without_a_clear_kernel_unless_forced(run, flat, tmp_path):
    words = (
        "deblur",
        flat,
        "--kernel",
        "auto:disk:9",
        "--noise",
        NOISE,
        "--steps",
        1,
        "-o",
        tmp_path / "o.npy",
    )
    code, _, err = run(*words)
    assert code == 1
    assert "flat.npy" in err
    assert "left out, because no blur kernel explains the photo clearly" in err
    assert not (tmp_path / "o.npy").exists()
    code, _, _ = run(*words, "--force")
    assert code == 0
    assert (tmp_path / "o.npy").exists()


def test_deblur_leaves_out_a_photo_that_the_estimated_kernel_does_not_explain(
    run, blurred, tmp_path, monkeypatch
):
    monkeypatch.setattr("gradprox.physics.wrong_kernel_score", lambda *_, **__: 9.0)
    words = ("deblur", blurred, "--kernel", "auto:motion", "--noise", NOISE, "-o", tmp_path / "o.npy")
    code, _, err = run(*words, "--steps", 1, "--model", "gray-fast")
    assert code == 1
    assert "left out, because its restoration does not fit the estimated kernel motion:" in err
    assert not (tmp_path / "o.npy").exists()
    code, _, err = run(*words, "--steps", 1, "--model", "gray-fast", "--force")
    assert code == 0
    assert "does not fit" in err
    assert (tmp_path / "o.npy").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--kernel", "auto:box"), "choose one of"),
        (("--kernel", "auto:free:8"), "odd number"),
        (("--kernel", "auto:free:nine"), "write auto"),
        (("--kernel", "auto:free:9:9"), "write auto"),
        (("--kernel", "disk:3", "--force"), "for estimated kernels"),
        (("--kernel", "disk:3", "--write-kernel", "k.npy"), "for estimated kernels"),
    ],
)
def test_unusable_options_are_refused_before_any_work(run, blurred, tmp_path, words, message):
    code, _, err = run("deblur", blurred, *words, "-o", tmp_path / "out.npy")
    assert code == 1
    assert message in err
    assert err.count("\n") == 1


def test_one_file_for_two_results_is_refused(run, blurred, tmp_path):
    same = tmp_path / "same.npy"
    code, _, err = run("deblur", blurred, "-o", same, "--write-kernel", same)
    assert code == 1
    assert "different names" in err


def test_kernels_are_not_rounded_to_8_bits(run, blurred, tmp_path):
    name, out = tmp_path / "k.jpg", tmp_path / "out.png"
    for words in (
        ("estimate-kernel", blurred, "-o", name),
        ("deblur", blurred, "--write-kernel", name, "-o", out),
    ):
        code, _, err = run(*words)
        assert (code, err) == (1, f"error: {name}: the name must end in one of .png .tif .tiff .npy .npz\n")
    assert not name.exists()
    assert not out.exists()
