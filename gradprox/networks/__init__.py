"""Gradient networks: maps with a symmetric Jacobian, monotone ones among them, by construction."""

from gradprox.networks.activation import Activation
from gradprox.networks.analysis import AnalysisOperator, Dense
from gradprox.networks.base import GradientNetwork
from gradprox.networks.blind import BlindGradientNetwork
from gradprox.networks.cascade import Cascade
from gradprox.networks.composed import Composed
from gradprox.networks.convolution import Conv2d
from gradprox.networks.elementwise import (
    Cubic,
    Elementwise,
    Identity,
    LinearSpline,
    Sigmoid,
    Softplus,
    TanhMixture,
)
from gradprox.networks.equilibrium import Equilibrium, EquilibriumConfig
from gradprox.networks.gradnet_c import GradNetC, MGradNetC
from gradprox.networks.gradnet_m import GradNetM, MGradNetM
from gradprox.networks.group import EnergyGating, SmoothedNorm, Softmax
from gradprox.networks.identity_path import IdentityPath, IdentityPathConfig
from gradprox.networks.mixture import MixtureLevel
from gradprox.networks.modules import Modules
from gradprox.networks.radial import RadialMixture
from gradprox.networks.sums import ConicSum, Sum
from gradprox.networks.transforms import One, Rho, SigmoidRho, Squareplus, TanhRho

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
