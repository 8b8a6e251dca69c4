"""Plug-and-play solvers with exact objectives: ``Solver(**settings)(y, physics, prior) -> Result``."""

from gradprox.solvers.gd import GD
from gradprox.solvers.pgd import PGD
from gradprox.solvers.result import Result, Status
from gradprox.solvers.solver import Solver, State, Step

__all__ = ["GD", "PGD", "Result", "Solver", "State", "Status", "Step"]
