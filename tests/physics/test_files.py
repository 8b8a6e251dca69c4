"""Kernels and measurements from descriptions and files; damaged files are refused, nothing is unpickled."""

from __future__ import annotations

import contextlib
import pickle

import numpy as np
import pytest
import scipy.io
import torch
from PIL import Image

from gradprox import InputError, array_files
from gradprox.physics import (
    Sensing,
    disk_kernel,
    gaussian_kernel,
    motion_kernel,
    read_kernel,
    read_kernels,
    read_matrix,
    read_measurements,
    write_measurements,
)


@pytest.mark.parametrize("description", ["gaussian:1.6", "motion:15:45", "motion:1:10", "disk:4", "disk:0.3"])
def test_kernels_are_odd_nonnegative_and_sum_to_one(description):
    kernel = read_kernel(description)
    assert kernel.dtype == torch.float32
    assert all(length % 2 for length in kernel.shape[-2:])
    assert kernel.min() >= 0
    assert float(kernel.sum()) == pytest.approx(1, abs=1e-6)


def test_kernels_are_what_their_names_say():
    torch.testing.assert_close(motion_kernel(5, 0)[0, 0, 2], torch.full((5,), 0.2))
    assert motion_kernel(5, 90).argmax() == motion_kernel(5, 0).transpose(-1, -2).argmax()
    up_right = motion_kernel(9, 45)[0, 0]
    assert up_right[0, -1] + up_right[1, -2] > up_right[0, 0] + up_right[1, 1]
    profile = gaussian_kernel(2.0)[0, 0].sum(0).double()
    offsets = torch.arange(len(profile)) - len(profile) // 2
    assert float((profile * offsets**2).sum()) ** 0.5 == pytest.approx(2.0, rel=0.01)
    inside = disk_kernel(4.0)
    assert float(1 / inside.max()) == pytest.approx(torch.pi * 16, rel=0.01)


def test_kernels_come_from_every_kind_of_file(tmp_path):
    kernel = np.outer([1, 2, 1], [1, 3, 1]).astype(float)
    np.save(tmp_path / "k.npy", kernel)
    np.savez(tmp_path / "k.npz", a=kernel, b=np.eye(3), scalar=np.float64(3))
    scipy.io.savemat(tmp_path / "k.mat", {"kernel": kernel})
    expected = torch.tensor(kernel / kernel.sum(), dtype=torch.float32)[None, None]
    for name in ("k.npy", "k.mat", "k.npz:a"):
        torch.testing.assert_close(read_kernel(str(tmp_path / name)), expected)
    assert list(read_kernels(str(tmp_path / "k.npz"))) == ["a", "b"]
    with pytest.raises(InputError, match="holds 2 kernels"):
        read_kernel(str(tmp_path / "k.npz"))
    with pytest.raises(InputError, match="no kernel 'c'"):
        read_kernel(str(tmp_path / "k.npz:c"))


def test_a_photo_is_not_taken_for_a_kernel(tmp_path):
    Image.fromarray(np.full((40, 50), 90, np.uint8)).save(tmp_path / "photo.png")
    with pytest.raises(InputError, match=r"photo\.png: looks like a photo.*gradprox estimate-kernel"):
        read_kernel(str(tmp_path / "photo.png"))
    for kernel in (disk_kernel(20), gaussian_kernel(6), motion_kernel(45, 30), torch.ones(1, 1, 9, 9)):
        values = kernel[0, 0] / kernel.max() * 255
        Image.fromarray(values.round().byte().numpy()).save(tmp_path / "k.png")
        assert read_kernel(str(tmp_path / "k.png")).shape == kernel.shape


@pytest.mark.parametrize("sampling", ["hadamard", "dct", "fourier", "structured", "block-gaussian", "matrix"])
def test_measurements_come_back(tmp_path, sampling):
    if sampling == "matrix":
        sampling = str(tmp_path / "m.npy")
        np.save(sampling, np.random.default_rng(0).standard_normal((6, 16)))
    x = torch.rand(1, 3, 20, 13)
    sensing = Sensing.described(sampling, 0.3, (20, 13), 3, seed=2, noise=0.1)
    y = sensing.physics().A(x)
    write_measurements(tmp_path / "y.npz", y, sensing)
    again, stored = read_measurements(tmp_path / "y.npz")
    assert torch.equal(again, y)
    assert stored.sampling == sensing.sampling
    assert torch.equal(stored.physics().A(x), y)


@pytest.mark.parametrize("radius", [1e-300, 1e-3, 0.03, 0.044, 0.2, 0.5])
def test_a_disk_inside_one_pixel_is_no_blur(radius):
    kernel = disk_kernel(radius)
    assert float(kernel[0, 0, 1, 1]) == 1
    assert float(kernel.sum()) == 1


@pytest.mark.parametrize("size", [1e-300, 1e-160, 1e-3, 0.1])
def test_tiny_gaussians_and_motions_are_no_blur(size):
    for kernel in (gaussian_kernel(size), motion_kernel(size, 30)):
        assert float(kernel.max()) == 1
        assert float(kernel.sum()) == 1


@pytest.mark.parametrize("make", [gaussian_kernel, disk_kernel, lambda length: motion_kernel(length, 10)])
@pytest.mark.parametrize("size", [0.0, -1.0, float("nan"), float("inf"), 1e6])
def test_sizes_of_kernels_out_of_range_are_refused(make, size):
    with pytest.raises(InputError, match="must be above 0 and at most"):
        make(size)


def test_an_angle_that_is_none_is_refused():
    with pytest.raises(InputError, match="angle must be finite"):
        motion_kernel(5, float("inf"))


SPOILED = {
    "sums to 0": (np.zeros((3, 3)), "nonnegative and not zero"),
    "nan": (np.full((3, 3), np.nan), "NaN or infinite"),
    "infinite": (np.array([[1.0, np.inf]]), "NaN or infinite"),
    "negative": (np.array([[1.0, -1e-3]]), "nonnegative"),
    "hugely negative": (np.array([[1.0, -1e300]]), "nonnegative"),
    "complex": (np.ones((3, 3), complex), "real numbers, got complex128"),
    "text": (np.array([["a"]]), "real numbers"),
    "empty": (np.zeros((0, 3)), "real numbers"),
    "a line": (np.ones(3), "no two-dimensional array"),
    "too large": (np.ones((1, 1025)), "too large for a kernel"),
}


@pytest.mark.parametrize("name", SPOILED)
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_arrays_that_are_no_kernels_are_refused(tmp_path, name, suffix):
    array, message = SPOILED[name]
    np.save(tmp_path / "k.npy", array)
    np.savez(tmp_path / "k.npz", k=array)
    with pytest.raises(InputError, match=message):
        read_kernel(str(tmp_path / f"k{suffix}"))


@pytest.mark.parametrize("name", ["sums to 0", "nan", "negative"])
def test_arrays_of_mat_files_that_are_no_kernels_are_refused(tmp_path, name):
    array, message = SPOILED[name]
    scipy.io.savemat(tmp_path / "k.mat", {"k": array})
    with pytest.raises(InputError, match=message):
        read_kernel(str(tmp_path / "k.mat"))


def test_numbers_in_a_mat_file_are_no_kernels_and_no_matrices(tmp_path):
    # MATLAB stores a number as an array of 1x1.
    scipy.io.savemat(tmp_path / "k.mat", {"noise": -0.1, "kernel": np.ones((2, 4)), "count": 3})
    assert list(read_kernels(str(tmp_path / "k.mat"))) == ["kernel"]
    assert torch.equal(read_matrix(tmp_path / "k.mat"), torch.ones(2, 4))


@pytest.mark.parametrize("scale", [1e-320, 1e-300, 1e300, 1.7e308 / 2])
def test_the_scale_of_a_kernel_file_does_not_matter(tmp_path, scale):
    np.save(tmp_path / "k.npy", scale * np.ones((5, 5)))
    torch.testing.assert_close(read_kernel(str(tmp_path / "k.npy")), torch.full((1, 1, 5, 5), 1 / 25))


@pytest.mark.parametrize("shape", [(3, 3), (3, 3, 3)], ids=["gray", "color"])
def test_the_scale_of_a_kernel_image_does_not_matter(tmp_path, shape):
    kernel = np.outer([1, 2, 1], [1, 3, 1]).astype(np.float32)
    values = 50 * kernel if len(shape) == 2 else 20 * np.stack([kernel] * 3, axis=2)
    image = Image.fromarray(values if len(shape) == 2 else values.astype(np.uint8))
    image.save(tmp_path / "k.tif")
    expected = torch.from_numpy(kernel / kernel.sum())[None, None]
    torch.testing.assert_close(read_kernel(str(tmp_path / "k.tif")), expected)


@pytest.mark.parametrize("value", [1e300, -1e300, np.inf, np.nan])
def test_numbers_beyond_single_precision_are_refused(tmp_path, value):
    np.save(tmp_path / "m.npy", np.full((2, 4), value))
    with pytest.raises(InputError, match="finite single-precision numbers"):
        read_matrix(tmp_path / "m.npy")
    sensing = Sensing.described("hadamard", 0.3, (8, 8), 1, seed=0, noise=0.0)
    write_measurements(tmp_path / "y.npz", torch.full((1, 1, 19), value, dtype=torch.float64), sensing)
    with pytest.raises(InputError, match="finite single-precision numbers"):
        read_measurements(tmp_path / "y.npz")


@pytest.mark.parametrize(
    ("seed", "channels", "noise", "message"),
    [
        (2**64, 1, 0.0, "^seed: .*less than or equal to 18446744073709551615"),
        (-1, 1, 0.0, "^seed: .*greater than or equal to 0"),
        (0, 2, 0.0, "^channels: "),
        (0, 1, -0.1, "^noise: "),
        (0, 1, float("nan"), "^noise: "),
    ],
)
def test_a_sampling_out_of_range_is_refused_in_one_line(seed, channels, noise, message):
    with pytest.raises(InputError, match=message) as refused:
        Sensing.described("hadamard", 0.3, (8, 8), channels, seed, noise)
    assert "\n" not in str(refused.value)


def test_a_mat_file_that_crashes_its_reader_is_refused(tmp_path, monkeypatch):
    (tmp_path / "k.mat").write_bytes(b"damaged")
    monkeypatch.setattr(array_files, "_MAT_TO_NPZ", "import os; os.abort()")
    with pytest.raises(InputError, match="its reader crashed"):
        read_kernels(str(tmp_path / "k.mat"))


def mutations(content, count, seed):
    generator = np.random.default_rng(seed)
    for _ in range(count):
        mutated = bytearray(content)
        for position in generator.integers(len(content), size=4):
            mutated[position] = generator.integers(256)
        cut = generator.integers(1, len(content) + 1) if generator.random() < 0.3 else len(content)
        yield bytes(mutated[:cut])


@pytest.mark.filterwarnings("ignore")  # numpy warns about the damage in many words
@pytest.mark.parametrize(("suffix", "count"), [(".npy", 400), (".npz", 400), (".mat", 15)])
def test_mutated_files_are_read_or_refused(tmp_path, suffix, count):
    path = tmp_path / f"k{suffix}"
    kernel = np.ones((5, 5))
    if suffix == ".npy":
        np.save(path, kernel)
    elif suffix == ".npz":
        np.savez_compressed(path, k=kernel)
    else:
        scipy.io.savemat(path, {"k": kernel})
    for content in mutations(path.read_bytes(), count, seed=0):
        path.write_bytes(content)
        with contextlib.suppress(InputError):  # anything else fails the test
            read_kernels(str(path))


@pytest.mark.filterwarnings("ignore")  # numpy warns about the damage in many words
def test_mutated_measurements_are_read_or_refused(tmp_path):
    sensing = Sensing.described("hadamard", 0.3, (8, 8), 1, seed=0, noise=0.0)
    path = tmp_path / "y.npz"
    write_measurements(path, sensing.physics().A(torch.rand(1, 1, 8, 8)), sensing)
    for content in mutations(path.read_bytes(), 400, seed=1):
        path.write_bytes(content)
        with contextlib.suppress(InputError):  # anything else fails the test
            read_measurements(path)


def test_pickles_are_refused_and_not_opened(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("the pickle was opened",))

    np.save(tmp_path / "k.npy", np.array([Bomb()], dtype=object), allow_pickle=True)
    (tmp_path / "raw.npy").write_bytes(pickle.dumps(Bomb()))
    np.savez(tmp_path / "y.npz", y=np.array([Bomb()], dtype=object), sampling=np.array("{}"))
    for name in ("k.npy", "raw.npy"):
        with pytest.raises(InputError):
            read_kernel(str(tmp_path / name))
    with pytest.raises(InputError):
        read_measurements(tmp_path / "y.npz")


def test_wrong_matrices_are_refused(tmp_path):
    for array, message in (
        (np.zeros((3, 5)), "square block"),
        (np.full((2, 4), np.nan), "finite"),
        (np.ones((2, 4), complex), "real numbers"),
        (np.zeros(4), "found 0"),
    ):
        np.save(tmp_path / "m.npy", array)
        with pytest.raises(InputError, match=message):
            read_matrix(tmp_path / "m.npy")
