"""Gradient networks: maps with a symmetric Jacobian by construction; the monotone ones are proximal operators.

Begin with `base`, the contract `GradientNetwork`. Two folders implement it and do not import each other:

* `denoisers`: the image networks of the shipped models, which depend on the noise level.
* `family`: the networks of the paper "Gradient Networks" (arXiv 2404.07361), for inputs of any shape.

Both build on the modules of this folder: `borders` (extension beyond the frame and its adjoint), `fourier_bound`
(proven norms of convolutions), `tiling` (tiles of an image), `linear_systems` (conjugate gradients) and `ramps`.
"""

from gradprox.networks.base import GradientNetwork
from gradprox.networks.denoisers.deep_potential import DeepPotential, DeepPotentialConfig
from gradprox.networks.denoisers.energy_gate import EnergyGatedConfig
from gradprox.networks.denoisers.equilibrium import Equilibrium, EquilibriumConfig
from gradprox.networks.denoisers.identity_path import IdentityPath, IdentityPathConfig
from gradprox.networks.denoisers.mixture import MixtureConfig
from gradprox.networks.denoisers.mixture_levels import MixtureLevel
from gradprox.networks.denoisers.ridge import RidgeConfig
from gradprox.networks.family.activation import Activation
from gradprox.networks.family.analysis import AnalysisOperator, Dense
from gradprox.networks.family.blind import BlindGradientNetwork
from gradprox.networks.family.cascade import Cascade
from gradprox.networks.family.composed import Composed
from gradprox.networks.family.convolution import Conv2d
from gradprox.networks.family.elementwise import (
    Cubic,
    Elementwise,
    Identity,
    LinearSpline,
    Sigmoid,
    Softplus,
    TanhSum,
)
from gradprox.networks.family.gradnet_c import GradNetC, MGradNetC
from gradprox.networks.family.gradnet_m import GradNetM, MGradNetM
from gradprox.networks.family.group import RationalGating, SmoothedNorm, Softmax
from gradprox.networks.family.module_stack import ModuleStack
from gradprox.networks.family.outer_derivatives import (
    ConstantOuterDerivative,
    OuterDerivative,
    SigmoidOuterDerivative,
    SquareplusOuterDerivative,
    TanhOuterDerivative,
)
from gradprox.networks.family.radial import RadialStretch
from gradprox.networks.family.sums import ConicSum, Sum

__all__ = [
    "Activation",
    "AnalysisOperator",
    "BlindGradientNetwork",
    "Cascade",
    "Composed",
    "ConicSum",
    "ConstantOuterDerivative",
    "Conv2d",
    "Cubic",
    "DeepPotential",
    "DeepPotentialConfig",
    "Dense",
    "Elementwise",
    "EnergyGatedConfig",
    "Equilibrium",
    "EquilibriumConfig",
    "GradNetC",
    "GradNetM",
    "GradientNetwork",
    "Identity",
    "IdentityPath",
    "IdentityPathConfig",
    "LinearSpline",
    "MGradNetC",
    "MGradNetM",
    "MixtureConfig",
    "MixtureLevel",
    "ModuleStack",
    "OuterDerivative",
    "RadialStretch",
    "RationalGating",
    "RidgeConfig",
    "Sigmoid",
    "SigmoidOuterDerivative",
    "SmoothedNorm",
    "Softmax",
    "Softplus",
    "SquareplusOuterDerivative",
    "Sum",
    "TanhOuterDerivative",
    "TanhSum",
]
