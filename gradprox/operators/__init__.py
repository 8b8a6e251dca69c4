"""What a monotone network becomes: a prox with a value, a denoiser, a regulariser, a file."""

from gradprox.operators.deepinv_priors import GradientStepPrior, ProximalPrior
from gradprox.operators.inverse import Inverse, invert
from gradprox.operators.learned_prox import LearnedProx, value_at_prox
from gradprox.operators.model_file import load_network, network_bytes, network_from_bytes, save_network
from gradprox.operators.uncertainty import Uncertainty, posterior_deviation

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
