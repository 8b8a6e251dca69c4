"""Blur kernels as arrays are those of `gradprox.physics`, and blur as its operators do."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gradprox import kernels, physics
from gradprox.kernels.formulas import blurred


@pytest.mark.parametrize("description", ["gaussian:1.3", "motion:7:20", "disk:2.5"])
def test_arrays_are_the_tensors_of_physics(description):
    kernel = kernels.read_kernel(description)
    assert kernel.dtype == np.float32
    assert kernel.sum() == pytest.approx(1, abs=1e-6)
    np.testing.assert_array_equal(kernel, physics.read_kernel(description)[0, 0])


def test_blurred_is_the_convolution_of_physics():
    generator = np.random.default_rng(0)
    kernel, image = generator.random((3, 4)), generator.random((2, 3, 11, 12))
    operator = physics.ValidBlur(torch.from_numpy(kernel)[None, None], (11, 12))
    expected = operator.A(torch.from_numpy(image))
    np.testing.assert_allclose(blurred(image, kernel), expected, rtol=0, atol=1e-13)
