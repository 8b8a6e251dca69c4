"""Deployed models: numpy and onnxruntime, nothing else.

``D = OnnxDenoiser("denoiser.onnx")`` is called as ``D(y, 25 / 255)``, ``S = OnnxSolver("solver.onnx")`` as
``S(y, kernel, noise=0.01).x``.

Begin with `denoiser` and `solver`; `solver_settings` checks the numbers of a solver's call. Both check their arguments
(`arguments`), and run a `session` of ONNX Runtime on one of the `providers`. Files are read by `container`, which
checks their format and their checksum with the few protobuf routines of `protobuf`. `tiling` cuts images into
overlapping tiles.
"""

from gradprox.export.runtime.denoiser import OnnxDenoiser
from gradprox.export.runtime.providers import find_provider
from gradprox.export.runtime.solver import OnnxSolver, Restoration

__all__ = ["OnnxDenoiser", "OnnxSolver", "Restoration", "find_provider"]
