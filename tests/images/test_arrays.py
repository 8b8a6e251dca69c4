"""Images work as arrays without torch, with the values that they have as tensors."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import scipy.fft
import torch

from gradprox import InputError
from gradprox.images import EXAMPLE_IMAGE, ImageData, check_scale, read_image, write_image
from gradprox.images.jpeg_noise import COSINES
from gradprox.images.noise_estimation import estimate_noise
from gradprox.images.srgb import light_per_display, to_display, to_linear_light


def test_array_and_tensor_are_the_same_memory():
    image = read_image(EXAMPLE_IMAGE)
    assert image.array.dtype == np.float32
    assert image.array.shape == (1, 3, 256, 256)
    assert torch.from_numpy(image.array).data_ptr() == image.pixels.data_ptr()
    tensor = torch.rand(1, 1, 4, 5, dtype=torch.float64, requires_grad=True)
    assert ImageData(tensor).pixels is tensor
    np.testing.assert_array_equal(ImageData(tensor).array, tensor.detach())


@pytest.mark.parametrize("bit_depth", [8, 16])
def test_gray_is_the_same_as_array_and_as_tensor(bit_depth):
    image = ImageData(read_image(EXAMPLE_IMAGE).array, bit_depth)
    np.testing.assert_array_equal(image.gray_array(), image.gray())
    assert image.gray().shape == (1, 1, 256, 256)


def test_an_image_with_the_pixels_of_an_array_is_written(tmp_path):
    image = read_image(EXAMPLE_IMAGE)
    write_image(tmp_path / "array.png", image.with_pixels(image.array[..., :9, :7]))
    write_image(tmp_path / "tensor.png", image.with_pixels(image.pixels[..., :9, :7]))
    assert (tmp_path / "array.png").read_bytes() == (tmp_path / "tensor.png").read_bytes()


def test_the_scale_of_an_array_is_checked():
    check_scale(np.full((1, 1, 2, 2), -19.0), "photo")
    with pytest.raises(InputError, match=r"^photo: values reach -255, but"):
        check_scale(np.array([[0.0, -255.0]]), "photo")


def test_the_curve_of_srgb_is_the_same_for_arrays_and_tensors():
    display = np.linspace(-1.2, 1.2, 1001)
    for curve in (to_linear_light, to_display, light_per_display):
        np.testing.assert_allclose(curve(display), curve(torch.from_numpy(display)), rtol=1e-14)
    np.testing.assert_allclose(to_display(to_linear_light(display)), display, rtol=0, atol=1e-6)


def test_the_slope_of_the_curve_is_its_derivative():
    display = torch.linspace(-1.2, 1.2, 1001, dtype=torch.float64).requires_grad_()
    (slope,) = torch.autograd.grad(to_linear_light(display).sum(), display)
    found = light_per_display(display.detach())
    at_zero = display.detach().abs() < 1e-9  # there the derivative of the modulus is not defined
    torch.testing.assert_close(found[~at_zero], slope[~at_zero], rtol=1e-12, atol=0)


def test_the_cosine_transform_of_jpeg_is_orthonormal_and_that_of_scipy():
    block = np.random.default_rng(0).random((8, 8))
    np.testing.assert_allclose(COSINES @ COSINES.T, np.eye(8), rtol=0, atol=1e-14)
    np.testing.assert_allclose(COSINES @ block @ COSINES.T, scipy.fft.dctn(block, norm="ortho"), atol=1e-14)


def test_the_noise_of_an_array_is_that_of_the_tensor():
    noisy = 0.1 * np.random.default_rng(0).standard_normal((1, 2, 64, 64))
    assert estimate_noise(noisy) == estimate_noise(torch.from_numpy(noisy)) == pytest.approx(0.1, rel=0.05)


def test_tensors_without_torch_are_refused_in_one_line():
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "from gradprox.images import EXAMPLE_IMAGE, read_image\n"
        "image = read_image(EXAMPLE_IMAGE)\n"
        "print(image.array.shape, image.gray_array().shape)\n"
        "image.pixels\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout == "(1, 3, 256, 256) (1, 1, 256, 256)\n"
    assert "gradprox needs the package torch, which is not installed" in done.stderr.splitlines()[-1]
