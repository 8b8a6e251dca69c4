"""Priors: a gradient network as a proximal operator, as an explicit regularizer, or as a `deepinv` prior.

Begin with `contract.py`: the two protocols that solvers are typed against. Two classes implement them, and share
`network_prior.py`: `LearnedProx` for monotone networks (`learned_prox.py`) and `GradientStepDenoiser` for any gradient
network (`gradient_step.py`). Beside them live the adapters for deepinv's own solvers (`deepinv_priors.py`), the inverse
of a prox (`inverse.py`), posterior standard deviations (`uncertainty.py`), and the files of models (`model_file.py`,
`onnx_weights.py`).
"""

from gradprox.priors.contract import Prior, ProximalOperator
from gradprox.priors.deepinv_priors import GradientStepPrior, ProximalPrior
from gradprox.priors.gradient_step import GradientStepDenoiser, prior_of
from gradprox.priors.inverse import Inverse, invert
from gradprox.priors.learned_prox import LearnedProx, value_at_prox
from gradprox.priors.model_file import load_network, network_bytes, network_from_bytes, save_network
from gradprox.priors.network_prior import NetworkPrior
from gradprox.priors.uncertainty import Uncertainty, posterior_deviation

__all__ = [
    "GradientStepDenoiser",
    "GradientStepPrior",
    "Inverse",
    "LearnedProx",
    "NetworkPrior",
    "Prior",
    "ProximalOperator",
    "ProximalPrior",
    "Uncertainty",
    "invert",
    "load_network",
    "network_bytes",
    "network_from_bytes",
    "posterior_deviation",
    "prior_of",
    "save_network",
    "value_at_prox",
]
