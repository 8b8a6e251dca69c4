"""The evidence of the phases: against a plain formula, and on photos where the power spectrum cannot decide."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from gradprox.blind.families import no_blur
from gradprox.blind.periodic import periodic_extension
from gradprox.blind.phases import phase_evidence
from gradprox.blind.photo_spectrum import PhotoSpectrum
from gradprox.physics import gaussian_kernel, motion_kernel
from tests.blind.photos import NOISE, photo_of, shake


def response(kernel, size):
    """Return the full complex response of a kernel that is centered on its middle, by the sum that defines it."""
    rows, columns = (np.fft.fftfreq(length) for length in size)
    height, width = kernel.shape[-2:]
    found = np.zeros(size, dtype=complex)
    for i in range(height):
        for j in range(width):
            turn = np.exp(-2j * np.pi * (rows[:, None] * (i - height // 2) + columns * (j - width // 2)))
            found += float(kernel[0, 0, i, j]) * turn
    return found


def test_the_evidence_is_that_of_laplace_gradients():
    generator = torch.Generator().manual_seed(0)
    y = torch.rand(1, 1, 26, 31, dtype=torch.float64, generator=generator)
    kernel, reference = torch.rand(2, 1, 1, 5, 5, dtype=torch.float64, generator=generator)
    kernel, reference, noise = kernel / kernel.sum(), reference / reference.sum(), 0.1
    extended = periodic_extension(y, 5)[0, 0].numpy()
    size = extended.shape

    image = y[0, 0].numpy()
    slopes = np.stack([image[:-1, 1:] - image[:-1, :-1], image[1:, :-1] - image[:-1, :-1]])
    c = (np.square(slopes).mean() - 2 * noise**2) / float(reference.square().sum())
    d = sum(
        np.abs(np.exp(2j * np.pi * f) - 1) ** 2
        for f in np.meshgrid(*map(np.fft.fftfreq, size), indexing="ij")
    )
    r, k = np.abs(response(reference, size)), response(kernel, size)
    gain = r * c / (r**2 * c + noise**2 * d)
    x = np.fft.ifft2(np.fft.fft2(extended) * gain * k.conj() / np.abs(k)).real[3:23, 3:28]
    g = np.stack([x[:-1, 1:] - x[:-1, :-1], x[1:, :-1] - x[:-1, :-1]])
    expected = -2 * y.numel() * math.log(np.abs(g).mean() / math.sqrt(np.square(g).mean()))
    found = phase_evidence(y, [kernel], reference, noise)
    torch.testing.assert_close(found, torch.tensor([expected], dtype=torch.float64))


def test_a_mirrored_kernel_has_the_same_power_and_less_evidence_of_the_phases():
    y, true = photo_of(shake()).double(), shake().double()
    mirrored = true.flip(-1, -2)
    power = PhotoSpectrum.of(y, NOISE).evidence([true, mirrored])
    assert float(power[1]) == pytest.approx(float(power[0]), rel=1e-9)
    phases = phase_evidence(y, [true, mirrored], true, NOISE)
    assert float(phases[0] - phases[1]) > 100


def test_no_blur_has_the_best_phases_on_a_sharp_photo():
    y = photo_of(no_blur())
    none, *others = phase_evidence(
        y, [no_blur(), shake(), motion_kernel(9, 20), motion_kernel(15, 80)], shake(), NOISE
    )
    assert float(none) > max(map(float, others)) + 100


def test_a_gaussian_has_the_phases_of_no_blur():
    y = photo_of(gaussian_kernel(1.0))
    none, gaussian = phase_evidence(y, [no_blur(), gaussian_kernel(1.0)], gaussian_kernel(1.0), NOISE)
    assert float(gaussian) == pytest.approx(float(none), rel=1e-6)
