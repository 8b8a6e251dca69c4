"""How certain a restoration is: the posterior density that its objective stands for, and deviations from it.

The energy of a prior is explicit, so the posterior density of an image is known up to a constant. Begin with
`density.py`: the density, and which temperature and weight it has. `laplace.py` estimates the deviation of each pixel
fast, from the curvature at the restored image; `lanczos.py` is its linear algebra. `langevin.py` samples the density
with a Metropolis test, and `chains.py` runs several chains, saves them and compares them.
"""

from gradprox.posterior.chains import SampledDeviation, load_chains, sampled_deviation, save_chains
from gradprox.posterior.density import Posterior
from gradprox.posterior.langevin import ChainState
from gradprox.posterior.laplace import LaplaceDeviation, laplace_deviation
from gradprox.posterior.restoration import restoration_deviation

__all__ = [
    "ChainState",
    "LaplaceDeviation",
    "Posterior",
    "SampledDeviation",
    "laplace_deviation",
    "load_chains",
    "restoration_deviation",
    "sampled_deviation",
    "save_chains",
]
