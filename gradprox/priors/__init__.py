"""What a monotone network becomes: a prox with a value, a denoiser, a regularizer, a file."""

from gradprox.priors.deepinv_priors import GradientStepPrior, ProximalPrior
from gradprox.priors.inverse import Inverse, invert
from gradprox.priors.learned_prox import LearnedProx, value_at_prox
from gradprox.priors.model_file import load_network, network_bytes, network_from_bytes, save_network
from gradprox.priors.uncertainty import Uncertainty, posterior_deviation

__all__ = [
    "GradientStepPrior",
    "Inverse",
    "LearnedProx",
    "ProximalPrior",
    "Uncertainty",
    "invert",
    "load_network",
    "network_bytes",
    "network_from_bytes",
    "posterior_deviation",
    "save_network",
    "value_at_prox",
]
