"""Two thousand damaged files through the command line: a result or one line, never a traceback or part of a file."""

from __future__ import annotations

import io
import random
import signal
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy.io import savemat

from gradprox.export import export_denoiser
from gradprox.images import READ_ONLY_SUFFIXES, read_image
from gradprox.images.png_chunks import with_chunks
from gradprox.physics import Sensing, write_measurements

pytestmark = pytest.mark.reliability

SECONDS = 60  # in which one small file must be dealt with, on a busy machine too
RECIPE = """name = "tiny"
seed = 3
steps = 20
batch_size = 2
patch_size = 16
noise_range = [0.01, 0.2]
learning_rate = 0.003
checkpoint_every = 5

[network]
kernel_size = 4

[network.shrinkage]
kind = "energy-gated"
window = 3
terms = 1
"""

COLOR_CHUNKS = b"\0\0\0\x04gAMA\0\0\xb1\x8f\x0b\xfca\x05" + b"\0\0\0\x04cICP\x09\x10\0\x01M##\xfe"


def mutated(content: bytes, chance: random.Random) -> bytes:
    """Return bytes with one to four kinds of damage."""
    changed = bytearray(content)

    def flip(at: int) -> None:
        changed[at] ^= 1 << chance.randrange(8)

    def extreme(at: int) -> None:
        changed[at : at + 4] = chance.choice(
            [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\0\0\0\x80"]
        )

    def swap(at: int) -> None:
        changed[at] = chance.randrange(256)

    def insert(at: int) -> None:
        changed[at:at] = chance.randbytes(chance.randrange(1, 9))

    def remove(at: int) -> None:
        del changed[at : at + chance.randrange(1, 9)]

    def repeat(at: int) -> None:
        changed[at:at] = changed[at : at + chance.randrange(1, 65)]

    def cut(at: int) -> None:
        del changed[at:]

    for _ in range(chance.randrange(1, 5)):
        if changed:
            # Half of the damage is in the first bytes, where formats keep what matters.
            end = len(changed) if chance.random() < 0.5 else min(len(changed), 200)
            chance.choice([flip, flip, extreme, swap, swap, insert, remove, repeat, cut])(
                chance.randrange(end)
            )
    return bytes(changed)


def saved(save: Callable[[io.BytesIO], object]) -> bytes:
    buffer = io.BytesIO()
    save(buffer)
    return buffer.getvalue()


def by_pillow(kind: str, pixels: np.ndarray, **options: object) -> bytes:
    return saved(lambda buffer: Image.fromarray(pixels).save(buffer, kind, **options))


def by_tifffile(pixels: np.ndarray, **options: object) -> bytes:
    return saved(lambda buffer: tifffile.imwrite(buffer, pixels, photometric="rgb", **options))


def images(pixels: np.ndarray) -> dict[str, bytes]:
    tags, exif = Image.Exif(), Image.Exif()
    tags[0x010F], tags[0x0112], tags[0x8769] = "Camera", 6, {0x8827: 100}
    exif.load(tags.tobytes())  # with offsets, which a TIFF file needs
    deep = pixels.astype(np.uint16) * 257
    return {
        "8.png": by_pillow("PNG", pixels, exif=exif, dpi=(72, 72)),
        "palette.png": saved(lambda b: Image.fromarray(pixels).quantize(16).save(b, "PNG", transparency=3)),
        "16.png": imagecodecs.png_encode(deep),
        "photo.jpg": by_pillow("JPEG", pixels, exif=exif),
        "8.tif": by_pillow("TIFF", pixels, exif=exif),
        "lzw.tif": by_pillow("TIFF", pixels, compression="tiff_lzw"),
        "16.tif": by_tifffile(deep, description="text"),
        "16-lzw.tif": by_tifffile(deep, compression="lzw", predictor=True),
        "float.tif": by_tifffile((deep / 65535).astype("f4")),
        "alpha.tif": by_tifffile(np.dstack([deep, deep[..., 0]]), extrasamples=["assocalpha"]),
        "color.png": with_chunks(by_pillow("PNG", pixels), COLOR_CHUNKS),
        "photo.webp": by_pillow("WEBP", pixels, exif=exif),
        "lossless.webp": by_pillow("WEBP", pixels, lossless=True),
        "photo.gif": by_pillow("GIF", pixels),
        "photo.ppm": by_pillow("PPM", pixels),
        "photo.jp2": by_pillow("JPEG2000", pixels),
        "photo.qoi": by_pillow("QOI", pixels),
        "photo.avif": by_pillow("AVIF", pixels),
        "photo.bmp": by_pillow("BMP", pixels),
        "array.npy": saved(lambda b: np.save(b, (pixels / 255).astype("f4"))),
        "array.npz": saved(lambda b: np.savez(b, (pixels / 255).astype("f4"))),
    }


@pytest.fixture
def survive(run, tmp_path, times):
    """Damage a file again and again and check what a command does with it."""

    def survive(
        name: str,
        content: bytes,
        count: int,
        arguments: Callable[[Path, Path], list[object]],
        output: str | None,
    ) -> None:
        chance = random.Random(name)  # noqa: S311  repeatable, not secret
        folder = tmp_path / f"damaged {name}"
        folder.mkdir()
        path, target = folder / name, folder / (output or "nothing")
        for number in range(times(count)):
            path.write_bytes(mutated(content, chance))
            signal.alarm(SECONDS)
            try:
                code, out, err = run(*arguments(path, target))
            finally:
                signal.alarm(0)
            left = {found.name for found in folder.iterdir()} - {name}
            where = f"{name}, damage {number}: {out}{err}"
            # libtiff says some things of its own before the one line of ours.
            assert "Traceback" not in err, where
            if code == 0:
                assert "error: " not in err, where
                assert left == ({output} if output else set()), where
                if output and output.endswith((".png", ".npy")):
                    read_image(target)
                target.unlink(missing_ok=True)
            else:
                assert code == 1, where
                assert err.splitlines()[-1].startswith("error: "), where
                assert err.count("error: ") == 1, where
                assert left == set(), where

    def ring(*_: object) -> None:
        raise AssertionError(f"took more than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, ring)
    yield survive
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("name", sorted(images(np.zeros((8, 8, 3), np.uint8))))
def test_images(survive, model, pixels, name):
    suffix = Path(name).suffix
    output = f"out{'.png' if suffix in READ_ONLY_SUFFIXES else suffix}"
    survive(
        name,
        images(pixels)[name],
        80,
        lambda path, out: ["denoise", path, "--noise", "0.1", "--model", model, "-o", out],
        output,
    )


@pytest.mark.parametrize(
    ("name", "count"), [("k.npy", 80), ("k.npz", 80), ("k.png", 40), ("k.tif", 40), ("k.mat", 10)]
)
def test_kernels(survive, model, pixels, tmp_path, name, count):
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    kernel = np.outer([1, 2, 1], [1, 3, 1]).astype(np.float64)
    gray = (kernel * 40).astype(np.uint8)
    content = {
        "k.npy": saved(lambda b: np.save(b, kernel)),
        "k.npz": saved(lambda b: np.savez_compressed(b, k=kernel)),
        "k.png": by_pillow("PNG", gray),
        "k.tif": by_pillow("TIFF", gray),
        "k.mat": saved(lambda b: savemat(b, {"k": kernel})),
    }[name]

    def arguments(path: Path, out: Path) -> list[object]:
        options = ["--noise", "0.05", "--steps", "1", "--model", model]
        return ["deblur", tmp_path / "photo.png", "--kernel", path, *options, "-o", out]

    survive(name, content, count, arguments, "out.png")


@pytest.mark.parametrize("sampling", ["hadamard", "block-gaussian"])
def test_measurements(survive, model, tmp_path, sampling):
    sensing = Sensing.described(sampling, 0.3, (20, 24), 1, 0, 0.0)
    image = read_image(_gray(tmp_path)).pixels
    write_measurements(tmp_path / "y.npz", sensing.physics().A(image), sensing)

    def arguments(path: Path, out: Path) -> list[object]:
        return ["recover", path, "--steps", "1", "--solver", "pgd", "--model", model, "-o", out]

    survive("y.npz", (tmp_path / "y.npz").read_bytes(), 120, arguments, "out.png")


def _gray(folder: Path) -> Path:
    path = folder / "gray.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 24), dtype=np.uint8)).save(path)
    return path


def test_recipes(survive, tmp_path):
    # Images too small for any patch: a recipe that is still legal is read and checked, and trains nothing.
    data = tmp_path / "data"
    data.mkdir()
    Image.new("L", (4, 4)).save(data / "small.png")

    def arguments(path: Path, out: Path) -> list[object]:
        return ["train", "--recipe", path, "--data", data, "--out", out]

    survive("recipe.toml", RECIPE.encode(), 250, arguments, None)


def test_models(survive, model, pixels, tmp_path):
    Image.fromarray(pixels).save(tmp_path / "photo.png")

    def arguments(path: Path, out: Path) -> list[object]:
        return ["denoise", tmp_path / "photo.png", "--noise", "0.1", "--model", path, "-o", out]

    survive("model.safetensors", model.read_bytes(), 160, arguments, "out.png")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the exporter, within torch
def test_onnx_files(survive, model, pixels, tmp_path):
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    export_denoiser(model, tmp_path / "whole.onnx")
    content = (tmp_path / "whole.onnx").read_bytes()

    def denoise(path: Path, out: Path, *more: object) -> list[object]:
        return ["denoise", tmp_path / "photo.png", "--noise", "0.1", "--model", path, *more, "-o", out]

    def by_runtime(path: Path, out: Path) -> list[object]:
        return denoise(path, out, "--provider", "cpu")

    survive("model.onnx", content, 50, denoise, "out.png")
    survive("runtime.onnx", content, 50, by_runtime, "out.png")
    survive("verified.onnx", content, 50, lambda path, _: ["verify", path], None)
    # What cannot be read cannot be exported again; what still can be is verified, which takes seconds.
    survive("source.onnx", content, 50, lambda path, out: ["export", path, out], "again.onnx")
