"""Plug-and-play solvers with exact objectives: ``Solver(**settings)(y, physics, prior) -> Result``."""

from gradprox.solvers.admm import ADMM
from gradprox.solvers.drs import DRS
from gradprox.solvers.fista import FISTA
from gradprox.solvers.gd import GD
from gradprox.solvers.hqs import HQS
from gradprox.solvers.lambda_search import LambdaChoice, best_lambda, choose_lambda
from gradprox.solvers.nmapg import NMAPG
from gradprox.solvers.pgd import PGD
from gradprox.solvers.primal_dual import PrimalDual
from gradprox.solvers.reconstructor import SolverReconstructor
from gradprox.solvers.result import Result, Status
from gradprox.solvers.scheduled_hqs import ScheduledHQS
from gradprox.solvers.solver import Callback, Solver, State, Step
from gradprox.solvers.unrolling import unrolled

__all__ = [
    "ADMM",
    "DRS",
    "FISTA",
    "GD",
    "HQS",
    "NMAPG",
    "PGD",
    "Callback",
    "LambdaChoice",
    "PrimalDual",
    "Result",
    "ScheduledHQS",
    "Solver",
    "SolverReconstructor",
    "State",
    "Status",
    "Step",
    "best_lambda",
    "choose_lambda",
    "unrolled",
]
