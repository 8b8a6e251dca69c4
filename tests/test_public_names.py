"""Public names stay; a name must be deprecated before it is removed (CONTRIBUTING.md, "Names that stay")."""

from __future__ import annotations

import ast
import importlib
import inspect

import pytest

from tests.printed import README, ROOT, blocks

# New names may be added freely.
STABLE = {
    "gradprox": "InputError LearnedProx __version__ load_model model_names",
    "gradprox.certificates": "Certificate Check certify dense_jacobian eigenvalue_range symmetry_defect",
    "gradprox.export": "Report VerificationError export_denoiser export_solver verify",
    "gradprox.export.runtime": "OnnxDenoiser OnnxSolver Restoration",
    "gradprox.networks": "Activation AnalysisOperator BlindGradientNetwork Cascade Composed ConicSum "
    "ConstantOuterDerivative Conv2d Cubic Dense Elementwise Equilibrium EquilibriumConfig GradNetC "
    "GradNetM GradientNetwork Identity IdentityPath IdentityPathConfig LinearSpline MGradNetC "
    "MGradNetM MixtureLevel ModuleStack OuterDerivative RadialStretch RationalGating Sigmoid "
    "SigmoidOuterDerivative SmoothedNorm Softmax Softplus SquareplusOuterDerivative Sum "
    "TanhOuterDerivative TanhSum",
    "gradprox.priors": "GradientStepPrior Inverse LearnedProx ProximalPrior invert load_network network_bytes "
    "network_from_bytes save_network value_at_prox",
    "gradprox.physics": "BlockSensing CircularBlur HadamardSensing Sampling Sensing ValidBlur  "
    "disk_kernel gaussian_kernel gaussian_matrix gaussian_noise initial_image motion_kernel read_kernel read_kernels "
    "read_matrix read_measurements squared_norm write_measurements",
    "gradprox.solvers": "FISTA GD HQS PGD Callback Result Solver State Status Step",
    "gradprox.training": "Progress Recipe read_recipe train",
    "gradprox.zoo": "Card load_model model_names read_card recipe_path",
}
# The names of these modules are public, because the reference shows them.
REFERENCED = (
    "gradprox.images",
    "gradprox.images.noise_estimation",
    "gradprox.solvers.deblurring",
    "gradprox.solvers.data_term",
    "gradprox.solvers.presets",
)


@pytest.mark.parametrize("package", STABLE)
def test_public_names_stay_and_resolve(package):
    module = importlib.import_module(package)
    assert set(STABLE[package].split()) <= set(module.__all__)
    assert len(set(module.__all__)) == len(module.__all__)
    for name in module.__all__:
        thing = getattr(module, name)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert thing.__doc__, name


def test_the_packages_are_all_there():
    listed = {page.read_text().split()[1] for page in (ROOT / "docs" / "api").glob("*.md")}
    assert listed == {*STABLE, "gradprox.images"}


def imports(code):
    """Yield the names that code imports from gradprox, each with its module."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gradprox"):
            for alias in node.names:
                yield node.module, alias.name


def shown_to_users():
    for page in (README, *(ROOT / "docs").rglob("*.md")):
        yield from (block.code for block in blocks(page) if block.language == "python")
    for script in (ROOT / "examples").rglob("*.py"):
        yield script.read_text(encoding="utf-8")


def test_what_users_are_shown_is_public():
    shown = [pair for code in shown_to_users() for pair in imports(code)]
    assert shown
    for module, name in shown:
        assert module in STABLE or module in REFERENCED, module
        public = getattr(importlib.import_module(module), "__all__", None)
        assert not name.startswith("_") if public is None else name in public, (module, name)
