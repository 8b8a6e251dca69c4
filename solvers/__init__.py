"""Plug-and-play solvers with exact objectives: ``Solver(**settings)(y, physics, prior) -> Result``.

Where to begin:

* `contract`: `Restorer`, the protocol of everything that restores images.
* `solver` and `driver`: the settings, state and step of an algorithm, and the loop that runs it.
* one file per algorithm: `hqs`, `gd`, `nmapg`, `pgd`, `fista`, `admm`, `drs`, `primal_dual`, `scheduled_hqs`,
  `continuation`.
* `data_term`: the contract of data terms; `fidelity` builds them. `clipping` is for over- and underexposed pixels.
* `presets`: settings that work, by task and noise level; `lambda_search` finds the weight of the regularizer.
* `rounding`: the bound beyond which a rise of the objective counts.
"""

from gradprox.solvers.admm import ADMM
from gradprox.solvers.clipping import ClippedL2, WeightedL2
from gradprox.solvers.continuation import Continuation
from gradprox.solvers.contract import Callback, Restorer, Step
from gradprox.solvers.data_term import DataTerm, QuadraticDataTerm
from gradprox.solvers.deblurring import deblur_images
from gradprox.solvers.discrepancy import DiscrepancyPreset, DiscrepancyResult
from gradprox.solvers.drs import DRS
from gradprox.solvers.fidelity import build_data_term
from gradprox.solvers.fista import FISTA
from gradprox.solvers.gd import GD
from gradprox.solvers.hqs import HQS
from gradprox.solvers.lambda_search import LambdaChoice, best_lambda, choose_lambda
from gradprox.solvers.nmapg import NMAPG
from gradprox.solvers.pgd import PGD
from gradprox.solvers.presets import Preset, Task, preset
from gradprox.solvers.primal_dual import PrimalDual
from gradprox.solvers.reconstructor import SolverReconstructor
from gradprox.solvers.result import Result
from gradprox.solvers.scheduled_hqs import ScheduledHQS
from gradprox.solvers.smooth_objective import SmoothState, smooth_state
from gradprox.solvers.solver import Solver
from gradprox.solvers.state import State
from gradprox.solvers.unrolling import unrolled
from gradprox.status import Status

__all__ = [
    "ADMM",
    "DRS",
    "FISTA",
    "GD",
    "HQS",
    "NMAPG",
    "PGD",
    "Callback",
    "ClippedL2",
    "Continuation",
    "DataTerm",
    "DiscrepancyPreset",
    "DiscrepancyResult",
    "LambdaChoice",
    "Preset",
    "PrimalDual",
    "QuadraticDataTerm",
    "Restorer",
    "Result",
    "ScheduledHQS",
    "SmoothState",
    "Solver",
    "SolverReconstructor",
    "State",
    "Status",
    "Step",
    "Task",
    "WeightedL2",
    "best_lambda",
    "build_data_term",
    "choose_lambda",
    "deblur_images",
    "preset",
    "smooth_state",
    "unrolled",
]
