"""Gradient networks: maps with a symmetric Jacobian, monotone ones among them, by construction."""

from gradprox.networks.base import GradientNetwork
from gradprox.networks.denoisers.equilibrium import Equilibrium, EquilibriumConfig
from gradprox.networks.denoisers.identity_path import IdentityPath, IdentityPathConfig
from gradprox.networks.denoisers.mixture import MixtureLevel
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
    TanhMixture,
)
from gradprox.networks.family.gradnet_c import GradNetC, MGradNetC
from gradprox.networks.family.gradnet_m import GradNetM, MGradNetM
from gradprox.networks.family.group import EnergyGating, SmoothedNorm, Softmax
from gradprox.networks.family.modules import Modules
from gradprox.networks.family.outer_derivatives import One, Rho, SigmoidRho, Squareplus, TanhRho
from gradprox.networks.family.radial import RadialMixture
from gradprox.networks.family.sums import ConicSum, Sum

__all__ = [
    "Activation",
    "AnalysisOperator",
    "BlindGradientNetwork",
    "Cascade",
    "Composed",
    "ConicSum",
    "Conv2d",
    "Cubic",
    "Dense",
    "Elementwise",
    "EnergyGating",
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
    "MixtureLevel",
    "Modules",
    "One",
    "RadialMixture",
    "Rho",
    "Sigmoid",
    "SigmoidRho",
    "SmoothedNorm",
    "Softmax",
    "Softplus",
    "Squareplus",
    "Sum",
    "TanhMixture",
    "TanhRho",
]
