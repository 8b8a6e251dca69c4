"""Networks that are not monotone: exported as gradients of an explicit energy, and never called a prox."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from gradprox import InputError, load_model
from gradprox.export import Report, VerificationError, export_denoiser, load_prior, verify
from gradprox.export.runtime import OnnxDenoiser, container
from gradprox.export.runtime.tiling import spans
from gradprox.networks.denoisers.deep_potential import DeepPotential, DeepPotentialConfig
from gradprox.priors import GradientStepDenoiser
from tests.export.small_networks import images
from tests.export.tampering import followed_by, say, tampered


@pytest.fixture(scope="module")
def deep() -> GradientStepDenoiser:
    config = DeepPotentialConfig(widths=(4, 6), blocks=(1, 1))
    torch.manual_seed(0)
    return GradientStepDenoiser(DeepPotential(config).eval().requires_grad_(False), "deep")


@pytest.fixture(scope="module")
def exported_deep(
    deep: GradientStepDenoiser, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Report]:
    path = tmp_path_factory.mktemp("deep") / "deep.onnx"
    return path, export_denoiser(deep, path, potential=True)


def test_its_certificate_claims_a_gradient_and_no_prox(
    exported_deep: tuple[Path, Report], deep: GradientStepDenoiser
) -> None:
    path, report = exported_deep
    assert not report.monotone
    assert report.symmetry_defect <= 1e-6
    assert report.potential_gradient_error <= 1e-6
    assert "no prox" in str(report)
    _, metadata = container.read(path)
    certificate = json.loads(metadata["certificate"])
    assert certificate == {
        "symmetric": True,
        "monotone": False,
        "lipschitz_bound": None,
        "weak_convexity": None,
    }
    assert verify(path) == report
    assert load_model(path).network.config == deep.network.config


def test_it_is_the_same_energy_in_a_solver(
    exported_deep: tuple[Path, Report], deep: GradientStepDenoiser
) -> None:
    prior = load_prior(exported_deep[0], threads=1)
    assert isinstance(prior, GradientStepDenoiser)
    assert not prior.is_prox
    assert prior.lipschitz_bound() == float("inf")
    y = torch.from_numpy(images(2, 3, 21, 18))
    x, energy = prior.denoise_with_energy(y, 0.1)
    expected_x, expected_energy = deep.denoise_with_energy(y, 0.1)
    torch.testing.assert_close(x, expected_x, rtol=0, atol=1e-5)
    torch.testing.assert_close(energy, expected_energy, rtol=1e-4, atol=1e-5)


def test_tiles_equal_the_whole_image(exported_deep: tuple[Path, Report]) -> None:
    whole, tiled = (OnnxDenoiser(exported_deep[0], tile=tile, threads=1) for tile in (None, 25))
    length = 2 * whole.halo + 75
    y = images(1, 3, length, length)
    assert any(span.start - whole.halo > 0 and (span.start - whole.halo) % 4 for span in spans(length, 25, 0))
    np.testing.assert_allclose(tiled(y, 0.1), whole(y, 0.1), rtol=0, atol=1e-6)


def test_tiles_are_several_halos_long(exported_deep: tuple[Path, Report]) -> None:
    assert OnnxDenoiser(exported_deep[0]).tile == max(256, 8 * OnnxDenoiser(exported_deep[0]).halo)


def test_a_file_without_its_cell_is_cut_at_a_multiple_of_any(
    exported_deep: tuple[Path, Report], tmp_path: Path
) -> None:
    old = tampered(exported_deep[0], tmp_path / "old.onnx", say(cell=None))
    whole, tiled = (OnnxDenoiser(old, tile=tile, threads=1) for tile in (None, 25))
    length = 2 * whole.halo + 75
    y = images(1, 3, length, length)
    np.testing.assert_allclose(tiled(y, 0.1), whole(y, 0.1), rtol=0, atol=1e-6)
    assert verify(old) == exported_deep[1]


def test_false_claims_are_found(exported_deep: tuple[Path, Report], tmp_path: Path) -> None:
    claim = '{"symmetric": true, "monotone": true, "lipschitz_bound": 1.0, "weak_convexity": 0.0}'
    with pytest.raises(VerificationError, match="says certificate"):
        verify(tampered(exported_deep[0], tmp_path / "claim.onnx", say(certificate=claim)))
    with pytest.raises(VerificationError, match="its potential differs"):
        verify(tampered(exported_deep[0], tmp_path / "energy.onnx", followed_by("Neg", "potential")))


def test_half_precision_is_refused(deep: GradientStepDenoiser, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be exported in float16"):
        export_denoiser(deep, tmp_path / "refused.onnx", precision="float16")
    assert not list(tmp_path.iterdir())
