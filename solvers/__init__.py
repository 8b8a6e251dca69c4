"""Plug-and-play solvers with exact objectives: ``Solver(**settings)(y, physics, prior) -> Result``."""

from gradprox.solvers.fista import FISTA
from gradprox.solvers.gd import GD
from gradprox.solvers.hqs import HQS
from gradprox.solvers.pgd import PGD
from gradprox.solvers.result import Result, Status
from gradprox.solvers.solver import Callback, Solver, State, Step

__all__ = ["FISTA", "GD", "HQS", "PGD", "Callback", "Result", "Solver", "State", "Status", "Step"]
